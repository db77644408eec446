"""The file that the processes of one server share: made whole, in a folder of its own, and nobody else's."""

import os
import tempfile
from pathlib import Path

import pytest
from holding import computing_process

from emotalk_contract.launch import SERVER_FOLDER
from emotalk_ensemble.admission import COUNT
from emotalk_ensemble.shared_file import SharedFile, UnsafeFile, server_folder

pytestmark = pytest.mark.unit


@pytest.fixture
def path(tmp_path):
    return tmp_path / "counts"


def test_two_who_open_it_see_the_same_numbers_and_it_starts_at_zero(path):
    one, other = SharedFile(path, 4), SharedFile(path, 4)
    assert other.numbers.tolist() == [0, 0, 0, 0]
    one.numbers[2] = 7
    assert other.numbers[2] == 7
    assert path.stat().st_mode & 0o777 == 0o600
    assert [p.name for p in path.parent.iterdir()] == ["counts"]


def test_a_link_is_not_followed(path, tmp_path):
    victim = tmp_path / "victim"
    victim.write_bytes(b"\0" * 32)
    path.symlink_to(victim)
    with pytest.raises(OSError, match="counts"):
        SharedFile(path, 4)
    assert victim.read_bytes() == b"\0" * 32


@pytest.mark.parametrize("content", [b"", b"short", b"\0" * 4096])
def test_a_file_of_another_size_is_refused(path, content):
    path.write_bytes(content)
    with pytest.raises(UnsafeFile, match="remove it"):
        SharedFile(path, 4)


def test_a_folder_in_its_place_is_refused(path):
    path.mkdir()
    with pytest.raises(OSError, match="counts"):
        SharedFile(path, 4)


def test_a_deleted_or_replaced_file_is_noticed(path):
    file = SharedFile(path, 4)
    assert not file.replaced()
    path.unlink()
    assert file.replaced()
    SharedFile(path, 4)
    assert file.replaced()
    file.numbers[0] = 1  # the old one can still be written: no SIGBUS


def test_what_computes_is_seen_until_it_stops_or_ends(path):
    one, looking = SharedFile(path, COUNT), SharedFile(path, COUNT)
    assert not looking.held()
    one.hold()
    with computing_process(path):
        assert looking.held()
        one.let_go()
        assert looking.held()
    assert not looking.held()


def test_the_servers_own_folder_is_taken_where_there_is_one(tmp_path, monkeypatch):
    monkeypatch.setenv(SERVER_FOLDER, str(tmp_path))
    assert server_folder() == tmp_path


@pytest.fixture
def own_tmp(tmp_path, monkeypatch):
    monkeypatch.delenv(SERVER_FOLDER, raising=False)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_a_server_started_by_hand_has_one_of_its_process(own_tmp):
    folder = server_folder()
    assert folder.parent == own_tmp
    assert folder.name.startswith(f"emotalk-triton-{os.getppid()}-")
    assert folder.stat().st_mode & 0o777 == 0o700
    assert server_folder() == folder


def test_a_folder_that_others_may_enter_or_that_is_a_link_is_refused(own_tmp):
    folder = server_folder()
    folder.chmod(0o777)
    with pytest.raises(UnsafeFile, match=SERVER_FOLDER):
        server_folder()
    folder.rmdir()
    elsewhere = own_tmp / "elsewhere"
    elsewhere.mkdir(mode=0o700)
    folder.symlink_to(elsewhere)
    with pytest.raises(UnsafeFile, match=SERVER_FOLDER):
        server_folder()


def test_folders_of_servers_that_ended_are_removed_and_others_stay(own_tmp):
    pid_limit = int(Path("/proc/sys/kernel/pid_max").read_text())
    dead = own_tmp / f"emotalk-triton-{pid_limit + 1}-1234"
    reused = own_tmp / f"emotalk-triton-{os.getpid()}-1"
    foreign = own_tmp / "emotalk-triton-notes-1"
    for folder in (dead, reused, foreign):
        folder.mkdir()
        (folder / "admission").touch()
    own = server_folder()
    assert sorted(own_tmp.iterdir()) == sorted([foreign, own])
