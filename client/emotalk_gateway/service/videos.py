"""Videos of one gateway: what is asked for, and how many are drawn at once."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO

from emotalk_avatar.video.avatars import Drawn, drawn
from emotalk_avatar.video.elsewhere import write_elsewhere
from emotalk_avatar.video.framing import Order
from emotalk_avatar.video.living import shown
from emotalk_avatar.video.picturing import read_colour, read_size
from emotalk_avatar.video.writing import MAX_FPS, check_fps, check_suffix
from emotalk_client.errors import UnwritableFile
from emotalk_client.faces.animation import Animation
from emotalk_client.faces.life import SMALL, Life
from emotalk_client.threads import in_thread
from emotalk_contract.errors import InvalidOption
from emotalk_contract.limits import DEFAULT_SEED
from emotalk_contract.quoting import quoted
from emotalk_contract.renderers import RENDERERS, Renderer
from emotalk_contract.timing import FPS
from emotalk_gateway.service.avatars import Avatars
from emotalk_gateway.service.callers import Caller
from emotalk_gateway.service.capacity import Capacity
from emotalk_gateway.service.options import CLIP_OPTIONS
from emotalk_gateway.service.settings import GatewaySettings

DRAWN = 2
"""Files that are drawn at once; the others wait."""
LOOK_FIELDS = {
    "avatar_id": "of an avatar; default: the bundled head",
    "size": "`512x512`; default: the avatar's own, 512x512 of the head",
    "background": "`#rrggbb`, behind the head",
    "mark": "`true`: the pictures say that they are synthetic",
    "head": f"nods and sways, 0..1; default {SMALL.head:g}",
    "gaze": f"eyes that wander, 0..1; default {SMALL.gaze:g}",
    "idle": f"slow movements, as of breath, 0..1; default {SMALL.idle:g}",
}
"""Of a face that is drawn, with what they mean."""
FILE_FIELDS = {
    "format": "`mp4` (default) or `webm`",
    "fps": f"pictures a second, 1..{MAX_FPS}; default {FPS}",
    "renderer": f"{' or '.join(f'`{name}`' for name in RENDERERS)}: a network of the operator's own draws the mouth of "
    "`avatar_id`",
    **LOOK_FIELDS,
}
"""Of a video that is written, likewise."""


NOT_RENDERED = frozenset({"background", "head", "gaze", "idle", "options", *CLIP_OPTIONS})
"""Fields that mean nothing to a renderer."""


@dataclass(frozen=True, slots=True)
class Look:
    """A face that is to be drawn."""

    avatar_id: str | None
    order: Order
    life: Life

    @classmethod
    def taken(cls, given: dict[str, Any]) -> Look:
        """Return what the :data:`LOOK_FIELDS` in ``given`` ask for, and take them out of it.

        Raises:
            InvalidVideo, InvalidOption: a value is not one.
        """
        avatar_id = given.pop("avatar_id", None)
        if avatar_id is not None and not isinstance(avatar_id, str):
            raise InvalidOption(f"avatar_id is {quoted(avatar_id)}; accepted: an avatar's id")
        size, background = given.pop("size", None), given.pop("background", None)
        order = Order(
            size=None if size is None else read_size(str(size)),
            background=None if background is None else read_colour(str(background)),
            mark=_truth(given.pop("mark", False)),
        )
        head, gaze, idle = (_number(name, given.pop(name, getattr(SMALL, name))) for name in ("head", "gaze", "idle"))
        return cls(avatar_id or None, order, Life(head, gaze, idle, _seed(given.get("seed", DEFAULT_SEED))))


@dataclass(frozen=True, slots=True)
class VideoFile:
    """A video that is to be written."""

    look: Look
    suffix: str
    fps: float
    renderer: Renderer | None = None
    """Draws the mouth; None: the whole head is drawn."""

    @classmethod
    def taken(cls, given: dict[str, Any]) -> VideoFile:
        """Return what the :data:`FILE_FIELDS` in ``given`` ask for, and take them out of it.

        Raises:
            UnknownFormat, InvalidVideo, InvalidOption: a value is not one, or means nothing to a renderer.
        """
        renderer = _renderer(given)
        suffix = check_suffix(f".{str(given.pop('format', 'mp4')).removeprefix('.')}")
        return cls(Look.taken(given), suffix, check_fps(_number("fps", given.pop("fps", FPS))), renderer)


class Videos:
    """The videos of a gateway.

    Args:
        avatars: whose faces are drawn.
    """

    def __init__(self, settings: GatewaySettings, avatars: Avatars) -> None:
        self._avatars = avatars
        self.max_s = settings.max_video_s
        self.files = Capacity("videos", settings.max_videos, DRAWN)
        self.streams = Capacity("video streams", settings.max_video_streams)

    async def avatar(self, caller: Caller, avatar_id: str | None) -> Drawn | None:
        """Return the avatar that ``caller`` may see; None: no avatar is asked for.

        Raises:
            NotPermitted: the caller may not ask for avatars.
            AvatarsOff, UnknownAvatar, DamagedAvatar: there is none, or not as it was.
        """
        if avatar_id is None:
            return None
        caller.check("avatars")
        found = await self._avatars.get(caller, avatar_id)
        content: Drawn = await in_thread(drawn, found, self._avatars.store.read)
        return content

    async def written(self, asked: VideoFile, avatar: Drawn | None, face: Animation, sound: BinaryIO) -> BinaryIO:
        """Return the video of ``face`` with ``sound``, once it is its turn: a file without a name, for the caller to
        close.

        Raises:
            UnwritableFile: there is no room for it.
            EmoTalkError: as :func:`~emotalk_avatar.video.elsewhere.write_elsewhere`.
        """
        faces = await in_thread(shown, face, asked.fps, asked.look.life)
        order = _order(asked)
        with contextlib.ExitStack() as held:
            out = held.enter_context(nameless())
            heard = held.enter_context(nameless())
            await in_thread(_copied, sound, heard)
            async with self.files.run():
                await write_elsewhere(order, avatar, faces, heard, out)
            held.pop_all()
            heard.close()
            return out


def _renderer(given: dict[str, Any]) -> Renderer | None:
    """Take the renderer out of ``given``, and refuse what has no meaning beside it."""
    if (name := given.pop("renderer", None)) is None:
        return None
    found = next((known for known in RENDERERS if known == name), None)
    if found is None:
        raise InvalidOption(f"renderer is {quoted(name)}; accepted: {', '.join(RENDERERS)}")
    if not given.get("avatar_id"):
        raise InvalidOption("renderer is given without avatar_id; accepted: both, for it draws an avatar")
    if moved := sorted(given.keys() & NOT_RENDERED):
        raise InvalidOption(f"{moved[0]} came with a renderer, which draws what it hears; accepted: without it")
    return found


def _order(asked: VideoFile) -> Order:
    look = asked.look.order
    return Order(size=look.size, background=look.background, mark=look.mark, fps=asked.fps, suffix=asked.suffix)


def nameless() -> BinaryIO:
    """Return a file without a name; raise :class:`UnwritableFile` where there is no room for it."""
    try:
        return tempfile.TemporaryFile()
    except OSError as error:
        raise UnwritableFile(f"a file cannot be made: {error.strerror or error}") from error


def _copied(source: BinaryIO, to: BinaryIO) -> None:
    source.seek(0)
    try:
        shutil.copyfileobj(source, to)
        to.flush()
    except OSError as error:
        raise UnwritableFile(f"a sound cannot be held: {error.strerror or error}") from error


def _number(name: str, value: object) -> float:
    try:
        return float(value)  # type: ignore[arg-type]  # what is not a number raises
    except (TypeError, ValueError, OverflowError):
        raise InvalidOption(f"{name} is {quoted(value)}; accepted: a number") from None


def _seed(value: object) -> int:
    found = _number("seed", value)
    if not found.is_integer():
        raise InvalidOption(f"seed is {quoted(value)}; accepted: a whole number")
    return int(found)


def _truth(value: object) -> bool:
    known: Mapping[object, bool] = {True: True, False: False, "true": True, "false": False, "1": True, "0": False}
    if not isinstance(value, str | bool) or value not in known:
        raise InvalidOption(f"mark is {quoted(value)}; accepted: true, false")
    return known[value]
