"""A wider network begins as the narrower one, and a checkpoint that cannot begin it says so."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from test_fit import SMALL, folder, run  # noqa: F401 - a fixture

from emotalk_export.compact import CompactConfig, CompactFace
from emotalk_training import cli
from emotalk_training.errors import RunError, WidenError
from emotalk_training.widen import widened

pytestmark = pytest.mark.torch

NARROW = CompactConfig(width=32, hidden=24, content_blocks=2, content_blocks_ahead=1, decoder_blocks=1)
WIDE = CompactConfig(width=32, hidden=40, content_blocks=2, content_blocks_ahead=1, decoder_blocks=1)


def test_a_wider_network_gives_the_same_face() -> None:
    torch.manual_seed(4)
    narrow = CompactFace(NARROW).eval()
    wide = widened(narrow, WIDE, seed=1).eval()
    assert wide.config == WIDE
    audio, level, style = torch.randn(1, 16000) * 0.1, torch.tensor([[0.0, 1.0]]), torch.eye(24)[:1]
    with torch.no_grad():
        torch.testing.assert_close(wide(audio, level, style), narrow(audio, level, style), rtol=0, atol=1e-6)
    reduce = wide.content.layers[0].reduce.weight
    expand = wide.content.layers[0].expand.weight
    copied = [int((expand[:24] == row).all(1).nonzero()) for row in expand[24:]]
    assert len(set(copied)) == 16
    assert not torch.equal(reduce[:, 24:], reduce[:, copied])  # they share unevenly, and can part ways
    assert widened(narrow, NARROW, seed=1).config == NARROW


@pytest.mark.parametrize(
    "config",
    [
        CompactConfig(width=32, hidden=16, content_blocks=2, content_blocks_ahead=1, decoder_blocks=1),
        CompactConfig(width=32, hidden=49, content_blocks=2, content_blocks_ahead=1, decoder_blocks=1),
        CompactConfig(width=32, hidden=40, content_blocks=3, content_blocks_ahead=1, decoder_blocks=1),
    ],
)
def test_other_sizes_cannot_be_begun_with(config: CompactConfig) -> None:
    with pytest.raises(WidenError, match="accepted"):
        widened(CompactFace(NARROW), config, seed=1)


def test_a_run_begins_with_a_narrower_checkpoint(folder: Path, tmp_path: Path) -> None:  # noqa: F811
    torch.save(CompactFace(SMALL).to_checkpoint({"note": "narrow"}), tmp_path / "narrow.pt")
    wide = CompactConfig(
        width=16, hidden=24, content_blocks=1, content_blocks_ahead=1, decoder_blocks=1, decoder_hidden=16
    )
    stored = run(folder, tmp_path / "run", start=tmp_path / "narrow.pt", config=wide)
    assert stored["config"]["hidden"] == 24
    assert stored["provenance"]["began_with"] == {"note": "narrow"}


def test_a_run_of_other_sizes_is_not_gone_on_with(folder: Path, tmp_path: Path) -> None:  # noqa: F811
    run(folder, tmp_path / "run", steps=1)
    with pytest.raises(RunError, match="other sizes; accepted: a folder of its own"):
        run(folder, tmp_path / "run", config=NARROW)


def test_help_waits_for_no_torch() -> None:
    code = (
        "import sys; from emotalk_training import cli\n"
        "sys.argv[1:] = ['--help']\n"
        "try: cli.main()\n"
        "except SystemExit as ended: sys.exit(ended.code or 'torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True).returncode == 0


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("blend out.pt --part 1:none.pt", "CheckpointNotFound"),
        ("blend out.pt --part 1:page.md", "CheckpointUnreadable"),
        ("blend out.pt --part 1:other.pt", "NotACheckpoint"),
        ("card --corpus corpus --checkpoint none.pt", "CheckpointNotFound"),
    ],
)
def test_a_checkpoint_that_is_none_is_one_line(
    command: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("page.md").write_text("# no checkpoint")
    torch.save({"format": "another", "state_dict": {}}, "other.pt")
    monkeypatch.setattr("sys.argv", ["emotalk-train", *command.split()])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 1
    assert f"emotalk-train: {said}: " in capsys.readouterr().out
