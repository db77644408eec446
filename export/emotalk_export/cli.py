"""``emotalk-export``: from a downloaded checkpoint to a model repository that Triton serves."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Annotated, Any, get_args

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from emotalk_contract.recipe import Manifest, Precision

INTERRUPTED = 130
"""Exit status after Ctrl-C, as shells have it."""
TERMINATED = 143
"""Exit status after SIGTERM."""

WORST = 5
"""Blendshapes that are named in a report."""
WARN_MEAN = 0.005
"""Mean error of all weights on speech above which int8 is warned of."""
WARN_CHANNEL = 0.02
"""Likewise, of one blendshape."""

_console = Console(stderr=True)
application = typer.Typer(add_completion=False)


def _precision(value: str) -> str:
    if value not in get_args(Precision):
        raise typer.BadParameter(f"{value!r}; accepted: {', '.join(get_args(Precision))}")
    return value


def _one_of(*accepted: str) -> Callable[[str], str]:
    def check(value: str) -> str:
        if value not in accepted:
            raise typer.BadParameter(f"{value!r}; accepted: {', '.join(accepted)}")
        return value

    return check


_channels = _one_of("masked-first", "crop-first")
_colours = _one_of("bgr", "rgb")
_audio = _one_of("window", "tiled")


@application.callback(invoke_without_command=True)
def run(
    context: typer.Context,
    repository: Annotated[
        Path | None,
        typer.Option(help="Folder of the model repository; replaced in one step. Required.", show_default=False),
    ] = None,
    checkpoint: Annotated[
        Path | None, typer.Option(help="EmoTalk.pth, or a compact face of this project.", show_default=False)
    ] = None,
    lam: Annotated[
        Path | None,
        typer.Option(help="LAM-A2E's checkpoint instead: LAM_audio2exp_streaming.tar as it comes.", show_default=False),
    ] = None,
    attention_heads: Annotated[
        int | None,
        typer.Option(
            help="Heads of the encoders, which no checkpoint tells. Default: the released network's (EmoTalk 16, "
            "LAM-A2E 12).",
            show_default=False,
        ),
    ] = None,
    licence: Annotated[
        str | None, typer.Option(help="The weights' licence in your words; the served model's config tells it.")
    ] = None,
    precision: Annotated[str, typer.Option(help="fp32, fp16, or int8 for CPUs.", callback=_precision)] = "fp32",
    calibration: Annotated[
        list[Path] | None,
        typer.Option(help="Speech by which int8 is fitted and judged; several times. Default: the sample voice."),
    ] = None,
    emotion_names: Annotated[
        str | None,
        typer.Option(
            help="Names of the emotions that EmoTalk detects, in the order of its outputs: a,b,… Default: emotion_0 to "
            "emotion_6, for the checkpoint does not name them.",
            show_default=False,
        ),
    ] = None,
    tensorrt: Annotated[
        bool, typer.Option("--tensorrt", help="Also build TensorRT plans, with trtexec or polygraphy.")
    ] = False,
) -> None:
    """Write the model repository of a checkpoint, and prove that its graphs give what torch gives."""
    if context.invoked_subcommand is not None:
        if repository or checkpoint or lam:
            raise typer.BadParameter(
                f"options of a checkpoint stand before {context.invoked_subcommand}; accepted: one or the other"
            )
        return
    if repository is None:
        raise typer.BadParameter("it is missing; accepted: a folder", param_hint="--repository")
    if (checkpoint is None) == (lam is None):
        given = "neither" if lam is None else "both"
        raise typer.BadParameter(f"{given} of --checkpoint and --lam are given; accepted: one of them")
    # torch takes seconds to load: not for --help, nor for a wrong option.
    from emotalk_export.errors import ExportError
    from emotalk_export.exporter import export

    began = time.monotonic()
    try:
        with _bar() as bar:
            task = bar.add_task("starting", total=None)

            def progress(what: str, done: int, total: int) -> None:
                bar.update(task, description=what, completed=done, total=total)

            manifest = export(
                checkpoint or lam,  # type: ignore[arg-type]  # one of them is given
                repository,
                layout="emotalk" if lam is None else "lam",
                attention_heads=attention_heads,
                licence=licence or "",
                precision=precision,  # type: ignore[arg-type]  # checked by _precision
                tensorrt=tensorrt,
                calibration=calibration or (),
                emotion_names=[name.strip() for name in emotion_names.split(",")] if emotion_names else (),
                progress=progress,
            )
    except ExportError as error:
        raise _refused(error) from None
    _console.print(_summary(manifest))
    _report_speech(manifest)
    _console.print(
        f"{manifest.model}, {manifest.precision}, in {repository} after {time.monotonic() - began:.0f} s. "
        f"Serve it with: emotalk-server --repository {repository}",
        markup=False,
        soft_wrap=True,
    )


@application.command()
def renderer(
    output: Annotated[Path, typer.Option(help="Folder of the renderers; those that it has, and are not named, stay.")],
    wav2lip: Annotated[
        Path | None, typer.Option(help="Wav2Lip's generator: .pth, or .onnx.", show_default=False)
    ] = None,
    unet328: Annotated[
        Path | None, typer.Option(help="A UNet of 328-pixel crops: .pth, or .onnx.", show_default=False)
    ] = None,
    ave: Annotated[
        Path | None, typer.Option(help="The audio encoder that such a UNet listens through.", show_default=False)
    ] = None,
    wav2lip_channels: Annotated[
        str, typer.Option(help="What its six channels begin with: masked-first or crop-first.", callback=_channels)
    ] = "masked-first",
    unet328_channels: Annotated[
        str, typer.Option(help="Likewise; the networks of some servers have masked-first.", callback=_channels)
    ] = "crop-first",
    unet328_audio: Annotated[
        str,
        typer.Option(
            help="window: it hears 16 features side by side; tiled: the picture's own, sixteen times.", callback=_audio
        ),
    ] = "window",
    colours: Annotated[str, typer.Option(help="Of the networks' pictures: bgr or rgb.", callback=_colours)] = "bgr",
    licence: Annotated[
        str, typer.Option(help="The weights' licence in your words; it is kept beside the graphs.")
    ] = "",
) -> None:
    """Write your own neural renderers as models for `emotalk-server --renderers`, and prove them."""
    paths = {"wav2lip": wav2lip, "unet328": unet328, "ave": ave}
    if not any(paths.values()):
        raise typer.BadParameter("none of --wav2lip, --unet328 and --ave is given; accepted: at least one")
    from emotalk_export.errors import ExportError
    from emotalk_export.renderer import Given, export_renderers
    from emotalk_export.renderer_graphs import Conventions

    channels = {"wav2lip": wav2lip_channels, "unet328": unet328_channels, "ave": "masked-first"}
    given = {
        name: Given(path, Conventions(channels[name], colours, unet328_audio), licence)  # type: ignore[arg-type]  # checked
        for name, path in paths.items()
        if path is not None
    }
    try:
        with _bar() as bar:
            task = bar.add_task("starting", total=None)
            done = export_renderers(given, output, lambda what: bar.update(task, description=what))
    except ExportError as error:
        raise _refused(error) from None
    for name, one in done.items():
        batch = f"up to {one.served.batch} at once" if one.served.batch > 1 else "one at a time"
        _console.print(
            f"{name}, {one.served.bytes / 1e6:.1f} MB, {batch}: off by {one.difference:.1e} at most from {paths[name]}",
            markup=False,
            soft_wrap=True,
        )
    if "unet328" in done and not (output / "ave").is_dir():
        _console.print(
            "emotalk-export: warning: unet328 hears through the audio encoder, which is not in the folder; give it too "
            "(--ave)",
            style="yellow",
            markup=False,
            soft_wrap=True,
        )
    _console.print(f"Serve them with: emotalk-server --renderers {output}", markup=False, soft_wrap=True)


def _refused(error: Exception) -> typer.Exit:
    """Say ``error``, and return what ends the command."""
    _console.print(f"emotalk-export: {type(error).__name__}: {error}", style="red", markup=False, soft_wrap=True)
    return typer.Exit(1)


def _bar() -> Progress:
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed:.0f}/{task.total}"),
        TimeElapsedColumn(),
        console=_console,
    )


def _summary(manifest: Manifest) -> Table:
    provenance = manifest.provenance
    measured: dict[str, Any] = provenance["largest_difference_from_torch"]
    table = Table("graph", "MB", "largest difference from torch")
    for name, files in provenance["graphs"].items():
        size = sum(file["bytes"] for file in files.values())
        table.add_row(name, f"{size / 1e6:.1f}", f"{max(measured['graphs'][name].values()):.1e}")
    table.add_row("whole chain", "", f"{measured['chain']:.1e}")
    return table


def _report_speech(manifest: Manifest) -> None:
    """Say in words how much int8 costs, with a warning where that is much."""
    speech: dict[str, Any] | None = manifest.provenance.get("error_on_speech")
    if speech is None:
        return
    by_channel: dict[str, float] = speech["mean_error_by_blendshape"]
    worst = sorted(by_channel, key=lambda name: -by_channel[name])[:WORST]
    named = ", ".join(f"{name} ({by_channel[name]:g})" for name in worst)
    kept = [f"{model}: {name}" for model, names in manifest.provenance["kept_in_fp32"].items() for name in names]
    _console.print(
        f"int8 on {speech['seconds']:g} s of speech: weights off by {speech['mean_error']:g} on average, by "
        f"{speech['largest_error']:g} at most; most in {named}. "
        f"Left in float32: {', '.join(kept) or 'nothing'}.",
        markup=False,
        soft_wrap=True,
    )
    high = [name for name in worst if by_channel[name] > WARN_CHANNEL]
    if speech["mean_error"] > WARN_MEAN or high:
        _console.print(
            f"emotalk-export: warning: with int8 these weights are off by more than {WARN_MEAN:g} on average, or "
            f"{WARN_CHANNEL:g} in one blendshape; look at the face before you use it, calibrate on your own speech "
            "(--calibration), or stay with fp32",
            style="yellow",
            markup=False,
            soft_wrap=True,
        )


def main() -> None:
    """The command's entry point."""
    signal.signal(signal.SIGTERM, _terminate)
    try:
        application()
    except KeyboardInterrupt:
        _console.print("emotalk-export: interrupted; the repository is as it was")
        sys.exit(INTERRUPTED)


def _terminate(number: int, frame: FrameType | None) -> None:  # noqa: ARG001  # the signature of handlers
    """Leave as an exception does, so that what was begun is removed."""
    sys.exit(TERMINATED)


if __name__ == "__main__":
    main()
