"""A request of the EmoTalk service, in our own words.

What is out of range is taken as the default, as that service does: its callers leave fields empty. No I/O.
"""

from __future__ import annotations

import math
import uuid
from dataclasses import dataclass
from typing import Any

from emotalk_client.settings import AnimateOptions
from emotalk_contract.limits import DEFAULT_PERSON
from emotalk_contract.recipe import Recipe

LEVELS = (0, 1)
LEVEL = 1
CHUNK_S = 25.0
OVERLAP_S = 0.5


@dataclass(frozen=True, slots=True)
class Asked:
    """One request, without its sound."""

    request_id: str
    """The caller's, or one of ours where it gave none."""
    level: int
    person: int
    post_processing: bool
    step_s: float
    """Seconds from the beginning of one chunk to that of the next."""

    @classmethod
    def of(cls, request: Any) -> Asked:
        """Return what an ``AudioRequest`` asks for."""
        chunk, overlap = request.chunk_duration, request.chunk_overlap
        chunk = chunk if math.isfinite(chunk) and chunk > 0 else CHUNK_S
        overlap = overlap if math.isfinite(overlap) and overlap >= 0 else OVERLAP_S
        return cls(
            request_id=request.request_id or str(uuid.uuid4()),
            level=request.emotion_level if request.emotion_level in LEVELS else LEVEL,
            person=request.person_id,
            post_processing=request.post_processing,
            step_s=chunk - overlap if overlap < chunk else chunk,
        )

    def options(self, recipe: Recipe) -> AnimateOptions:
        """Return the keywords of ``animate`` for a model of ``recipe``.

        Without ``post_processing`` the face is the decoder's own output, neither smoothed nor kept within 0..1.
        """
        options = AnimateOptions(person=self.person if 0 <= self.person < recipe.styles else DEFAULT_PERSON)
        if recipe.emotional:
            options["level"] = float(self.level)
        if not self.post_processing:
            options["raw"] = True
        return options
