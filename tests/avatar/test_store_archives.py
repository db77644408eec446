"""Packages in one file: what was exported comes back, and nothing else gets in."""

import io
import json
import stat
import struct
import zipfile

import pytest
from avatar_packages import draft, glb
from hypothesis import given, settings
from hypothesis import strategies as st

from emotalk_avatar.archive import imported, packed
from emotalk_avatar.errors import AvatarExists, InvalidPackage
from emotalk_avatar.package import GLB, METADATA, PREVIEW, Draft
from emotalk_avatar.store import AvatarStore
from emotalk_client.faces.head.container import Container

pytestmark = pytest.mark.unit


@pytest.fixture(scope="module")
def avatar(tmp_path_factory):
    return AvatarStore(tmp_path_factory.mktemp("store")).add(draft(owner="Ada"))


@pytest.fixture(scope="module")
def content(avatar):
    return packed(avatar)


def taken(content):
    return imported(io.BytesIO(content))


def test_what_was_exported_comes_back(avatar, content, tmp_path):
    avatar_id, found = taken(content)
    assert avatar_id == avatar.id
    store = AvatarStore(tmp_path)
    there = store.add(found, avatar_id)
    assert there.metadata == avatar.metadata
    assert packed(there) == content
    with pytest.raises(AvatarExists):
        store.add(found, avatar_id)


def test_others_read_it_too(content):
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert archive.testzip() is None
        assert METADATA in archive.namelist()


def rebuilt(content, change=lambda entries: None, **attributes):
    """The same zip with ``change`` made to its files."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    change(entries)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, data in entries.items():
            entry = zipfile.ZipInfo(name)
            for attribute, value in attributes.get(name.replace(".", "_"), {}).items():
                setattr(entry, attribute, value)
            archive.writestr(entry, data)
    return out.getvalue()


def described_anew(entries, name, data):
    """Put ``data`` in, and say so in the metadata."""
    changed = draft()
    made = Draft(changed.facts, {**changed.files, name: data})
    entries[name] = data
    entries[METADATA] = made.metadata("a" * 26).dumped()
    for other, there in made.files.items():
        entries[other] = there


REFUSED = {
    "another name": lambda e: e.update({"run.sh": b"x"}),
    "a path": lambda e: e.update({"../avatar.glb": b"x"}),
    "an absolute path": lambda e: e.update({"/etc/passwd": b"x"}),
    "a folder": lambda e: e.update({"a/": b""}),
    "no metadata": lambda e: e.pop(METADATA),
    "no face": lambda e: e.pop(GLB),
    "another preview": lambda e: e.update({PREVIEW: e[PREVIEW] + b"x"}),
    "metadata of something else": lambda e: e.update({METADATA: b"{}"}),
    "a shell": lambda e: described_anew(e, PREVIEW, b"#!/bin/sh"),
    "landmarks of another length": lambda e: described_anew(e, "landmarks.f32", b"\0" * 12),
    "a face that is none": lambda e: described_anew(e, GLB, b"x" * 100),
    "a face elsewhere": lambda e: described_anew(e, GLB, elsewhere()),
    "a file beyond its bound": lambda e: e.update({PREVIEW: bytes(2**20 + 1)}),
}


def elsewhere():
    container = Container.unpacked(glb())
    container.document["images"] = [{"uri": "https://example.org/x.png"}]
    return container.packed()


@pytest.mark.parametrize("change", REFUSED.values(), ids=REFUSED)
def test_other_zips_are_refused(content, change):
    with pytest.raises(InvalidPackage) as caught:
        taken(rebuilt(content, change))
    assert len(str(caught.value)) < 600


def test_the_same_zip_built_anew_is_taken(content):
    assert taken(rebuilt(content))[0]


@pytest.mark.parametrize(
    "attributes",
    [
        {"external_attr": (stat.S_IFLNK | 0o777) << 16},
        {"external_attr": (stat.S_IFCHR | 0o600) << 16},
        {"compress_type": zipfile.ZIP_BZIP2},
        {"compress_type": zipfile.ZIP_LZMA},
    ],
    ids=str,
)
def test_links_devices_and_other_methods_are_refused(content, attributes):
    with pytest.raises(InvalidPackage):
        taken(rebuilt(content, avatar_glb=attributes))


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_name_twice_is_refused(content):
    file = io.BytesIO(content)
    with zipfile.ZipFile(file, "a") as archive:
        archive.writestr(GLB, b"x")
    with pytest.raises(InvalidPackage, match="twice"):
        taken(file.getvalue())


def test_a_bomb_is_not_unpacked(content):
    """A file that says it is small, and is not: read no further than it says."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(METADATA, bytes(50_000_000))
    data = bytearray(out.getvalue())
    at = data.rfind(b"PK\1\2")
    struct.pack_into("<L", data, at + 24, 1000)  # the size in the central directory
    with pytest.raises(InvalidPackage):
        taken(bytes(data))


def test_a_list_of_many_files_is_not_read():
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for number in range(1000):
            archive.writestr(str(number), b"")
    with pytest.raises(InvalidPackage, match="1000 files"):
        taken(out.getvalue())


@pytest.mark.parametrize("data", [b"", b"x" * 10, b"x" * 1000, b"PK\5\6" + bytes(18)], ids=repr)
def test_what_is_not_a_package_is_refused(data):
    with pytest.raises(InvalidPackage):
        taken(data)


def test_comments_and_zip64_are_refused(content):
    with pytest.raises(InvalidPackage, match="comment"):
        taken(content[:-2] + b"\1\0x")
    with pytest.raises(InvalidPackage, match="64-bit"):
        taken(content[:-22] + b"PK\6\7" + bytes(16) + content[-22:])


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_no_flipped_byte_gets_in(content, data):
    """Refused, or what it was: a byte that means nothing may be flipped."""
    at = data.draw(st.integers(0, len(content) - 1))
    flipped = bytearray(content)
    flipped[at] ^= data.draw(st.integers(1, 255))
    try:
        found = taken(bytes(flipped))
    except InvalidPackage:
        return
    assert found == taken(content)


def test_metadata_say_what_is_wrong(content):
    def aged(entries):
        entries[METADATA] = json.dumps(json.loads(entries[METADATA]) | {"version": 7}).encode()

    with pytest.raises(InvalidPackage, match="version is 7; accepted: 1"):
        taken(rebuilt(content, aged))
