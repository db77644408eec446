"""The bundled head fitted to a photograph: what comes out is an ordinary glTF that the 52 blendshapes move."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emotalk_avatar.drawn import lips, teeth
from emotalk_avatar.face import Face, Picture
from emotalk_avatar.fitting import backdrop, eyes, glb, mouth
from emotalk_avatar.fitting import face as skin
from emotalk_avatar.fitting.base import base
from emotalk_avatar.fitting.layers import Layer
from emotalk_avatar.fitting.surface import Surface, laid


@dataclass(frozen=True, slots=True)
class Fitted:
    """A head that looks like a picture."""

    picture: Picture
    """Its texture."""
    face: Face
    """In that picture."""
    surface: Surface
    layers: tuple[Layer, ...]
    """From the farthest to the nearest."""

    @property
    def neutral(self) -> NDArray[np.float32]:
        """[52]: weights that were taken away from the picture's expression; 0 for a closed mouth."""
        return self.surface.neutral.astype(np.float32)

    def glb(self) -> bytes:
        """Return ``avatar.glb``."""
        return glb.packed(
            self.layers,
            self.surface.pose,
            (self.picture.width, self.picture.height),
            (self.picture.pixels, teeth.texture(), eyes.textures(self.picture, self.face)),
            {},
        )


def fit(picture: Picture, face: Face) -> Fitted:
    """Fit the head to ``face``, which :func:`emotalk_avatar.quality.judge` has found good enough."""
    head = base()
    surface = laid(head, face)
    picture = lips.filled(picture, face, surface.eyes) if surface.open else picture
    eye, lid = eyes.layers(picture, face, surface)
    layers = (
        backdrop.layer(head, picture, surface),
        eye,
        *mouth.layers(head, picture, face, surface),
        skin.layer(head, picture, face, surface),
        lid,
    )
    return Fitted(picture, face, surface, layers)
