"""A repository is what was exported, or it is not served."""

import json
import shutil

import pytest

from emotalk_contract.repository import avatar_repository, bundled
from emotalk_server import groups
from emotalk_server.errors import CorruptRepository, InvalidRepository
from emotalk_server.process import check_repository

pytestmark = pytest.mark.unit


@pytest.fixture
def repository(tmp_path):
    copy = tmp_path / "repository"
    shutil.copytree(bundled(), copy)
    check_repository(copy, "cpu")
    return copy


def test_one_flipped_bit_is_noticed(repository):
    graph = repository / "emotalk_decoder" / "1" / "model.onnx"
    content = bytearray(graph.read_bytes())
    content[len(content) // 2] ^= 1
    graph.write_bytes(content)
    with pytest.raises(CorruptRepository, match=r"emotalk_decoder/1/model\.onnx is damaged: its SHA-256 is"):
        check_repository(repository, "cpu")


def test_a_graph_that_is_too_short_is_noticed(repository):
    graph = repository / "wav2vec_content" / "1" / "model.onnx"
    graph.write_bytes(graph.read_bytes()[:-1])
    with pytest.raises(
        CorruptRepository, match=r"wav2vec_content/1/model\.onnx has \d+ bytes; its MANIFEST\.json says"
    ):
        check_repository(repository, "cpu")


@pytest.mark.parametrize("keep", [0, 1, 200])
def test_a_truncated_manifest_is_noticed(repository, keep):
    manifest = repository / "MANIFEST.json"
    manifest.write_bytes(manifest.read_bytes()[:keep])
    with pytest.raises(CorruptRepository, match="MANIFEST"):
        check_repository(repository, "cpu")


def test_a_manifest_whose_facts_are_none_is_noticed(repository):
    manifest = repository / "MANIFEST.json"
    content = json.loads(manifest.read_text())
    content["provenance"]["graphs"]["emotalk_decoder"] = {"model.onnx": "abc"}
    manifest.write_text(json.dumps(content))
    with pytest.raises(CorruptRepository, match=r"provenance\.graphs"):
        check_repository(repository, "cpu")


def test_a_missing_manifest_is_another_thing(repository):
    (repository / "MANIFEST.json").unlink()
    with pytest.raises(InvalidRepository, match="MANIFEST"):
        check_repository(repository, "cpu")


@pytest.fixture
def faces(tmp_path, monkeypatch):
    copy = tmp_path / "faces"
    shutil.copytree(avatar_repository(), copy)
    monkeypatch.setitem(groups.BESIDE, "avatar", lambda: copy)
    return copy


def test_face_models_are_those_of_their_manifest(faces):
    assert groups.beside("avatar") == faces
    graph = faces / "face_landmarks" / "1" / "model.onnx"
    content = bytearray(graph.read_bytes())
    content[len(content) // 2] ^= 1
    graph.write_bytes(content)
    with pytest.raises(CorruptRepository, match=r"face_landmarks/1/model\.onnx is damaged"):
        groups.beside("avatar")


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"provenance": {"graphs": {"face_detector": 1}}}'])
def test_a_manifest_of_face_models_that_says_nothing_is_noticed(faces, text):
    (faces / "MANIFEST.json").write_text(text)
    with pytest.raises(CorruptRepository, match="MANIFEST"):
        groups.beside("avatar")


def test_models_that_are_not_installed_are_said(monkeypatch):
    monkeypatch.setitem(groups.BESIDE, "avatar", lambda: None)
    with pytest.raises(InvalidRepository, match="the models of avatar are not installed"):
        groups.beside("avatar")


@pytest.mark.parametrize("wanted", [("core",), ("core", "avatar"), ("core", "live", "speech", "avatar")])
def test_what_is_served_is_what_was_asked_for(tmp_path, wanted):
    options = groups.serve(bundled(), wanted, tmp_path)
    folders = [option.split("=", 1)[1] for option in options]
    assert len(folders) == 1 + len({"speech", "avatar"} & set(wanted))
    assert (str(avatar_repository()) in folders) == ("avatar" in wanted)
