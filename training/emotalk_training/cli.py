"""``emotalk-train``: corpus, people, teach, real, fit, blend, calibrate, evaluate, card, and the whole of it."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.logging import RichHandler
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

app = typer.Typer(
    help="Train and evaluate the bundled face model.", no_args_is_help=True, pretty_exceptions_enable=False
)
console = Console()

CorpusOption = Annotated[
    list[Path],
    typer.Option("--corpus", envvar="EMOTALK_CORPUS", help="A corpus folder (with index.jsonl); may be repeated."),
]
CacheOption = Annotated[Path, typer.Option(help="Where prepared audio, labels and patched engines are kept.")]
LibriSpeechOption = Annotated[
    Path | None, typer.Option(metavar="DIR", help="An unpacked part of LibriSpeech; never test-other.")
]
PackageOption = Annotated[
    list[str] | None,
    typer.Option(metavar="NAME", help="festvox-ru, asterisk-ru, asterisk-it, armelle-fr; repeatable."),
]
DeviceOption = Annotated[str, typer.Option(help="cpu or cuda.")]
WorkersOption = Annotated[int, typer.Option(help="Processes that make examples.")]
StartOption = Annotated[Path | None, typer.Option(help="A checkpoint to begin with; default: random weights.")]
DEFAULT_CACHE = Path("training/cache")


@app.callback()
def _logging(verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Say more.")] = False) -> None:
    logging.basicConfig(
        level=logging.DEBUG if verbose else logging.INFO,
        format="%(message)s",
        handlers=[RichHandler(console=console, show_path=False)],
    )
    logging.getLogger("onnxscript").setLevel(logging.WARNING)  # a line for each constant that it folds


def _bar() -> Progress:
    return Progress(
        TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed:.1f}/{task.total:.1f}"),
        TimeRemainingColumn(), console=console,
    )  # fmt: skip


def _show(bar: Progress, task: TaskID, done: float) -> None:
    bar.update(task, completed=done)


@app.command()
def corpus(
    out: Annotated[Path, typer.Argument(help="Folder to fill; an interrupted run goes on.")],
    kokoro: Annotated[float, typer.Option(help="Minutes of Kokoro.")] = 150.0,
    hib: Annotated[float, typer.Option(help="Minutes of hibari.")] = 60.0,
    flite: Annotated[float, typer.Option(help="Minutes of flite.")] = 90.0,
    espeak: Annotated[float, typer.Option(help="Minutes of espeak-ng.")] = 110.0,
    music: Annotated[
        float, typer.Option(help="Minutes of music without a voice, by FluidSynth; none of a test.")
    ] = 50.0,
    voices: Annotated[Path, typer.Option(help="Kokoro's voice files (*.bin).")] = Path("training/voices"),
    seed: Annotated[int, typer.Option(help="Utterance i depends on the seed, the engine and i alone.")] = 21,
    test: Annotated[bool, typer.Option("--test", help="Held-out voices and sentences instead.")] = False,
    cache: CacheOption = DEFAULT_CACHE,
) -> None:
    """Make speech with phone timings, with every synthesiser that is installed."""
    from emotalk_training import sources
    from emotalk_training.instruments import Instruments
    from emotalk_training.make import make
    from emotalk_training.text import MissingTextError

    builders: dict[str, tuple[float, Callable[[], sources.Source]]] = {
        "espeak": (espeak, sources.Espeak),
        "flite": (flite, sources.Flite),
        "hib": (hib, lambda: sources.Hibari(cache)),
        "kokoro": (kokoro, lambda: sources.Kokoro(voices, cache)),
        "music": (0 if test else music, Instruments),  # what is tested with was recorded: `real`
    }
    for name, (minutes, build) in builders.items():
        if minutes <= 0:
            continue
        try:
            with _bar() as bar:
                task = bar.add_task(name, total=minutes)
                done = make(out, name, build(), minutes, seed, test, partial(_show, bar, task))
            console.print(f"{name}: {done:.1f} min")
        except (sources.MissingSourceError, MissingTextError) as missing:
            console.print(f"[yellow]{name} left out:[/yellow] {missing}")


@app.command()
def people(
    out: Annotated[Path, typer.Argument(help="Folder to fill; what is there stays.")],
    librispeech: LibriSpeechOption = None,
    package: PackageOption = None,
    part: Annotated[
        str, typer.Option(help="train; of LibriSpeech also choose and test: readers that no training hears.")
    ] = "train",
) -> None:
    """Take speech of people into a corpus, with phones where a text can be aligned."""
    from emotalk_training.people import PACKAGES, librispeech_people, make_people
    from emotalk_training.readers import PARTS
    from emotalk_training.real import Aligner

    if part not in PARTS:
        raise typer.BadParameter(f"{part!r}; accepted: {', '.join(PARTS)}", param_hint="--part")
    if unknown := [name for name in package or () if name not in PACKAGES]:
        raise typer.BadParameter(f"{unknown[0]!r}; accepted: {', '.join(PACKAGES)}", param_hint="--package")
    sources = {name: PACKAGES[name]() for name in package or ()}
    if librispeech is not None:
        sources["librispeech"] = librispeech_people(librispeech)
    if not sources:
        raise typer.BadParameter("neither is given; accepted: one or both", param_hint="--librispeech, --package")
    aligner = Aligner()
    for name, source in sources.items():
        console.print(f"{name}: {make_people(out, source, part, aligner):.1f} min")


@app.command()
def teach(
    out: Annotated[Path, typer.Argument(help="A corpus of people; labels are written into its folder `taught`.")],
    corpora: CorpusOption,
    steps: Annotated[int, typer.Option(min=1, help="Of each teacher's training.")] = 1500,
    most: Annotated[int, typer.Option(min=0, help="Utterances of each engine that teachers learn from.")] = 700,
    seed: Annotated[int, typer.Option(help="Of the teachers.")] = 1,
    cache: CacheOption = DEFAULT_CACHE,
) -> None:
    """Label speech of people by a teacher that learns from CORPORA (with phones) and from OUT's own phones."""
    import torch

    from emotalk_training.encoder import SpeechEncoder
    from emotalk_training.teacher import chosen
    from emotalk_training.teacher import teach as label

    torch.set_num_threads(1)
    console.print(label(out, chosen(corpora, most, seed), SpeechEncoder(cache), steps, seed))


@app.command()
def real(out: Annotated[Path, typer.Argument(help="Folder to write.")]) -> None:
    """Make the test set of real sound: speech of two Debian packages, force-aligned, and music of a third."""
    from emotalk_training.real import make_real

    console.print(make_real(out))


@app.command()
def fit(
    corpora: CorpusOption,
    run: Annotated[Path, typer.Option(help="Folder of this run; one that exists is gone on with.")] = Path(
        "training/run"
    ),
    steps: Annotated[int, typer.Option(min=1, help="Steps of the whole run.")] = 24_000,
    batch: Annotated[int, typer.Option(help="Examples of 3.6 s in a step.")] = 12,
    learning_rate: Annotated[float, typer.Option(help="At its highest.")] = 1.5e-3,
    device: DeviceOption = "cpu",
    threads: Annotated[int, typer.Option(help="Threads of this process.")] = 1,
    workers: WorkersOption = 1,
    seed: Annotated[int, typer.Option(help="Of weights and examples.")] = 20,
    start: StartOption = None,
    hints: Annotated[bool, typer.Option("--hints", help="Hear what the teacher's encoder hears, too.")] = False,
    hidden: Annotated[
        int | None, typer.Option(min=1, help="Channels inside a content block; more of them cost room and computing.")
    ] = None,
    cache: CacheOption = DEFAULT_CACHE,
) -> None:
    """Train on corpora; writes RUN/face.pt again and again, and RUN/validation.jsonl."""
    from emotalk_export.compact import CompactConfig
    from emotalk_training.dataset import prepare
    from emotalk_training.encoder import SpeechEncoder
    from emotalk_training.fit import FitOptions
    from emotalk_training.fit import fit as train
    from emotalk_training.hints import give_hints

    with _bar() as bar:
        task = bar.add_task("reading speech", total=1)
        folder = prepare(corpora, cache, lambda now, total: bar.update(task, completed=now, total=total))
        if hints:
            task = bar.add_task("hearing hints", total=1)
            encoder = SpeechEncoder(cache)
            give_hints(folder, encoder, seed, lambda now, total: bar.update(task, completed=now, total=total))
    config = CompactConfig() if hidden is None else CompactConfig(hidden=hidden)
    options = FitOptions(
        steps=steps, batch=batch, start=start, learning_rate=learning_rate, device=device, threads=threads,
        workers=workers, seed=seed, hints=hints, config=config,
    )  # fmt: skip
    console.print(f"checkpoint: {train(folder, run, options, {})}")


@app.command()
def blend(
    out: Annotated[Path, typer.Argument(help="Checkpoint to write; calibrate it next.")],
    part: Annotated[
        list[str], typer.Option(metavar="SHARE:FILE", help="A checkpoint and its share; the last one is described.")
    ],
) -> None:
    """Write the weighted mean of checkpoints that began with one another: what each has learned, most of it."""
    from emotalk_training.blend import blend as mean

    parts = []
    for each in part:
        share, colon, path = each.partition(":")
        try:
            parts.append((Path(path), float(share)))
        except ValueError:
            colon = ""
        if not colon or not path:
            raise typer.BadParameter(f"{each!r}; accepted: SHARE:FILE, as 0.5:run/face.pt", param_hint="--part")
    mean(parts, out)


@app.command()
def calibrate(
    corpora: CorpusOption,
    checkpoint: Annotated[Path, typer.Argument(help="A checkpoint; rewritten.")],
    cache: CacheOption = DEFAULT_CACHE,
) -> None:
    """Choose how crisp contacts are, on the held-back training voices."""
    from emotalk_training.calibrate import calibrate as choose
    from emotalk_training.dataset import prepare

    console.print(choose(checkpoint, prepare(corpora, cache)))


@app.command()
def evaluate(
    corpora: CorpusOption,
    checkpoint: Annotated[Path, typer.Option(help="What to score, through its graphs on one core.")] = Path(
        "training/checkpoints/face.pt"
    ),
    repository: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Score a model repository instead, anybody's, through a Triton of its own."),
    ] = None,
    probe: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Score a teacher instead, taught/teacher.pt.")
    ] = None,
    look_ahead: Annotated[
        float | None,
        typer.Option(min=0.0, metavar="SECONDS", help="Of a teacher: hold it to this; a minute of speech takes four."),
    ] = None,
    smooth: Annotated[bool, typer.Option(help="Of a repository: smoothed, as callers get it by default.")] = True,
    out: Annotated[Path, typer.Option(help="Folder for figures.json, figures.md and plots.")] = Path(
        "training/checkpoints"
    ),
    summary: Annotated[
        Path | None, typer.Option(metavar="PAGE", help="Renew the short table on this page, between its two marks.")
    ] = None,
    headaudio: Annotated[Path | None, typer.Option(help="Unpacked npm package @met4citizen/headaudio.")] = None,
    wawa: Annotated[Path | None, typer.Option(help="Unpacked npm package wawa-lipsync.")] = None,
    teacher: Annotated[
        Path | None, typer.Option(help="taught/teacher.pt of a corpus: says how sure each truth is.")
    ] = None,
    cache: CacheOption = DEFAULT_CACHE,
) -> None:
    """Score a checkpoint or a repository on test corpora: tables, JSON, plots."""
    import torch

    from emotalk_training import evaluate as evaluation
    from emotalk_training import figures
    from emotalk_training.ceilings import SecondAligner
    from emotalk_training.checkpoints import read_checkpoint
    from emotalk_training.checks import Predict
    from emotalk_training.graphs import GraphFace
    from emotalk_training.served import ServedFace
    from emotalk_training.teacher_face import TeacherFace

    torch.set_num_threads(1)
    peers = {name: path for name, path in (("headaudio", headaudio), ("wawa", wawa)) if path}
    aligner = SecondAligner(teacher, cache) if teacher else None
    out.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        if repository is not None:
            face: Predict = stack.enter_context(ServedFace(repository, smooth))
            facts = {"repository": repository.name, "smoothed": smooth}
        elif probe is not None:
            face, facts = TeacherFace(probe, cache, look_ahead), {"teacher": probe.name, "look_ahead_s": look_ahead}
        else:
            face, facts = GraphFace.of(checkpoint), read_checkpoint(checkpoint)[0]["provenance"]
        report = evaluation.evaluate(face, corpora, facts, peers, aligner)
        figures.plots(face, corpora, out)
    (out / "figures.json").write_text(report.to_json(), encoding="utf-8")
    (out / "figures.md").write_text(figures.table(report), encoding="utf-8")
    if summary is not None:
        figures.put_summary(summary, report)
    console.print(figures.table(report), soft_wrap=True)


@app.command()
def card(
    corpora: CorpusOption,
    checkpoint: Annotated[Path, typer.Option(help="The checkpoint to describe.")] = Path(
        "training/checkpoints/face.pt"
    ),
    out: Annotated[Path, typer.Option(help="Folder with figures.md; MODEL_CARD.md is written there.")] = Path(
        "training/checkpoints"
    ),
) -> None:
    """Write the model card: provenance, licences, figures. CORPORA: what it was trained on."""
    from emotalk_training.card import write_card

    console.print(write_card(checkpoint, corpora, out))


@app.command()
def whole(
    work: Annotated[Path, typer.Argument(help="Folder for everything; an interrupted run goes on where it was.")],
    librispeech: LibriSpeechOption = None,
    package: PackageOption = None,
    share: Annotated[float, typer.Option(min=0.0, help="Of the usual minutes of synthetic speech.")] = 1.0,
    teacher_steps: Annotated[int, typer.Option(min=1, help="Of each teacher's training.")] = 1500,
    steps: Annotated[int, typer.Option(min=1, help="Of the training.")] = 24_000,
    device: DeviceOption = "cpu",
    threads: Annotated[int, typer.Option(help="Threads of the training process.")] = 1,
    workers: WorkersOption = 1,
    start: StartOption = None,
    cache: CacheOption = DEFAULT_CACHE,
) -> None:
    """Do it all, from nothing to a scored checkpoint: every step above, one after another, into WORK."""
    from emotalk_training.sources import MissingSourceError
    from emotalk_training.taught import FACTS, FOLDER, TEACHER

    speech, run = work / "speech", work / "run"
    corpus(speech, 150 * share, 60 * share, 90 * share, 110 * share, 50 * share, cache=cache)
    learned, heard, taught = [speech], [work / "heard"], librispeech is not None or bool(package)
    corpus(heard[0], 5 * share, 0, 3 * share, 10 * share, 0, seed=1, test=True, cache=cache)
    if taught:
        people(work / "people", librispeech, package)
        if not (work / "people" / FOLDER / FACTS).is_file():
            teach(work / "people", [speech], teacher_steps, cache=cache)
        learned.append(work / "people")
    if librispeech is not None:
        for part, corpora in (("choose", learned), ("test", heard)):
            people(work / part, librispeech, part=part)
            corpora.append(work / part)
    try:
        real(work / "recorded")
        heard.append(work / "recorded")
    except MissingSourceError as missing:
        console.print(f"[yellow]recordings to test on left out:[/yellow] {missing}")
    fit(learned, run, steps, device=device, threads=threads, workers=workers, start=start, hints=taught, cache=cache)
    calibrate(learned, run / "face.pt", cache)
    probe = work / "people" / FOLDER / TEACHER
    evaluate(heard, run / "face.pt", out=run, teacher=probe if probe.is_file() else None, cache=cache)
    card(learned, run / "face.pt", run)


def main() -> Any:
    """Run the command; a mistake is one line and exit status 1, never a traceback."""
    from emotalk_export.errors import ExportError
    from emotalk_training.corpus import CorpusError
    from emotalk_training.errors import TrainingError
    from emotalk_training.sources import MissingSourceError
    from emotalk_training.text import MissingTextError

    try:
        return app()
    except (CorpusError, ExportError, MissingSourceError, MissingTextError, TrainingError) as error:
        console.print(f"emotalk-train: {type(error).__name__}: {error}", markup=False, soft_wrap=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
