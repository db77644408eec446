"""Session settings side by side, and memory over windows, on real servers."""

import pytest
from tritonclient.grpc import InferenceServerClient
from typer.testing import CliRunner

from emotalk_contract import tensors
from emotalk_perf import memory as memories
from emotalk_perf import settings
from emotalk_perf.cli import app
from emotalk_perf.memory import Memory
from emotalk_perf.settings import CHOSEN, Alternative, Figures
from emotalk_server import EmbeddedServer

pytestmark = pytest.mark.server


def test_an_alternative_is_served_with_its_settings_and_the_repository_stays(small_repository):
    before = {path: path.read_bytes() for path in small_repository.rglob("config.pbtxt")}
    wanted = Alternative({"intra_op_thread_count": "1"}, instances=2)
    with (
        settings.alternative(small_repository, wanted) as folder,
        EmbeddedServer(folder) as server,
        InferenceServerClient(server.grpc_url) as triton,
    ):
        for model in tensors.GRAPHS:
            config = triton.get_model_config(model.name).config
            assert config.instance_group[0].count == 2
            assert config.parameters["intra_op_thread_count"].string_value == "1"
            assert config.parameters["enable_mem_arena"].string_value == "0"
    assert not folder.exists()
    assert {path: path.read_bytes() for path in small_repository.rglob("config.pbtxt")} == before


def test_alternatives_take_turns(small_repository, speech):
    told = []
    found = settings.run(small_repository, [CHOSEN, "1 thread"], speech, [0.5, 1.0], 2, told.append)
    assert told == [
        "starting: as in the contract", "starting: 1 thread",
        *(f"{length} s, round {number} of 2" for length in ("0.5", "1") for number in range(3)),
    ]  # fmt: skip
    for figures in found.values():
        assert [len(rounds) for rounds in figures.alone + figures.at_once] == [2] * 4
        assert min(min(rounds) for rounds in figures.alone + figures.at_once) > 0
        assert 50e6 < figures.ready_bytes < 5e9
        assert 50e6 < figures.bytes < 5e9


def test_the_table_of_settings(small_repository):
    found = {
        CHOSEN: Figures([[2.0, 4.0, 1.0]], [[4.0, 4.0, 2.0]], 2**20, 2**21),
        "arena": Figures([[1.0, 4.0, 0.5]], [[1.0, 4.0, 1.0]], 2**20, 2**22),
    }
    lines = settings.markdown(small_repository, [25.0], found).splitlines()
    assert lines[0].endswith(", fp32 | 25 s: speed, 2 at once | MiB when ready | MiB after |")
    assert lines[2:] == ["| as in the contract | 1.00x, 1.00x | 1 | 2 |", "| arena | 2.00x, 2.00x | 1 | 4 |"]


def test_an_unknown_setting_is_refused(small_repository, tmp_path):
    said = CliRunner().invoke(app, ["settings", "x.wav", "--repository", str(small_repository), "--only", "turbo"])
    assert said.exit_code == 2
    assert "turbo" in said.output


def test_memory_after_every_window(small_repository, speech):
    told = []
    memory = memories.run(small_repository, speech, 3, 1.0, told.append)
    assert len(memory.after) == len(told) == 3
    assert all(50e6 < size <= memory.most < 5e9 for size in (memory.ready, *memory.after))


def test_the_table_of_memory(small_repository):
    memory = Memory(7 * 2**20, tuple(n * 2**20 for n in range(1, 13)), 2**30)
    lines = memories.markdown([small_repository], 2.0, [memory]).splitlines()
    heads = "when ready | after 1 | after 2 | after 5 | after 10 | after 12 | at most"
    assert lines[0] == f"| MiB, windows of 2 s | {heads} |"
    assert lines[2].endswith(", fp32 | 7 | 1 | 2 | 5 | 10 | 12 | 1024 |")
