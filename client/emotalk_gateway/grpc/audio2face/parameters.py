"""The parameters of a caller's header, as options of the face.

Rule that this module guards: **what has no meaning here is accepted, and logged once.** Clients send more than they are
asked for: shapes of the tongue, values outside the documented ranges, names of other versions. A call does not fail for
it. docs/audio2face.md lists what each parameter does.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Mapping
from typing import Any

from emotalk_client.live.settings import LiveOptions
from emotalk_contract.arkit import INDEX
from emotalk_contract.limits import MAX_EMOTION_TRANSITION_S, MAX_GAIN
from emotalk_contract.quoting import quoted
from emotalk_contract.regions import FACE_PARAMETERS
from emotalk_gateway.grpc.audio2face.emotions import amounts, check_names, given

TRANSITION_S = 0.5
"""Of Audio2Face-3D's own; so are the next two."""
EMOTION_STRENGTH = 0.6
PREFERRED_STRENGTH = 0.5
MOST_NOTICES = 256
"""Different ones that are logged by one gateway."""

logger = logging.getLogger(__name__)


class Notices:
    """Logs each name that means nothing here once, however many calls bring it."""

    def __init__(self) -> None:
        self._said: set[tuple[str, str]] = set()

    def ignored(self, kind: str, name: str) -> None:
        """Say that ``name``, of ``kind``, changes nothing."""
        if (kind, name) not in self._said and len(self._said) < MOST_NOTICES:
            self._said.add((kind, name))
            logger.info("%s %s means nothing here, and is ignored", kind, quoted(name))


def options_of(header: Any, notices: Notices) -> LiveOptions:
    """Return the options of a live stream that an AudioStreamHeader asks for, but for emotions with time codes.

    The amount of an emotion is ``emotion_strength * w * given``, with w = ``preferred_emotion_strength``, or 0 where
    ``enable_preferred_emotion`` is false (Maya-ACE's documentation; its term for what is detected in the voice is 0).

    Raises:
        InvalidMessage: a list has more names than anybody has a use for.
    """
    shapes, face = header.blendshape_params, header.face_params
    strengths = header.emotion_post_processing_params
    for what, values in (
        ("float_params", face.float_params),
        ("integer_params", face.integer_params),
        ("float_array_params", face.float_array_params),
        ("bs_weight_multipliers", shapes.bs_weight_multipliers),
        ("bs_weight_offsets", shapes.bs_weight_offsets),
        ("beginning_emotion", header.emotion_params.beginning_emotion),
    ):
        check_names(what, values)
    for kind in ("integer_params", "float_array_params"):
        for name in getattr(face, kind):
            notices.ignored(f"face_params.{kind}", name)
    for name in ("emotion_contrast", "live_blend_coef", "max_emotions"):
        if strengths.HasField(name):
            notices.ignored("emotion_post_processing_params", name)
    region = _known(face.float_params, FACE_PARAMETERS, "face_params.float_params", notices)
    for name in region:
        if not FACE_PARAMETERS[name].meaning:
            notices.ignored("face_params.float_params", name)
    preferred = given(strengths, "preferred_emotion_strength", PREFERRED_STRENGTH, 1.0)
    if strengths.HasField("enable_preferred_emotion") and not strengths.enable_preferred_emotion:
        preferred = 0.0
    return {
        "clamp": shapes.HasField("enable_clamping_bs_weight") and shapes.enable_clamping_bs_weight,
        "gains": _by_shape(shapes.bs_weight_multipliers, "bs_weight_multipliers", notices),
        "offsets": _by_shape(shapes.bs_weight_offsets, "bs_weight_offsets", notices),
        "region": region,
        "emotions": amounts(header.emotion_params.beginning_emotion, notices),
        "emotion_transition": given(
            header.emotion_params, "live_transition_time", TRANSITION_S, MAX_EMOTION_TRANSITION_S
        ),
        "emotion_strength": preferred * given(strengths, "emotion_strength", EMOTION_STRENGTH, 1.0),
    }


def _by_shape(values: Mapping[str, float], kind: str, notices: Notices) -> dict[str, float]:
    ours = {name[:1].lower() + name[1:]: value for name, value in values.items()}
    known = _known(ours, INDEX, kind, notices)
    return {name: min(max(value, -MAX_GAIN), MAX_GAIN) for name, value in known.items()}


def _known(values: Mapping[str, float], names: Iterable[str], kind: str, notices: Notices) -> dict[str, float]:
    known = {}
    for name, value in values.items():
        if name in names and math.isfinite(value):
            known[name] = value
        else:
            notices.ignored(kind, name)
    return known
