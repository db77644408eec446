"""The comparison itself: real eager PyTorch, real servers, in small."""

import re
from pathlib import Path

import numpy as np
import pytest

import seeded_lam
from emotalk_perf import compare, lengths
from emotalk_perf.compare import BARE, EAGER, SERVED, Comparison, Way
from emotalk_perf.eager import EagerFailed, EagerNetwork
from emotalk_perf.process_tree import tree_bytes

pytestmark = pytest.mark.server


def test_eager_served_and_bare_give_the_same_face_and_int8_nearly(
    small_checkpoint, small_repository, int8_repository, speech
):
    told = []
    measured = compare.run(
        small_checkpoint, 4, [small_repository, int8_repository], speech, [1.0, 2.5], 2, told=told.append
    )
    assert len(told) == 2 * 3
    for ways in measured.ways:
        names = [(way.name, way.precision) for way in ways]
        assert names == [
            (EAGER, "fp32"), (SERVED, "fp32"), (BARE, "fp32"), (SERVED, "int8"), (BARE, "int8")
        ]  # fmt: skip
        assert all(len(way.seconds) == 2 and min(way.seconds) > 0 for way in ways)
        _, served, bare, served8, bare8 = ways
        assert 0 < served.largest_error < 1e-5
        assert 0 < bare.largest_error < 1e-5
        assert 1e-4 < served8.mean_error < 5e-3
        assert served8.largest_error == pytest.approx(bare8.largest_error, rel=0.01)
    # The network's operations grow with the audio, a little faster than it does.
    assert 2.3 < measured.flops[1] / measured.flops[0] < 3
    assert measured.flops_per_s > 1e9
    assert set(measured.memory) == {EAGER, "served fp32", "served int8"}
    assert all(50e6 < size < 5e9 for size in measured.memory.values())
    text = compare.markdown(measured)
    assert text.count("| served, fp32 |") == 4
    assert text.count("| served, int8 |") == 3


def test_ratios_are_of_each_round():
    eager = Way(EAGER, "fp32", [1.0, 4.0, 2.0])
    served = Way(SERVED, "fp32", [0.5, 1.0, 1.0], 0.001, 0.02)
    bare = Way(BARE, "fp32", [0.4, 0.9, 1.0])
    assert compare.speedup(served, eager) == 2.0
    text = compare.markdown(Comparison((25.0,), ((eager, served, bare),), (1e9,), 2e9, {EAGER: 2**30}))
    assert "| served, fp32 | 1 (0.5 to 1), 2.00x |" in text
    assert "| eager PyTorch | 25 % |" in text
    assert "| served, fp32 | 1.0e-03 / 2.0e-02 |" in text
    assert "| served, fp32 | +100 ms, +11.1 % |" in text
    assert "eager PyTorch 1024 MiB" in text


def test_the_summary():
    eager = Way(EAGER, "fp32", [1.0, 4.0, 2.0])
    served = Way(SERVED, "int8", [0.5, 1.0, 1.0], 0.001, 0.02)
    longer = Way(SERVED, "int8", [2.0, 8.0, 4.0], 0.002, 0.03)
    bare = Way(BARE, "int8", [0.4, 0.9, 1.0])
    memory = {EAGER: 6 * 2**30, "served int8": 2**30}
    measured = Comparison((1.0, 25.0), ((eager, served, bare), (eager, longer, bare)), (1e9, 1e9), 2e9, memory)
    assert compare.summary(measured).splitlines()[2:] == [
        "| eager PyTorch | 1 | 1 |  | 6.0 GiB at its peak |",
        "| served, int8 | 2.00x | 0.50x | 2.0e-03 | 1.0 GiB |",
    ]


def test_cost_by_length(small_repository, speech):
    told = []
    found = lengths.run(small_repository, speech, [1.0, 3.0], 2, told.append)
    assert [len(seconds) for seconds in found] == [2, 2]
    text = lengths.markdown([small_repository], [1.0, 3.0], [[[0.5, 0.7, 0.6], [0.9, 0.3, 0.6]]])
    assert text.splitlines()[-1].endswith(", fp32 | 0.600 | 0.200 |")


def test_a_network_without_emotions_is_compared_and_measured_like_any_other(lam_repository, speech):
    checkpoint = lam_repository.parent / "small.tar"
    heads = seeded_lam.ATTENTION_HEADS["small"]
    measured = compare.run(checkpoint, heads, [lam_repository], speech, [1.0], 1, told=lambda _: None)
    ((eager, served, bare),) = measured.ways
    assert (eager.name, served.name, bare.name) == (EAGER, SERVED, BARE)
    assert 0 < served.largest_error < 1e-5
    assert served.largest_error == pytest.approx(bare.largest_error, abs=1e-6)
    found = lengths.run(lam_repository, speech, [1.0], 1, told=lambda _: None)
    assert "1 s" in lengths.markdown([lam_repository], [1.0], [found])


def test_an_eager_network_that_cannot_be_is_a_typed_error(tmp_path, capfd):
    with EagerNetwork(tmp_path / "gone.pth", 4) as network, pytest.raises(EagerFailed, match="ended with status 1"):
        network.run(np.zeros(16_000, np.float32))
    assert "CheckpointNotFound" in capfd.readouterr().err


def test_memory_is_the_trees(bundled_server):
    pid = bundled_server.process.pid
    own = re.search(r"^Pss:\s+(\d+) kB", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.MULTILINE)
    assert tree_bytes(pid) > 1024 * int(own[1]) * 1.5  # its Python models are processes of their own
    assert tree_bytes(2**30) == 0
