"""Files that were cut, changed or made to harm: read as a sound animation, or refused with the typed error."""

import json
import random
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from livelink_recordings import NAMES, on_clock, table

from emotalk_client import Animation
from emotalk_client.errors import UnreadableAnimation
from emotalk_client.faces import head
from emotalk_client.faces.formats import FORMATS, usd
from emotalk_contract.limits import MAX_EXPORT_FPS, MIN_EXPORT_FPS

pytestmark = pytest.mark.server


@cache
def sound(suffix):
    """A small file that is read."""
    weights = np.random.default_rng(0).uniform(0, 1, (3, 52)).astype(np.float32)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"face{suffix}"
        Animation(weights, np.arange(3) / 30).save(path)
        return path.read_bytes()


def without_head(content):
    """A .glb without the head's own triangles: small enough that damage meets what is read."""
    container = head.Container.unpacked(content)
    document = container.document
    animation = document["animations"][0]
    sampler = animation["samplers"][0]
    small = head.Container({"asset": document["asset"], "animations": [animation], "nodes": [{"mesh": 0}]})
    small.document["meshes"] = [{"extras": document["meshes"][0]["extras"], "primitives": []}]
    sampler["input"] = small.add_array(container.array(sampler["input"]), "SCALAR", bounds=True)
    sampler["output"] = small.add_array(container.array(sampler["output"]), "SCALAR")
    return small.packed()


def loaded(path):
    """The animation in ``path``; None if it is refused in a message of moderate length."""
    try:
        return Animation.load(path)
    except UnreadableAnimation as error:
        length = len(str(error))
    assert length < 1000
    return None


def read_or_refused(path):
    """The only two outcomes."""
    face = loaded(path)
    if face is None:
        return
    assert face.weights.shape == (len(face.timecodes), 52)
    assert face.weights.dtype == np.float32
    assert np.isfinite(face.weights).all()
    assert np.isfinite(face.timecodes).all()
    assert (np.diff(face.timecodes) > 0).all()
    assert MIN_EXPORT_FPS <= face.fps <= MAX_EXPORT_FPS
    assert len(face.even()) <= 500_001


@st.composite
def damages(draw, content):
    """``content`` cut, with bits flipped, with bytes put in or taken out."""
    data = bytearray(content)
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.integers(0, max(len(data) - 1, 0)))
        match draw(st.sampled_from(["cut", "flip", "insert", "remove", "repeat", "swap"])):
            case "cut":
                del data[place:]
            case "flip" if data:
                data[place] ^= 1 << draw(st.integers(0, 7))
            case "insert":
                data[place:place] = draw(st.binary(max_size=8) | st.sampled_from(TOKENS))
            case "remove":
                del data[place : place + draw(st.integers(1, 64))]
            case "repeat":
                data[place:place] = data[place : place + draw(st.integers(1, 2000))]
            case "swap" if data:
                other = draw(st.integers(0, len(data) - 1))
                data[place], data[other] = data[other], data[place]
    return bytes(data)


TOKENS = [
    b",",
    b";",
    b":",
    b"\n",
    b'"',
    b"[",
    b"]",
    b"{",
    b"}",
    b"nan",
    b"1e999",
    b"-1",
    b"99999999999",
    b"null",
    b"\0",
]


@pytest.mark.parametrize("suffix", [suffix for suffix in FORMATS if suffix not in (".usd", ".usdc", ".usda")])
def test_damage_is_refused_or_harmless(tmp_path, suffix):
    content = without_head(sound(suffix)) if suffix == ".glb" else sound(suffix)
    path = tmp_path / f"face{suffix}"
    path.write_bytes(content)
    assert len(Animation.load(path)) == 3

    @settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(damages(content))
    def damaged(data):
        path.write_bytes(data)
        read_or_refused(path)

    damaged()


@pytest.mark.parametrize("suffix", [".usda", ".usdc"])
def test_damaged_usd_is_refused_or_harmless(tmp_path, suffix):
    content, path, rng = sound(suffix), tmp_path / f"face{suffix}", random.Random(1)
    for _ in range(4):  # a process each
        data = bytearray(content)
        for _ in range(4):
            data[rng.randrange(len(data) // 2, len(data))] = rng.randrange(256)
        path.write_bytes(data)
        read_or_refused(path)


@pytest.mark.parametrize(
    ("program", "words"),
    [
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", r"OpenUSD fails on it \(status -11\)"),
        ("x = bytes(1 << 62)", r"OpenUSD fails on it \(status 1\)"),
        ("import time; time.sleep(600)", "OpenUSD needs more than 1 s to read it"),
    ],
)
def test_a_crash_of_openusd_is_its_own(tmp_path, monkeypatch, program, words):
    """Bytes that crash it depend on its version (26.11: status -11 within 25 damaged files); a stand-in does not."""
    (tmp_path / "face.usdc").write_bytes(sound(".usdc"))
    (tmp_path / "stand_in.py").write_text(program)
    monkeypatch.setattr(usd.usd_samples, "__file__", str(tmp_path / "stand_in.py"))
    if "sleep" in program:
        monkeypatch.setattr(usd, "TIMEOUT_S", 1)
    with pytest.raises(UnreadableAnimation, match=words):
        Animation.load(tmp_path / "face.usdc")


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck), database=None)
@given(
    st.lists(
        st.from_regex(r"\A\d{1,2}:\d{1,2}:\d{1,2}[:;]\d{1,4}([.,]\d{1,3})?\Z")
        | st.from_regex(r"\A\d{2}:\d{2}:\d{2}\.\d{1,3}\Z")
        | st.floats().map(str),
        max_size=6,
    )
)
def test_any_timecodes_are_moments_or_refused(tmp_path, times):
    path = tmp_path / "take.csv"
    path.write_text(table(times, names=["JawOpen"]))
    read_or_refused(path)


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck), database=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
        max_leaves=8,
    ),
    st.sampled_from(["exportFps", "numPoses", "numFrames", "facsNames", "weightMat", "joints"]),
)
def test_any_value_in_an_export_is_refused_or_harmless(tmp_path, value, key):
    path = tmp_path / "face.json"
    path.write_text(json.dumps(json.loads(sound(".json")) | {key: value}))
    read_or_refused(path)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck), database=None)
@given(
    st.sampled_from(
        [
            "accessors",
            "bufferViews",
            "animations",
            "meshes",
            "nodes",
            "channels",
            "samplers",
            "input",
            "count",
            "extras",
        ]
    ),
    st.none()
    | st.integers(-3, 5)
    | st.integers()
    | st.floats()
    | st.text(max_size=3)
    | st.lists(st.none(), max_size=2),
)
def test_any_value_in_a_glb_is_refused_or_harmless(tmp_path, key, value):
    container = head.Container.unpacked(without_head(sound(".glb")))

    def put(node):
        for name, inner in node.items() if isinstance(node, dict) else enumerate(node):
            if name == key:
                node[name] = value
                return
            if isinstance(inner, dict | list):
                put(inner)

    put(container.document)
    path = tmp_path / "face.glb"
    path.write_bytes(container.packed())
    read_or_refused(path)


NPY = b"\x93NUMPY\x01\x00\x50\x00"
BOMBS = {
    "line.csv": lambda: b"Timecode,JawOpen\n" + b"1" * (1 << 27),
    "header.csv": lambda: b"Timecode," + b"JawOpen," * (1 << 24),
    "nested.json": lambda: b"[" * (1 << 26),
    "lists.json": lambda: b"[" + b"[]," * (1 << 25),
    "numbers.json": lambda: b"[" + b"0," * (1 << 26),
    "line.jsonl": lambda: b"[" * (1 << 27),
    "shape.npy": lambda: (
        b"\x93NUMPY\x01\x00\x50\x00{'descr': '<f8', 'fortran_order': False, 'shape': (499999, 52)}".ljust(90)
    ),
    "count.glb": lambda: without_head(sound(".glb")).replace(b'"count":156', b'"count":2e9'),
}
MEMORY = 1 << 30
"""Bytes by which a reader may grow over a bomb of at most 128 MiB."""


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_refused_before_it_fills_the_memory(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(BOMBS[name]())
    script = f"""
import sys, resource
sys.path[:0] = {sys.path!r}
from emotalk_client import Animation
from emotalk_client.errors import UnreadableAnimation
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    Animation.load({str(path)!r})
except UnreadableAnimation:
    print(1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=True)
    assert int(done.stdout) < MEMORY


def test_names_of_columns_have_no_end(tmp_path):
    path = tmp_path / "take.csv"
    path.write_text(table(on_clock(range(3), 30), names=[*NAMES, *(f"Wing{i}" for i in range(4000))]))
    read_or_refused(path)
