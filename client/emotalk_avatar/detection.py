"""A picture's faces: where they are, their landmarks, their expression."""

from __future__ import annotations

from emotalk_avatar.face import Face, Picture
from emotalk_avatar.models import FaceModels


async def find_face(picture: Picture, models: FaceModels) -> Face:
    """Return the only face of ``picture``.

    Raises:
        NoFace: none is seen.
        SeveralFaces: more than one is.
        ServerError: as :class:`~emotalk_avatar.models.FaceModels`.
    """
    raise NotImplementedError


async def find_faces(picture: Picture, models: FaceModels) -> list[Face]:
    """Return the faces of ``picture``, the largest first.

    Raises:
        ServerError: as :class:`~emotalk_avatar.models.FaceModels`.
    """
    raise NotImplementedError


async def follow_face(picture: Picture, models: FaceModels, before: Face | None) -> Face:
    """Return the face of a clip's next frame: looked for where it was ``before``, and anew where it is not there.

    Raises:
        NoFace: none is seen.
        ServerError: as :class:`~emotalk_avatar.models.FaceModels`.
    """
    raise NotImplementedError
