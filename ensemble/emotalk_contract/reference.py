"""``docs/protocol.md``, generated: what any Triton client may send and gets."""

from __future__ import annotations

import json
from collections.abc import Iterable

from emotalk_contract import errors, limits, tensors
from emotalk_contract.arkit import BLENDSHAPE_COUNT
from emotalk_contract.emotions import ACTION_UNITS, EMOTIONS, Emotion
from emotalk_contract.options import DESCRIPTIONS, Options
from emotalk_contract.regions import FACE_PARAMETERS, MOST_REACH
from emotalk_contract.tensors import Tensor
from emotalk_contract.timing import FPS, GRID_FRAMES, GRID_SAMPLES, SAMPLE_RATE

EXAMPLE = f"""\
python3 -c 'import json, math; print(json.dumps({{"AUDIO": [math.sin(i / 20) for i in range(16000)], "seed": 4}}))' |
  curl -s -H 'Content-Type: application/json' --data-binary @- \\
    localhost:8000/v2/models/{tensors.ENSEMBLE.name}/generate | head -c 300"""
"""A command of the page; a test runs it."""


def protocol() -> str:
    """Return the page as Markdown."""
    default = Options()
    options = "\n".join(
        f"| `{name}` | `{json.dumps(getattr(default, name))}` | {text} |" for name, text in DESCRIPTIONS.items()
    )
    mistakes = "\n".join(
        f"| `{cls.__name__}` | {(cls.__doc__ or '').strip()} |" for cls in errors.InvalidRequest.__subclasses__()
    )
    feelings = "\n".join(f"| `{name}` | {_units(emotion)} | {emotion.source} |" for name, emotion in EMOTIONS.items())
    units = "\n".join(
        f"| {number} | {unit.name} | {', '.join(f'`{name}`' for name in (*unit.left, *unit.right))} |"
        for number, unit in ACTION_UNITS.items()
    )
    regions = "\n".join(
        f"| `{name}` | {p.least:g}..{p.most:g} | {p.default:g} | {p.meaning or 'nothing here: accepted, and ignored'} |"
        for name, p in FACE_PARAMETERS.items()
    )
    return f"""\
<!-- Generated from emotalk_contract by `make configs`; do not edit. -->

# The model `{tensors.ENSEMBLE.name}`

What any Triton client, gRPC or HTTP, may send and gets. Every tensor has a batch axis in front
(1 to {limits.MAX_BATCH}; items of one batch have equal lengths).

## Inputs

{_table(tensors.ENSEMBLE.inputs)}

Audio: {limits.MIN_SAMPLES} to {limits.MAX_SAMPLES} samples at {SAMPLE_RATE} Hz
({limits.MAX_FRAMES} frames at {FPS} fps); longer clips are sent as windows. A window starts on the grid of
{GRID_FRAMES} frames = {GRID_SAMPLES} samples. A clip of n samples has exactly ceil({FPS} n / {SAMPLE_RATE}) frames.
Where the model's recipe says `levelled` (the bundled one's does), a request without START_FRAME is levelled as a clip;
a window is taken as it is, for its clip was levelled before it was cut.

## Outputs

{_table(tensors.ENSEMBLE.outputs)}

## Request parameters

| name | default | meaning |
|---|---|---|
{options}

### Emotions

At 1, an emotion adds these FACS action units (intensity 0..1; left / right where the sides differ), several together
their sum. Units that open the lips count only where speech has opened them, units that press them only where it has
not, and a lid raiser not in a blink: see `emotalk_contract.emotions`.

| name | action units | source |
|---|---|---|
{feelings}

| unit | | blendshapes |
|---|---|---|
{units}

### Emotions over time

`emotion_keys` lists moments and the emotions that hold from each of them until the next, in any order; of equal times
the last one counts, and an emotion that is not named is 0. Before the first key it is `emotions`. A change is spread
over the `emotion_transition` seconds T that follow its key's time t, by S(x) = 3x² - 2x³ with x = (now - t) / T,
which begins at t and never before; with T = 0 it is a step. The amounts are a function of absolute time alone, so that
a live stream, a window and the whole clip get the same. At most {limits.MAX_EMOTION_KEYS} keys and
{limits.MAX_EMOTION_KEYS_CHARACTERS} characters; a window needs only those that are at work in it, and those before
it as `emotions`.

### Regions

The parameters that Audio2Face calls `face_params`. Any finite number is accepted, and what lies outside the range
counts as its nearer end. A parameter that is not given changes nothing, whatever Audio2Face's own default is.

| name | range | default | meaning |
|---|---|---|---|
{regions}

Upper and lower face meet at `faceMaskLevel`, on a scale on which each blendshape has a height: 0.32 the jaw, 0.40 the
corners of the mouth, 0.58 the cheeks, 0.67 the nose, 0.72 the eyes, 0.81 the brows (`emotalk_contract.regions` has all,
measured on the head that the client carries). Smoothing is a one-pole filter that looks back only, at most
{MOST_REACH} frames; lids, gaze and tongue are not smoothed.

### Order

smoothing (`smooth`), blinks (`blink`), strengths of regions, emotions (with the strengths of their regions), smoothing
of regions, lids' and lips' offsets, `gains`, `offsets`, `clamp`. So the weight is raw * gain + offset, as Audio2Face
has it, with all else in "raw": a gain of 0 gives 0.

## Over HTTP

Triton's `generate` takes one clip as plain JSON: `{tensors.AUDIO.name}` is the list of samples, an optional tensor of
one number is that number, and the request parameters stand beside them. **Send the content type**: curl's own is a
form's, which Triton's HTTP server parses on its stack, and it died of every form of 4.8 MB (15 s of sound) and more
that was tried with Triton 2.51.

```bash
{EXAMPLE}
```

The answer has `{tensors.BLENDSHAPES.name}`, row after row of {BLENDSHAPE_COUNT} weights in one list, and
`{tensors.TIMECODES.name}`. Batches and tensors of more than one axis go to `infer`, in the KServe v2 protocol, with
the same content type.

## The inner models

The ensemble's steps, `{tensors.PREPROCESS.name}` to `{tensors.POSTPROCESS.name}`, answer requests by name too. They
are not an interface: tensors and shapes may change. A request to one of them counts for nobody else, and is refused
where it is longer than what the ensemble would send. `{tensors.POSTPROCESS.name}` takes each `{tensors.TICKET.name}`
that `{tensors.PREPROCESS.name}` gave, once.

## Errors

INVALID_ARGUMENT (HTTP 400), the message being `[Class] what was wrong, the value, what is accepted`:

| class | |
|---|---|
{mistakes}

A value that is long is shortened in the message. A mistake in one request fails that request alone, also where
Triton computes several together. INTERNAL (HTTP 500), the message beginning with `[InternalError]`, is a fault of the
server, which logs it with its traceback.

A full server ({limits.QUEUE_SIZE} requests compute and wait) answers UNAVAILABLE (HTTP 503) at once, with
"Exceeds maximum queue size".
"""


def _units(emotion: Emotion) -> str:
    return ", ".join(
        f"{number}: {' / '.join(f'{side:g}' for side in intensity)}"
        if isinstance(intensity, tuple)
        else f"{number}: {intensity:g}"
        for number, intensity in emotion.units.items()
    )


def _table(entries: Iterable[Tensor]) -> str:
    rows = "\n".join(
        f"| `{t.name}` | {t.datatype} | [{', '.join(str(axis) for axis in t.axes)}] | "
        f"{'optional: ' if t.optional else ''}{t.meaning} |"
        for t in entries
    )
    return f"| name | type | shape | meaning |\n|---|---|---|---|\n{rows}"
