"""The words of ``/ws/stream``: the caller's messages as values, and the gateway's frames as bytes. Pure, no I/O."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson

from emotalk_avatar.video.framing import Coding
from emotalk_client.faces.animation import Frame
from emotalk_client.live.fade import check_fade
from emotalk_client.live.settings import LiveOptions
from emotalk_client.settings import is_number
from emotalk_contract.arkit import BLENDSHAPES
from emotalk_contract.limits import DEFAULT_SEED
from emotalk_contract.timing import FPS
from emotalk_gateway.service.errors import InvalidMessage
from emotalk_gateway.service.options import live_options
from emotalk_gateway.service.videos import LOOK_FIELDS, Look

PATH = "/ws/stream"
PCM: dict[str, np.dtype[Any]] = {"int16": np.dtype("<i2"), "float32": np.dtype("<f4")}
"""Formats of the blocks, little-endian."""
FRAMES = ("json", "float32", "video", "mjpeg")
"""Formats of the frames; the last two are pictures."""
PICTURES: Mapping[str, Coding] = {"video": "vp9", "mjpeg": "mjpeg"}
"""Codings of those."""
ROW = np.dtype("<f4")
LONGEST_ECHO = 200
"""Characters of a caller's value that an error repeats."""

Said = dict[str, Any] | bytes
"""A message: an object, or a block of samples."""


@dataclass(frozen=True, slots=True)
class Start:
    """The first message, checked; ``sample_rate`` is checked by the session that gets it."""

    sample_rate: int
    pcm: np.dtype[Any]
    binary: bool
    audio: bool
    """True: frames come with the sound of their time."""
    emotions: bool
    """True: the emotion that is heard is told."""
    options: LiveOptions
    coding: Coding | None = None
    """Of pictures; None: frames are weights."""
    look: Look | None = None
    """Of the face in them."""

    @classmethod
    def of(cls, message: Mapping[str, Any]) -> Start:
        """Return ``message``; its token is for others to check.

        Raises:
            InvalidMessage: a value that a start cannot have.
            InvalidRequest, InvalidVideo: its subclass says which option is unknown or out of range.
        """
        coding = PICTURES.get(_choice(message, "frames", FRAMES))
        drawn = () if coding is None else tuple(LOOK_FIELDS)
        names = ("sample_rate", "format", "frames", "audio", "emotions", "options", "token", *drawn)
        _check_names(message, *names)
        options = message.get("options") or {}
        if not isinstance(options, dict):
            raise InvalidMessage(f"options is {echo(options)}; accepted: an object")
        if coding is not None and _truth(message, "audio"):
            raise InvalidMessage("audio is true, and frames are pictures; accepted: false, or frames that are weights")
        given = {name: message[name] for name in drawn if name in message}
        look = None if coding is None else Look.taken({**given, "seed": options.get("seed", DEFAULT_SEED)})
        return cls(
            message.get("sample_rate"),  # type: ignore[arg-type]  # the session says what it accepts
            PCM[_choice(message, "format", tuple(PCM))],
            _choice(message, "frames", FRAMES) == "float32",
            _truth(message, "audio"),
            _truth(message, "emotions"),
            live_options(options),
            coding,
            look,
        )


@dataclass(frozen=True, slots=True)
class End:
    """The end of an utterance."""

    keep: bool
    """True: the connection goes on."""
    fade_s: float
    """Seconds in which the face goes to rest after the last frame."""

    @classmethod
    def of(cls, message: Mapping[str, Any]) -> End:
        """Return ``message``; raises InvalidMessage, InvalidOption."""
        _check_names(message, "keep", "fade_s")
        fade_s = message.get("fade_s", 0.0)
        check_fade(fade_s)
        return cls(_truth(message, "keep"), fade_s)


@dataclass(frozen=True, slots=True)
class Cancel:
    """Barge-in."""

    fade_s: float
    """Seconds; checked by the session."""
    played_frame: int | None
    """The frame that the caller played last; None: the last that was sent. Its range is checked by the session."""

    @classmethod
    def of(cls, message: Mapping[str, Any]) -> Cancel:
        """Return ``message``; raises InvalidMessage."""
        _check_names(message, "fade_s", "played_frame", "played_s")
        played_frame, played_s = message.get("played_frame"), message.get("played_s")
        if played_s is not None:
            if played_frame is not None:
                raise InvalidMessage("cancel has both played_frame and played_s; accepted: one of them")
            if not (is_number(played_s) and 0 <= played_s < 2**31):
                raise InvalidMessage(f"played_s is {echo(played_s)}; accepted: seconds from the utterance's beginning")
            played_frame = int(played_s * FPS)
        return cls(message.get("fade_s", 0.0), played_frame)


@dataclass(frozen=True, slots=True)
class SetEmotions:
    """A change of the emotions; checked by the session."""

    emotions: Mapping[str, float]
    time: float | None
    """Seconds of the utterance; None: from the end of what was spoken so far."""

    @classmethod
    def of(cls, message: Mapping[str, Any]) -> SetEmotions:
        """Return ``message``; raises InvalidMessage."""
        _check_names(message, "emotions", "time")
        emotions = message.get("emotions")
        if not isinstance(emotions, dict):
            raise InvalidMessage(f'emotions is {echo(emotions)}; accepted: an object such as {{"joy": 0.8}}')
        return cls(emotions, message.get("time"))


@dataclass(frozen=True, slots=True)
class SelectAvatar:
    """The choice of an avatar."""

    avatar_id: str

    @classmethod
    def of(cls, message: Mapping[str, Any]) -> SelectAvatar:
        """Return ``message``; raises InvalidMessage."""
        _check_names(message, "avatar_id")
        chosen = message.get("avatar_id")
        if not isinstance(chosen, str):
            raise InvalidMessage(f"avatar_id is {echo(chosen)}; accepted: the id that a registration gave")
        return cls(chosen)


def said(event: Mapping[str, Any]) -> Said:
    """Return what an ASGI ``websocket.receive`` carries.

    Raises:
        InvalidMessage: it is neither an object nor a block.
    """
    block: bytes | None = event.get("bytes")
    if block is not None:
        return block
    try:
        found = orjson.loads(event.get("text") or "")
    except orjson.JSONDecodeError as error:
        raise InvalidMessage(f"a message is not JSON ({error}); accepted: objects, and binary blocks") from error
    if not isinstance(found, dict):
        raise InvalidMessage(f"a message is a {type(found).__name__}; accepted: objects, and binary blocks")
    return found


def rows(frames: Sequence[Frame], audio: bool = False) -> bytes:
    """Return ``frames`` as little-endian float32 [F, 54]: index, timecode, weights.

    With ``audio``: F as little-endian uint32, the rows, and then the sound of them all, PCM16.
    """
    table = np.empty((len(frames), 2 + len(BLENDSHAPES)), ROW)
    for row, frame in zip(table, frames, strict=True):
        row[0], row[1], row[2:] = frame.index, frame.timecode, frame.weights
    if not audio:
        return table.tobytes()
    return len(frames).to_bytes(4, "little") + table.tobytes() + sound(frames)


def objects(frames: Sequence[Frame], audio: bool = False) -> bytes:
    """Return ``frames`` as JSON, with ``audio`` beside the sound of them all: PCM16 in base64."""
    listed = [{"frame": f.index, "timecode": f.timecode, "blendshapes": f.weights} for f in frames]
    heard = {"audio": b64encode(sound(frames)).decode()} if audio else {}
    return orjson.dumps({"type": "frames", "frames": listed, **heard}, option=orjson.OPT_SERIALIZE_NUMPY)


def sound(frames: Sequence[Frame]) -> bytes:
    """Return the sound of the time of ``frames``: PCM16."""
    return b"".join(frame.audio or b"" for frame in frames)


def echo(value: object) -> str:
    """Return ``value`` as an error repeats it: no longer than :data:`LONGEST_ECHO`."""
    text = repr(value)
    return text if len(text) <= LONGEST_ECHO else f"{text[:LONGEST_ECHO]}… ({len(text)} characters)"


def _check_names(message: Mapping[str, Any], *names: str) -> None:
    known = {"type", *names}
    if unknown := sorted(set(message) - known):
        raise InvalidMessage(f"{message['type']} has {echo(', '.join(unknown))}; accepted: {', '.join(sorted(known))}")


def _truth(message: Mapping[str, Any], name: str) -> bool:
    value = message.get(name, False)
    if not isinstance(value, bool):
        raise InvalidMessage(f"{name} is {echo(value)}; accepted: true, false")
    return value


def _choice(message: Mapping[str, Any], name: str, accepted: Sequence[str]) -> str:
    value = message.get(name, accepted[0])
    if value not in accepted:
        raise InvalidMessage(f"{name} is {echo(value)}; accepted: {', '.join(accepted)}")
    return str(value)
