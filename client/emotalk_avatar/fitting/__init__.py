"""The bundled head fitted to a photograph: what comes out is an ordinary glTF that the 52 blendshapes move."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emotalk_avatar.drawn import lips, teeth
from emotalk_avatar.face import Face, Picture
from emotalk_avatar.fitting import backdrop, eyes, glb, mouth
from emotalk_avatar.fitting import face as skin
from emotalk_avatar.fitting.base import Base, base
from emotalk_avatar.fitting.framing import Frame
from emotalk_avatar.fitting.layers import Layer
from emotalk_avatar.fitting.surface import Surface, laid


@dataclass(frozen=True, slots=True)
class Fitted:
    """A head that looks like a picture."""

    frame: Frame
    """The part of the picture that it shows."""
    picture: Picture
    """Its texture: that part; the mouth is painted over where it was open."""
    face: Face
    """In pixels of the texture."""
    surface: Surface
    layers: tuple[Layer, ...]
    """From the farthest to the nearest."""

    @property
    def neutral(self) -> NDArray[np.float32]:
        """[52]: weights that were taken away from the picture's expression; 0 for a closed mouth."""
        return self.surface.neutral.astype(np.float32)

    @property
    def facts(self) -> dict[str, Any]:
        """For a package's ``fit``: what part of the picture is shown, and whether its mouth was open."""
        return {"crop": list(self.frame.crop), "size": list(self.frame.size), "open_mouth": self.surface.open}

    def glb(self) -> bytes:
        """Return ``avatar.glb``."""
        drawings = teeth.texture(), eyes.textures(self.picture, self.face)
        return glb.packed(self.layers, self.surface.pose, self.picture.pixels, drawings)


def fit(picture: Picture, face: Face, frame: Frame | None = None, *, glasses: bool = False) -> Fitted:
    """Fit the head to ``face``, which :func:`emotalk_avatar.quality.judge` has found good enough.

    Args:
        picture: as it was decoded.
        face: in its pixels.
        frame: the part of it that is shown; None: that around ``face``.
        glasses: True where glasses are worn, which are not to go along with brows and cheeks.
    """
    head = base()
    frame = frame or Frame.of(picture, face)
    picture, face = frame.picture(picture), frame.face(face)
    surface = laid(head, face, glasses=glasses)
    picture = lips.filled(picture, face, surface.eyes) if surface.open else picture
    eye, lid = eyes.layers(picture, face, surface)
    layers = (
        backdrop.layer(head, picture, surface),
        eye,
        *mouth.layers(head, picture, face, surface),
        skin.layer(head, picture, face, surface),
        lid,
    )
    return Fitted(frame, picture, face, surface, layers)


def layers_of(
    head: Base, picture: Picture, face: Face, surface: Surface, like: tuple[Layer, ...]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return points [V, 2] in pixels and places [V, 2] of all layers for another ``face``, in the order of ``like``.

    Vertices are those of ``like``, which has been fitted to a face in a picture of the same size.
    """
    backplaces, backpoints, _ = backdrop.placed(head, picture, surface)
    eye, lid = eyes.layers(picture, face, surface)
    tongue, tooth = mouth.layers(head, picture, face, surface)
    numbers = next(layer.numbers for layer in like if layer.name == "face")
    points = [backpoints, eye.points, tongue.points, tooth.points, surface.rest[numbers], lid.points]
    places = [backplaces, eye.places, tongue.places, tooth.places]
    places += [skin.placed(head, picture, face, surface)[numbers], lid.places]
    return np.concatenate(points)[:, :2], np.concatenate(places)
