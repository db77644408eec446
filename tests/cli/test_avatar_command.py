"""``emotalk avatar``: a photograph registered into a folder, and what is done with it there."""

import json
import os
from contextlib import contextmanager

import pytest
from avatar_packages import draft
from registering_parts import Parts, photograph

from emotalk_avatar.errors import (
    AvatarExists,
    AvatarQuotaExceeded,
    InvalidAvatarName,
    InvalidPackage,
    NoFace,
    PictureTooLarge,
    UnknownAvatar,
    UnreadablePicture,
)
from emotalk_avatar.package import GLB, METADATA
from emotalk_avatar.store import AvatarStore
from emotalk_client.faces import head

pytestmark = pytest.mark.unit


@pytest.fixture
def parts(monkeypatch):
    found = Parts(monkeypatch)

    @contextmanager
    def address(url, *, avatars):
        assert avatars
        found.started = getattr(found, "started", 0) + 1
        yield url or "fake:1"

    monkeypatch.setattr("emotalk_cli.avatar.address", address)
    return found


@pytest.fixture
def photo(tmp_path):
    path = tmp_path / "ada.jpg"
    path.write_bytes(photograph())
    return path


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "store"


def test_the_id_is_the_last_line_and_the_package_its_folder(run, parts, photo, folder):
    parts.warnings = ("closed mouth, please",)
    result = run("avatar", "register", photo, "--store", folder)
    assert result.exit_code == 0, result.output
    avatar = result.stdout.splitlines()[-1]
    assert result.stdout.split() == [avatar]
    assert "closed mouth, please" in result.stderr
    assert json.loads((folder / avatar / METADATA).read_text())["name"] == "ada"
    assert (folder / avatar / GLB).read_bytes() == head.read()


def test_name_and_owner(run, parts, photo, folder):
    avatar = run("avatar", "register", photo, "--name", "سارا", "--owner", "me", "--store", folder).stdout.strip()
    said = json.loads(run("avatar", "info", avatar, "--store", folder).stdout)
    assert (said["name"], said["owner"], said["id"]) == ("سارا", "me", avatar)
    assert said["folder"] == str(folder / avatar)


def test_from_a_pipe(run, parts, folder):
    result = run("avatar", "register", "-", "--store", folder, stdin=photograph())
    assert result.exit_code == 0, result.output
    assert AvatarStore(folder).get(result.stdout.strip()).metadata.name == "stdin"


def test_list_tells_the_damaged_ones(run, folder):
    store = AvatarStore(folder)
    hers, his, broken = (store.add(draft(name=name, owner=name)) for name in ("Ada", "Bob", "Cid"))
    (broken.folder / METADATA).write_text("{")
    result = run("avatar", "list", "--store", folder)
    assert [line.split()[0] for line in result.stdout.splitlines()] == sorted([hers.id, his.id])
    assert broken.id in result.stderr
    result = run("avatar", "list", "--owner", "Ada", "--store", folder)
    assert hers.id in result.stdout
    assert his.id not in result.output
    assert run("avatar", "delete", hers.id, broken.id, "--store", folder).exit_code == 0
    assert run("avatar", "list", "--store", folder).stdout.split()[0] == his.id


def test_taken_elsewhere(run, folder, tmp_path):
    avatar = AvatarStore(folder).add(draft(owner="Ada"))
    file, there = tmp_path / "deep" / "x.avatar", tmp_path / "there"
    assert run("avatar", "export", avatar.id, "-o", file, "--store", folder).exit_code == 0
    result = run("avatar", "import", file, "--store", there)
    assert result.stdout.strip() == avatar.id
    assert AvatarStore(there).get(avatar.id).metadata == avatar.metadata
    result = run("avatar", "import", file, "--store", there)
    assert isinstance(result.exception, AvatarExists)
    run("avatar", "delete", avatar.id, "--store", there)
    run("avatar", "import", file, "--owner", "me", "--store", there)
    assert AvatarStore(there).get(avatar.id).metadata.owner == "me"


def test_the_default_folder(run, parts, photo, tmp_path, monkeypatch):
    monkeypatch.delenv("EMOTALK_AVATARS", raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    avatar = run("avatar", "register", photo).stdout.strip()
    assert (tmp_path / "data" / "emotalk" / "avatars" / avatar).is_dir()
    monkeypatch.setenv("XDG_DATA_HOME", "relative")  # which the specification says to ignore
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    avatar = run("avatar", "register", photo).stdout.strip()
    assert (tmp_path / "home" / ".local" / "share" / "emotalk" / "avatars" / avatar).is_dir()
    monkeypatch.setenv("EMOTALK_AVATARS", str(tmp_path / "named"))
    avatar = run("avatar", "register", photo).stdout.strip()
    assert (tmp_path / "named" / avatar).is_dir()


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (lambda path: path.unlink(), UnreadablePicture),
        (lambda path: (path.unlink(), path.mkdir()), UnreadablePicture),
        (lambda path: path.write_bytes(b"text"), UnreadablePicture),
        (lambda path: os.truncate(path, 60_000_000), PictureTooLarge),
    ],
    ids=["missing", "a folder", "text", "large"],
)
def test_what_is_not_a_picture_is_refused(run, parts, photo, folder, change, error):
    change(photo)
    result = run("avatar", "register", photo, "--store", folder)
    assert isinstance(result.exception, error), result.output
    assert result.stdout == ""
    assert AvatarStore(folder).list().avatars == ()


def test_a_refused_picture_leaves_nothing(run, parts, photo, folder):
    parts.refusal = NoFace("no face is seen; accepted: one from the front")
    assert isinstance(run("avatar", "register", photo, "--store", folder).exception, NoFace)
    assert AvatarStore(folder).list().avatars == ()


def test_mistakes_are_found_before_a_server_is_started(run, parts, photo, folder):
    for name in ("", "x" * 81, "a\nb"):
        result = run("avatar", "register", photo, "--name", name, "--store", folder)
        assert isinstance(result.exception, InvalidAvatarName)
    store = AvatarStore(folder)
    for _ in range(store.quota.avatars):
        store.add(draft())
    assert isinstance(run("avatar", "register", photo, "--store", folder).exception, AvatarQuotaExceeded)
    assert not hasattr(parts, "started")


@pytest.mark.parametrize("command", ["info", "delete", "export"])
@pytest.mark.parametrize("named", ["../x", "a" * 26, ""])
def test_unknown_ids_are_said(run, folder, command, named):
    assert isinstance(run("avatar", command, named, "--store", folder).exception, UnknownAvatar)


def test_other_files_are_not_taken_in(run, folder, photo):
    assert isinstance(run("avatar", "import", photo, "--store", folder).exception, InvalidPackage)
    assert isinstance(run("avatar", "import", "none.avatar", "--store", folder).exception, InvalidPackage)
