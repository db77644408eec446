"""The store: whole or not at all, within quotas, whoever is killed, and nothing that is not what was written."""

import errno
import json
import multiprocessing
import os
import signal
import threading

import pytest
from avatar_packages import draft
from hypothesis import given
from hypothesis import strategies as st

from emotalk_avatar import folders
from emotalk_avatar.cache import ByteCache
from emotalk_avatar.errors import (
    AvatarExists,
    AvatarQuotaExceeded,
    AvatarStoreFull,
    DamagedAvatar,
    InvalidAvatarName,
    UnknownAvatar,
)
from emotalk_avatar.naming import checked_name, is_id, new_id
from emotalk_avatar.package import GLB, METADATA, PICTURE, POINTS, PREVIEW, Unfit, parsed
from emotalk_avatar.store import AvatarStore, Quota
from emotalk_client.errors import UnwritableFile

pytestmark = pytest.mark.unit

FORK = multiprocessing.get_context("spawn")


@pytest.fixture
def store(tmp_path):
    return AvatarStore(tmp_path / "avatars")


def visible(store):
    """Names that are not hidden."""
    return sorted(path.name for path in store.folder.iterdir() if not path.name.startswith("."))


def hidden(store):
    return sorted(path.name for path in store.folder.iterdir() if path.name.startswith(".") and path.name != ".lock")


def test_what_is_stored_is_read(store):
    made = draft()
    avatar = store.add(made)
    assert is_id(avatar.id)
    assert avatar.folder == store.folder / avatar.id
    found = AvatarStore(store.folder).get(avatar.id)
    assert found == avatar
    assert {name: store.read(found, name) for name in found.metadata.files} == made.files
    assert found.landmarks().shape == (1, 478, 3)
    assert found.metadata.warnings == ("closed mouth, please",)
    assert [one.id for one in store.list().avatars] == [avatar.id]
    assert hidden(store) == []


def test_only_its_user_reads_it(store):
    avatar = store.add(draft())
    for path in [store.folder, avatar.folder, *avatar.folder.iterdir()]:
        assert path.stat().st_mode & 0o077 == 0, path


def test_an_owner_sees_only_their_own(store):
    hers, his = store.add(draft(owner="Ada")), store.add(draft(owner="Bob"))
    assert [one.id for one in store.list("Ada").avatars] == [hers.id]
    assert store.get(hers.id, "Ada").id == hers.id
    with pytest.raises(UnknownAvatar):
        store.get(his.id, "Ada")
    with pytest.raises(UnknownAvatar):
        store.delete(his.id, "Ada")
    assert {one.id for one in store.list().avatars} == {hers.id, his.id}


@pytest.mark.parametrize("named", ["", "..", "../x", "a" * 25, "A" * 26, "1" * 26, "a" * 26 + "/", "é" * 26, ".lock"])
def test_what_cannot_be_an_id_is_not_looked_for(store, named, monkeypatch):
    store.add(draft())
    monkeypatch.setattr(type(store.folder), "open", None)  # a file that was opened would fail otherwise
    for ask in (store.get, store.delete):
        with pytest.raises(UnknownAvatar):
            ask(named)


def test_a_deleted_one_is_gone_and_whoever_reads_reads_on(store):
    avatar = store.add(draft())
    with avatar.path(GLB).open("rb") as reading:
        store.delete(avatar.id)
        assert reading.read() == draft().files[GLB]
    assert visible(store) == hidden(store) == []
    for ask in (store.get, store.delete):
        with pytest.raises(UnknownAvatar):
            ask(avatar.id)
    with pytest.raises(UnknownAvatar):
        avatar.read(GLB)


def test_another_process_that_deletes_is_noticed(store):
    avatar = store.add(draft())
    store.read(store.get(avatar.id), GLB)
    AvatarStore(store.folder).delete(avatar.id)
    with pytest.raises(UnknownAvatar):
        store.get(avatar.id)
    assert store.list().avatars == ()


@pytest.mark.parametrize("name", [GLB, PREVIEW, PICTURE, POINTS])
@pytest.mark.parametrize("damage", ["flip", "cut", "longer", "gone", "folder"])
def test_a_damaged_file_is_said(store, name, damage):
    avatar = store.add(draft())
    path = avatar.path(name)
    content = bytearray(path.read_bytes())
    path.unlink()
    if damage == "flip":
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
    elif damage == "cut":
        path.write_bytes(content[:-1])
    elif damage == "longer":
        path.write_bytes(content + b"x")
    elif damage == "folder":
        path.mkdir()
    with pytest.raises(DamagedAvatar, match=name):
        store.read(store.get(avatar.id), name)


def test_damaged_metadata_are_said_and_others_are_listed(store):
    whole, broken = store.add(draft()), store.add(draft())
    (broken.folder / METADATA).write_bytes(b"{")
    with pytest.raises(DamagedAvatar, match=METADATA):
        store.get(broken.id)
    listing = store.list()
    assert [one.id for one in listing.avatars] == [whole.id]
    assert listing.damaged == (broken.id,)
    with pytest.raises(DamagedAvatar):
        store.delete(broken.id, "everybody")
    store.delete(broken.id)
    assert visible(store) == [whole.id]


def test_metadata_of_another_are_damage(store):
    one, other = store.add(draft()), store.add(draft())
    (one.folder / METADATA).write_bytes((other.folder / METADATA).read_bytes())
    with pytest.raises(DamagedAvatar, match=other.id):
        store.get(one.id)


def test_an_id_is_taken_once(store):
    wanted = new_id()
    store.add(draft(), wanted)
    with pytest.raises(AvatarExists, match=wanted):
        store.add(draft(), wanted)
    assert hidden(store) == []


def test_quotas(tmp_path):
    size = draft().metadata("a" * 26).size
    store = AvatarStore(tmp_path, Quota(avatars=2, bytes=10 * size, total_bytes=3 * size))
    store.add(draft(owner="Ada"))
    store.add(draft(owner="Ada"))
    with pytest.raises(AvatarQuotaExceeded, match="2 avatars; accepted: 2"):
        store.add(draft(owner="Ada"))
    with pytest.raises(AvatarQuotaExceeded):
        store.check_room("Ada")
    store.check_room("Bob")
    store.add(draft(owner="Bob"))
    with pytest.raises(AvatarStoreFull, match="of all"):
        store.add(draft(owner="Cid"))
    with pytest.raises(AvatarQuotaExceeded, match="bytes of avatars"):
        AvatarStore(tmp_path, Quota(bytes=3 * size - 1)).add(draft(owner="Ada"))
    assert len(store.list().avatars) == 3
    assert hidden(store) == []


def test_the_last_place_is_given_once(tmp_path):
    store = AvatarStore(tmp_path, Quota(avatars=3))
    fates = []

    def register():
        try:
            fates.append(AvatarStore(tmp_path, Quota(avatars=3)).add(draft()))
        except AvatarQuotaExceeded as error:
            fates.append(error)

    threads = [threading.Thread(target=register) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(store.list().avatars) == 3
    assert sum(isinstance(fate, AvatarQuotaExceeded) for fate in fates) == 9


def _add_some(folder, count):
    store = AvatarStore(folder)
    for _ in range(count):
        store.add(draft())


def test_two_processes_write_to_one_store(store):
    workers = [FORK.Process(target=_add_some, args=(store.folder, 5)) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
        assert worker.exitcode == 0
    assert len(store.list().avatars) == 10
    assert hidden(store) == []


def _stop_amid(folder, written):
    def wait(*_):
        written.set()
        signal.pause()

    folders.rename = wait
    AvatarStore(folder).add(draft())


def test_whoever_is_killed_amid_leaves_nothing_that_counts(store):
    written = FORK.Event()
    worker = FORK.Process(target=_stop_amid, args=(store.folder, written))
    worker.start()
    written.wait()
    assert len(hidden(store)) == 1
    avatar_while_it_lives = AvatarStore(store.folder)
    # It holds the store's lock, as it is about to rename: another waits, and is served once it is dead.
    os.kill(worker.pid, signal.SIGKILL)
    worker.join()
    assert store.list().avatars == ()
    avatar = avatar_while_it_lives.add(draft())
    assert visible(store) == [avatar.id]
    assert hidden(store) == []


def test_what_is_being_written_is_not_swept(store):
    with folders.written(store.folder, {"x": b"x"}) as new:
        AvatarStore(store.folder).add(draft())
        assert (new / "x").read_bytes() == b"x"
    assert hidden(store) == []


def test_what_died_while_it_was_removed_is_swept(store):
    avatar = store.add(draft())
    gone = store.folder / f"{folders.GONE}x"
    gone.mkdir()
    avatar.folder.rename(gone / avatar.id)
    assert store.list().avatars == ()
    store.add(draft())
    assert hidden(store) == []


def test_a_held_store_is_not_waited_for_for_ever(store, monkeypatch):
    monkeypatch.setattr(folders, "WAIT_S", 0.05)
    with folders.locked(store.folder), pytest.raises(UnwritableFile, match="another process"):
        store.add(draft())


@pytest.mark.parametrize("failing", ["write", "fsync", "rename"])
def test_a_full_disk_leaves_nothing(store, monkeypatch, failing):
    store.add(draft())
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def fail(*_, **__):
        raise full

    if failing == "rename":
        monkeypatch.setattr(type(store.folder), "rename", fail)
    else:
        monkeypatch.setattr(*{"write": (folders, "_write"), "fsync": (folders.os, "fsync")}[failing], fail)
    with pytest.raises(UnwritableFile, match="No space left"):
        store.add(draft())
    monkeypatch.undo()
    assert len(store.list().avatars) == 1
    assert hidden(store) == []


def test_a_store_that_is_not_there_is_empty(tmp_path):
    store = AvatarStore(tmp_path / "none" / "here")
    assert store.list().avatars == ()
    with pytest.raises(UnknownAvatar):
        store.get(new_id())
    assert not store.folder.exists()


def test_a_store_that_cannot_be_made_is_said(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(UnwritableFile, match="file"):
        AvatarStore(tmp_path / "file" / "avatars").add(draft())


# --- the memory of what was read ---


def test_what_was_read_is_kept_and_dropped_by_bytes(tmp_path):
    store = AvatarStore(tmp_path, cache_bytes=12_000)
    avatars = [store.add(draft(size=200)) for _ in range(6)]  # about 2.6 kB each
    for avatar in avatars:
        store.read(avatar, GLB)
    store.read(avatars[-1], GLB)
    status = store.cache_status()
    assert (status.hits, status.misses) == (1, 6)
    assert status.evicted >= 1
    assert status.bytes <= 12_000
    before = status.bytes
    store.delete(avatars[-1].id)
    assert store.cache_status().bytes < before


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 40))), st.integers(0, 100))
def test_the_cache_is_bounded_and_right(asked, most):
    cache = ByteCache(most)
    for key, size in asked:
        content = bytes([key]) * size
        assert cache.get((key, size), lambda content=content: content) == content
        assert cache.status().bytes <= most
    status = cache.status()
    assert status.hits + status.misses == len(asked)
    cache.drop(lambda _: True)
    assert (cache.status().bytes, cache.status().entries) == (0, 0)


# --- names ---


@pytest.mark.parametrize("name", ["Ada", "سارا", "می\u200cخواهم", "x" * 80, "../../etc/passwd", "a<b>&\"'"])
def test_names_are_text(store, name):
    assert store.add(draft(name=name)).metadata.name == checked_name(name)
    assert len(visible(store)) == 1


@pytest.mark.parametrize("name", ["", "  ", "x" * 81, "a\nb", "a\0b", "a\u202eb", "a\u2028b", "a\x1b[2J", "x" * 10**6])
def test_what_is_not_a_line_of_text_is_refused(name):
    with pytest.raises(InvalidAvatarName) as caught:
        checked_name(name)
    assert len(str(caught.value)) < 400


# --- metadata ---


def document():
    return json.loads(draft().metadata("a" * 26).dumped())


def test_metadata_come_back():
    metadata = draft().metadata("a" * 26)
    assert parsed(metadata.dumped()) == metadata


@pytest.mark.parametrize(
    "change",
    [
        {"format": "other"},
        {"version": 2},
        {"id": "../x"},
        {"kind": "hologram"},
        {"width": 0},
        {"width": True},
        {"width": 10**400},
        {"fps": 10**400},
        {"quality": {"x": "y"}},
        {"quality": {"x": 10**400}},
        {"neutral": [0.0]},
        {"box": [1, 2, 3]},
        {"owner": "a\nb"},
        {"name": 5},
        {"created": "yesterday"},
        {"source_sha256": "0"},
        {"files": {"../x": {"sha256": "0" * 64, "bytes": 1}}},
        {"files": {GLB: {"sha256": "0" * 64, "bytes": 2**40}}},
        {"files": {GLB: 3}},
        {"files": {}},
        {"fit": []},
        {"warnings": "x"},
        {"models": {"x": 1}},
    ],
    ids=str,
)
def test_other_metadata_are_refused(change):
    with pytest.raises(Unfit):
        parsed(json.dumps(document() | change).encode())


@given(
    st.binary() | st.recursive(st.none() | st.integers() | st.text(), st.lists).map(lambda v: json.dumps(v).encode())
)
def test_anything_else_is_unfit(content):
    with pytest.raises(Unfit):
        parsed(content)


def test_deep_nesting_is_unfit():
    with pytest.raises(Unfit):
        parsed(b"[" * 100_000)
