"""The options of ``live``."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from emotalk_client.live.audio import SpokenAudio
from emotalk_client.live.planner import LiveLayout
from emotalk_client.live.stepping import Stepping
from emotalk_client.live.ways import Way
from emotalk_client.live.windowing import Windowing
from emotalk_client.settings import FaceOptions, FaceSettings, is_number
from emotalk_client.windows.planner import MAX_WINDOW_S, grid_ceil
from emotalk_contract.errors import InvalidOption, InvalidWindow
from emotalk_contract.quoting import quoted
from emotalk_contract.recipe import Recipe
from emotalk_contract.timing import FPS, SAMPLE_RATE

if TYPE_CHECKING:
    from typing_extensions import Unpack as Unpack

SMOOTHING_S = 1 / FPS
"""Seconds by which smoothing lengthens the look-ahead: it takes two neighbours of the future, of which only the nearer
has all of its own look-ahead; the farther, whose weight is 3/35, is taken as it is known by then."""
LONGEST_EXACT_HOP = 2
"""Frames of the longest hop with which frames that wait for both of smoothing's neighbours come within 300 ms."""
CATCH_UP_S = 2.0
"""Seconds of frames that one late window counts at most."""
LONGEST_HOP_S = 1.0
LONGEST_BACKLOG_S = 600.0
LONGEST_FADE_S = 10.0


class LiveOptions(FaceOptions, total=False):
    """Keywords of ``live``; the defaults are those of :class:`LiveSettings`."""

    hop: float
    """Seconds between two requests, rounded to whole frames: shorter is sooner, and costs more of them."""
    context: float | None
    """Seconds of the past in each window; None: what the served model needs, and of a model that streams, nothing is
    sent twice."""
    look_ahead: float | None
    """Seconds of the future that a frame waits for; None: what the served model needs, and what smoothing does."""
    prompt: bool | None
    """Of a model that streams: frames come 33 ms sooner, smoothed before their second neighbour is there, and may be
    off by up to 0.03. None: where ``hop`` is longer than two frames."""
    backlog: float
    """Seconds of speech that may wait for their frames, beyond what every frame has to wait for; then ``push`` waits,
    so that memory cannot grow."""
    min_fps: float
    """Frames per second down to which the rate may fall while the server is late; 30: no frame is ever left out."""
    timeout_s: float
    """Seconds that one request may take, retries included; the session ends with an error when one takes longer."""


@dataclass(frozen=True, slots=True)
class LiveSettings(FaceSettings):
    """One stream's :class:`LiveOptions`, checked."""

    hop: float = 2 / FPS
    context: float | None = None
    look_ahead: float | None = None
    prompt: bool | None = None
    backlog: float = 10.0
    min_fps: float = FPS
    timeout_s: float = 30.0

    def __post_init__(self) -> None:
        FaceSettings.__post_init__(self)  # super() does not survive slots=True
        for name, least, most, kind in (
            ("hop", 1 / FPS / 2, LONGEST_HOP_S, InvalidWindow),
            ("backlog", LONGEST_HOP_S, LONGEST_BACKLOG_S, InvalidOption),
            ("min_fps", 1, FPS, InvalidOption),
            ("timeout_s", 0.001, math.inf, InvalidOption),
        ):
            value = getattr(self, name)
            if not (is_number(value) and least <= value <= most):  # NaN fails too
                raise kind(f"{name} is {quoted(value)}; accepted: {least:.3g}..{most:g}")
        for name in ("context", "look_ahead"):
            value = getattr(self, name)
            if not (value is None or (is_number(value) and 0 <= value <= MAX_WINDOW_S)):
                raise InvalidWindow(f"{name} is {quoted(value)}; accepted: 0..{MAX_WINDOW_S:g} seconds, or None")
        if not (self.prompt is None or isinstance(self.prompt, bool)):
            raise InvalidOption(f"prompt is {quoted(self.prompt)}; accepted: true, false, or None")
        self.layout(Recipe())

    def way(self, recipe: Recipe, audio: SpokenAudio, inputs: dict[str, NDArray[Any]]) -> Way:
        """Return the way from ``audio`` to frames for a model of ``recipe``.

        Args:
            recipe: of the served model.
            audio: the stream's.
            inputs: what goes with every request.

        Raises:
            InvalidWindow: as :meth:`layout`.
        """
        layout = self.layout(recipe)
        windows = partial(Windowing, layout, audio, inputs, detected=recipe.detected_emotions)
        own = (self.context, self.look_ahead, self.emotion_audio)
        if recipe.steps is None or any(value is not None for value in own):
            return windows(0)
        smooth = self.smooth and not self.raw
        prompt = layout.hop > LONGEST_EXACT_HOP if self.prompt is None else self.prompt
        return Stepping(layout, recipe.steps, audio, inputs, windows, smooth=smooth, prompt=prompt)

    def layout(self, recipe: Recipe) -> LiveLayout:
        """Return how windows lie for a model of ``recipe``.

        Raises:
            InvalidWindow: context, hop and look-ahead are more than one request can carry.
        """
        context = recipe.live_context_s + self.filtered_s if self.context is None else self.context
        look_ahead = self.look_ahead
        if look_ahead is None:
            look_ahead = recipe.live_look_ahead_s + (SMOOTHING_S if self.smooth and not self.raw else 0.0)
        hop = max(1, round(self.hop * FPS))
        most = round(CATCH_UP_S * FPS)
        layout = LiveLayout(grid_ceil(context), hop, max(1, math.ceil(look_ahead * SAMPLE_RATE - 1e-6)), most)
        if layout.samples(most) > MAX_WINDOW_S * SAMPLE_RATE:
            raise InvalidWindow(
                f"context {context:g} s, look-ahead {look_ahead:g} s and {most / FPS:g} s of frames are more than one "
                f"request carries; accepted: {MAX_WINDOW_S:g} s in all"
            )
        return layout
