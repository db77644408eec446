"""A face that can be made to speak, or a refusal in words.

Measured of a face:

``presence``
    0..1, the landmark network's.
``interocular_px``
    Pixels between the outer corners of the eyes.
``yaw_deg``, ``pitch_deg``, ``roll_deg``
    Degrees by which the head is turned to its left, down, and clockwise as seen, by the similarity that lays this
    project's head on the landmarks.
``inside``
    Share of the landmarks that lie in the picture.
``sharpness``
    Of the face drawn at most 256 pixels wide: the variance of the Laplacian of its grey, scaled to the contrast of
    :data:`USUAL_CONTRAST`. So neither dark skin nor a dark picture counts as blurred.
``contrast``
    Standard deviation of the face's grey, 0..255.
``eye_light``
    Grey that a tenth of the eyes' own pixels reach: their whites and highlights, which tell a dark picture from dark
    skin.
``clipped``
    Share of the face that is as light as a picture can be.
``light_ratio``
    Mean grey of the face's right half by that of its left, as seen.
``lip_gap``
    Distance of the lips by the mouth's width.
``smile``, ``blink``
    0..1, the stronger side, as the expression network sees it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emotalk_avatar import limits
from emotalk_avatar.errors import PoorPicture
from emotalk_avatar.face import Face, Picture
from emotalk_avatar.fitting import mesh478
from emotalk_avatar.fitting.base import base
from emotalk_avatar.fitting.posing import pose_of
from emotalk_avatar.fitting.surface import mouth_gap
from emotalk_avatar.landmarks import interocular, roll
from emotalk_avatar.warping import Region, cut, filled
from emotalk_contract.arkit import INDEX

LEAST_SIDE, SIDE = 16, 256
"""Pixels of the drawing of a face on which its light is measured; between them, as many as the face has."""
EYE_SIDE = 48
"""Likewise, of an eye."""
USUAL_CONTRAST = 40.0
"""Standard deviation of the grey of a usual portrait's face."""
LIGHTEST = 250
"""Grey from which on a pixel counts as clipped."""
LUMA = np.array([0.299, 0.587, 0.114], np.float32)
"""Shares of red, green and blue in grey, as ITU-R BT.601 has them."""


@dataclass(frozen=True, slots=True)
class Quality:
    """The measures of a face, and what may be better."""

    warnings: tuple[str, ...]
    """In words, for the person; () for a good one."""
    measures: Mapping[str, float]
    """By name; :mod:`emotalk_avatar.quality` says how each is measured."""


def judge(picture: Picture, face: Face) -> Quality:
    """Measure ``face`` in ``picture``.

    Raises:
        PoorPicture: it cannot be made to speak; its message says what was measured, what is accepted, what to do.
    """
    measures = measured(picture, face)
    refusals, warnings = verdicts(measures)
    if refusals:
        raise PoorPicture("; ".join(refusals), measures)
    return Quality(tuple(warnings), measures)


def measured(picture: Picture, face: Face) -> dict[str, float]:
    """Return the measures of ``face`` by name."""
    turn = pose_of(base(), face).turn
    grey, shown = _upright(picture, face)
    on_face = grey[shown]
    middle = len(grey) // 2
    left, right = grey[:, :middle][shown[:, :middle]], grey[:, middle:][shown[:, middle:]]
    contrast = float(on_face.std())
    scaled = grey * np.float32(USUAL_CONTRAST / max(contrast, 1.0))
    points = face.landmarks[:, :2]
    weights = face.weights
    return {
        "presence": float(face.presence),
        "interocular_px": interocular(face.landmarks),
        "yaw_deg": -math.degrees(math.atan2(turn[0, 2], turn[2, 2])),
        "pitch_deg": math.degrees(math.asin(np.clip(-turn[1, 2], -1, 1))),
        "roll_deg": math.degrees(math.atan2(turn[1, 0], turn[1, 1])),
        "inside": float(((points >= 0) & (points <= [picture.width, picture.height])).all(axis=1).mean()),
        "sharpness": float(_laplacian(scaled)[shown[1:-1, 1:-1]].var()),
        "contrast": contrast,
        "eye_light": _eye_light(picture, face),
        "clipped": float((on_face >= LIGHTEST).mean()),
        "light_ratio": float((right.mean() + 1) / (left.mean() + 1)),
        "lip_gap": mouth_gap(face),
        "smile": float(max(weights[INDEX["mouthSmileLeft"]], weights[INDEX["mouthSmileRight"]])),
        "blink": float(max(weights[INDEX["eyeBlinkLeft"]], weights[INDEX["eyeBlinkRight"]])),
    }


def _upright(picture: Picture, face: Face) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Return the grey [side, side] of the face, drawn upright, and where the face lies in it."""
    angle = roll(face.landmarks)
    axes = Region(0, 0, 1, angle).axes()
    oval = face.landmarks[list(mesh478.OVAL), :2] @ axes
    low, high = oval.min(axis=0), oval.max(axis=0)
    size = max(float(np.max(high - low)), 1.0)
    side = int(np.clip(size, LEAST_SIDE, SIDE))
    x, y = axes @ ((low + high) / 2)
    grey = cut(picture.pixels, Region(float(x), float(y), size, angle), side) @ LUMA
    outline = (oval - (low + high) / 2) * (side / size) + side / 2
    return grey, filled(outline, side)


def _eye_light(picture: Picture, face: Face) -> float:
    """Return the grey that a tenth of the eyes' own pixels reach."""
    greys = []
    for side in ("Right", "Left"):
        outline = face.landmarks[[*mesh478.EYE_UPPER[side], *mesh478.EYE_LOWER[side][-2:0:-1]], :2].astype(np.float64)
        low, high = outline.min(axis=0), outline.max(axis=0)
        size = max(float(np.max(high - low)), 1.0)
        middle = (low + high) / 2
        grey = cut(picture.pixels, Region(float(middle[0]), float(middle[1]), size), EYE_SIDE) @ LUMA
        greys.append(grey[filled((outline - middle) * (EYE_SIDE / size) + EYE_SIDE / 2, EYE_SIDE)])
    seen = np.concatenate(greys)
    return float(np.quantile(seen, 0.9)) if seen.size else 0.0


def _laplacian(grey: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the sum of the four neighbours less four times the pixel, [h - 2, w - 2]."""
    found: NDArray[np.float32] = (
        grey[:-2, 1:-1] + grey[2:, 1:-1] + grey[1:-1, :-2] + grey[1:-1, 2:] - 4 * grey[1:-1, 1:-1]
    )
    return found


def verdicts(measures: Mapping[str, float]) -> tuple[list[str], list[str]]:
    """Return what is refused and what is warned of in ``measures``, in words."""
    refusals: list[str] = []
    warnings: list[str] = []
    for badness, refused, warned, says in _findings(measures):
        if badness > refused:
            refusals.append(says)
        elif badness > warned:
            warnings.append(says)
    return refusals, warnings


def _findings(measures: Mapping[str, float]) -> Iterator[tuple[float, float, float, str]]:
    """Yield how bad each thing is, the bounds beyond which it is refused and warned of, and what to say of it."""
    yield (
        -measures["presence"],
        -limits.MIN_PRESENCE,
        -limits.MIN_PRESENCE,
        f"it is not clearly a face: {measures['presence']:.2f} sure; accepted: {limits.MIN_PRESENCE:g} or more. Show "
        "the face from the front, upright, with nothing before it, please",
    )
    eyes = measures["interocular_px"]
    yield (
        -eyes,
        -limits.MIN_INTEROCULAR_PX,
        -limits.GOOD_INTEROCULAR_PX,
        f"the face is small: its eyes are {eyes:.0f} pixels apart; accepted: {limits.MIN_INTEROCULAR_PX} or more, "
        f"good: {limits.GOOD_INTEROCULAR_PX}. Take a larger or closer picture, please",
    )
    yaw, pitch, lean = (measures[f"{name}_deg"] for name in ("yaw", "pitch", "roll"))
    yield (
        abs(yaw),
        limits.MAX_YAW_DEG,
        limits.GOOD_YAW_DEG,
        f"the head is turned aside by {abs(yaw):.0f}°; accepted: at most {limits.MAX_YAW_DEG}°, good: "
        f"{limits.GOOD_YAW_DEG}°. Look into the camera, please",
    )
    yield (
        abs(pitch),
        limits.MAX_PITCH_DEG,
        limits.GOOD_PITCH_DEG,
        f"the head is turned {'down' if pitch > 0 else 'up'} by {abs(pitch):.0f}°; accepted: at most "
        f"{limits.MAX_PITCH_DEG}°, good: {limits.GOOD_PITCH_DEG}°. Hold the camera at the height of the eyes, please",
    )
    yield (
        abs(lean),
        limits.MAX_ROLL_DEG,
        limits.GOOD_ROLL_DEG,
        f"the head leans by {abs(lean):.0f}°; accepted: at most {limits.MAX_ROLL_DEG}°, good: {limits.GOOD_ROLL_DEG}°. "
        "Turn the picture upright, please",
    )
    inside = measures["inside"]
    yield (
        -inside,
        -limits.MIN_INSIDE,
        -limits.GOOD_INSIDE,
        f"the face is cut off by the picture's edge: {100 * inside:.0f} % of it are seen; accepted: "
        f"{100 * limits.MIN_INSIDE:.0f} % or more, good: all of it. Leave some room around the head, please",
    )
    sharpness = measures["sharpness"]
    yield (
        -sharpness,
        -limits.MIN_SHARPNESS,
        -limits.GOOD_SHARPNESS,
        f"the picture is blurred: its sharpness is {sharpness:.0f}; accepted: {limits.MIN_SHARPNESS} or more, good: "
        f"{limits.GOOD_SHARPNESS}. Take a sharp one, please",
    )
    contrast, light = measures["contrast"], measures["eye_light"]
    yield (
        # Dark where both are less: dark skin in a good light has little contrast, but eyes that are lit.
        -max(contrast / limits.GOOD_CONTRAST, light / limits.GOOD_EYE_LIGHT),
        -max(limits.MIN_CONTRAST / limits.GOOD_CONTRAST, limits.MIN_EYE_LIGHT / limits.GOOD_EYE_LIGHT),
        -1.0,
        f"the picture is dark: the face has a contrast of {contrast:.0f} and its eyes a light of {light:.0f}; good: "
        f"{limits.GOOD_CONTRAST} or {limits.GOOD_EYE_LIGHT}. More light, please",
    )
    clipped = measures["clipped"]
    yield (
        clipped,
        limits.MAX_CLIPPED,
        limits.GOOD_CLIPPED,
        f"the picture is overexposed: {100 * clipped:.0f} % of the face are white; accepted: at most "
        f"{100 * limits.MAX_CLIPPED:.0f} %, good: {100 * limits.GOOD_CLIPPED:.0f} %. Less light, please",
    )
    ratio = max(measures["light_ratio"], 1 / measures["light_ratio"])
    yield (
        ratio,
        math.inf,
        limits.GOOD_LIGHT_RATIO,
        f"the light comes from the side: one half of the face is {ratio:.1f} times as light as the other; good: at "
        f"most {limits.GOOD_LIGHT_RATIO:g}. Light from the front, please",
    )
    yield (
        measures["blink"],
        limits.MAX_BLINK,
        limits.MAX_BLINK,
        f"an eye is closed: {measures['blink']:.2f} of a blink; accepted: at most {limits.MAX_BLINK:g}. Open "
        "eyes, please",
    )
    gap = measures["lip_gap"]
    yield (
        gap,
        math.inf,
        limits.GOOD_LIP_GAP,
        f"the mouth is open: by {gap:.2f} of its width; good: at most {limits.GOOD_LIP_GAP:g}. A closed mouth, please",
    )
    yield (
        measures["smile"],
        math.inf,
        limits.GOOD_SMILE,
        f"the face smiles: {measures['smile']:.2f}; good: at most {limits.GOOD_SMILE:g}. A calm face with a closed "
        "mouth, please",
    )
