"""Other people's methods: a jaw that follows loudness, and two lip-sync packages for browsers."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import soxr
from numpy.typing import NDArray

from emotalk_contract.arkit import BLENDSHAPE_COUNT, INDEX
from emotalk_training.articulation import VISEMES, loudness_db
from emotalk_training.metrics import Weights


def loudness_face(audio: NDArray[np.float32]) -> Weights:
    """jawOpen rises over 30 dB of loudness; mouthPress is how far the jaw lies under its 300 ms average. [F, 52]"""
    frames = -(-len(audio) * 30 // 16000)
    decibels = loudness_db(audio, 16000, np.arange(frames) / 30)
    jaw = np.clip((decibels + 22) / 30, 0, 1) * 0.45
    around = np.convolve(jaw, np.ones(9) / 9, "same")
    face = np.zeros((frames, BLENDSHAPE_COUNT), np.float32)
    face[:, INDEX["jawOpen"]] = jaw
    face[:, INDEX["mouthPressLeft"]] = np.clip((around - jaw) / (around + 0.05), 0, 1) * 0.9
    return face


PEERS: dict[str, int] = {"headaudio": 16_000, "wawa": 48_000}
"""Kind, as ``peers/run.mjs`` takes it, to the sample rate that it is given."""
PEER_VISEMES = (
    "AA", "EH", "IY", "OW", "UW", "PP", "SS", "TH", "DD", "FF", "KK", "NN", "RR", "CH", "sil",
)  # fmt: skip
"""This project's visemes in the order of the peers' fifteen (Oculus) visemes."""


def peer_visemes(
    kind: str, package: Path, script: Path, clips: Sequence[NDArray[np.float32]]
) -> list[NDArray[np.float32]]:
    """A peer's fifteen viseme weights at 30 fps, [F, 15] for each clip [N] at 16 kHz.

    Args:
        kind: a key of :data:`PEERS`.
        package: the unpacked npm package (``npm pack NAME``; the folder ``package`` in it).
        script: ``training/peers/run.mjs``.
        clips: what to run it on.
    """
    rate = PEERS[kind]
    with tempfile.TemporaryDirectory() as folder:
        files = []
        for i, clip in enumerate(clips):
            samples = clip if rate == 16_000 else soxr.resample(clip, 16_000, rate)
            files.append(Path(folder) / f"{i}.f32")
            files[-1].write_bytes(np.asarray(samples, np.float32).tobytes())
        out = subprocess.run(
            [_program("node"), "--no-warnings", script, kind, package, *files],
            stdout=subprocess.PIPE,
            check=True,
            text=True,
        ).stdout
    return [np.array(json.loads(line), np.float32) for line in out.splitlines()]


def _program(name: str) -> str:
    path = shutil.which(name)
    if not path:
        raise FileNotFoundError(f"{name} is not on the path; the peers run in Node.js")
    return path


def peer_face(visemes: NDArray[np.float32], advance: int = 0) -> Weights:
    """Viseme weights [F, 15], ``advance`` frames earlier, as ARKit weights [F, 52] by this project's viseme targets."""
    visemes = np.concatenate([visemes[advance:], np.repeat(visemes[-1:], advance, 0)])
    target = [VISEMES[v] for v in PEER_VISEMES]
    face = np.zeros((len(visemes), BLENDSHAPE_COUNT), np.float32)
    for name, values in (
        ("jawOpen", [v.jaw for v in target]),
        ("mouthPucker", [v.pucker for v in target]),
        ("mouthFunnel", [v.funnel for v in target]),
        ("mouthStretchLeft", [0.45 * v.spread for v in target]),
        ("mouthLowerDownLeft", [0.9 * v.drop for v in target]),
    ):
        face[:, INDEX[name]] = visemes @ np.array(values, np.float32)
    face[:, INDEX["mouthPressLeft"]] = 0.5 * visemes[:, 5]
    return face
