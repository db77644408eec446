"""The routes that serve the page: its own host only, the head as packaged, sound in ranges, three.js as published."""

import json
import re
from pathlib import Path

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from emotalk_client.faces import head
from emotalk_gateway.page.viewer import STATIC, ShownResult, add_viewer

pytestmark = pytest.mark.server

ROOT = Path(__file__).parents[2]
THREE = STATIC / "vendor" / "three"


@pytest.fixture
def bare():
    app = FastAPI()
    add_viewer(app)
    with TestClient(app) as client:
        yield client


@pytest.fixture
def shown(face, voice):
    app = FastAPI()
    add_viewer(app, ShownResult(face, voice, 'a "quoted" <face> & $more'))
    with TestClient(app) as client:
        yield client


def test_the_page_may_ask_nobody_else(bare):
    policy = bare.get("/", headers={"Accept": "text/html"}).headers["content-security-policy"]
    allowed = dict(part.split(" ", 1) for part in policy.split("; "))
    assert allowed["default-src"] == "'none'"
    assert re.fullmatch(r"'self' 'sha256-[\w+/]{43}='", allowed["script-src"])
    assert "unsafe" not in policy
    assert "http" not in policy
    for path in STATIC.glob("*.*"):
        outside = set(re.findall(r"https?://[^\s\"')]+", path.read_text("utf-8"))) - {"http://www.w3.org/2000/svg"}
        assert outside == set(), path.name


def test_browsers_are_told_to_ask_again(bare):
    for path in ("/", "/static/main.js", "/head.glb"):
        answer = bare.get(path)
        assert answer.headers["cache-control"] == "no-cache", path
    again = bare.get("/static/main.js", headers={"If-None-Match": bare.get("/static/main.js").headers["etag"]})
    assert again.status_code == 304


def test_modules_are_served_as_scripts(bare):
    for path in STATIC.rglob("*.js"):
        kind = bare.get(f"/static/{path.relative_to(STATIC)}").headers["content-type"]
        assert kind.startswith(("text/javascript", "application/javascript")), path


def test_the_head_is_the_packaged_one(bare):
    answer = bare.get("/head.glb")
    assert answer.content == head.read()
    assert answer.headers["content-type"] == "model/gltf-binary"


def test_nothing_but_static_files_is_given_away(bare):
    for path in ("/static/../viewer.py", "/static/%2e%2e/viewer.py", "/static/index.html/..%2f..%2fviewer.py"):
        assert bare.get(path).status_code == 404
    assert bare.get("/result/frames.json").status_code == 404
    assert bare.get("/result/audio").status_code == 404


def test_a_shown_result(shown, face, voice):
    document = shown.get("/result/frames.json").json()
    assert document["names"] == list(face.names)
    assert (document["fps"], document["timecode"]) == (30, 0.0)
    assert document["blendshapes"] == face.weights.tolist()
    assert shown.get("/result/audio").content == voice.read_bytes()
    part = shown.get("/result/audio", headers={"Range": "bytes=1000-1999"})
    assert part.status_code == 206
    assert part.content == voice.read_bytes()[1000:2000]


def test_a_title_is_text(shown):
    page = shown.get("/").text
    assert "<face>" not in page
    facts = re.search(r'<meta name="emotalk" content="([^"]*)">', page)[1]
    assert "&quot;title&quot;: &quot;a \\&quot;quoted\\&quot; &lt;face&gt; &amp; $more&quot;" in facts


def test_three_is_the_version_that_the_lock_names():
    lock = json.loads((ROOT / "tools" / "viewer" / "package-lock.json").read_text())
    version = lock["packages"]["node_modules/three"]["version"]
    revision = version.split(".")[1]
    assert f'="{revision}"' in (THREE / "build" / "three.core.min.js").read_text()
    assert f"three.js {version}" in (ROOT / "NOTICE").read_text()
    assert "MIT License" in (THREE / "LICENSE").read_text()


def test_three_imports_nothing_that_is_not_there():
    for path in THREE.rglob("*.js"):
        for name in re.findall(r"""from\s?["']([^"']+)["']""", path.read_text("utf-8")):
            if name != "three" and "/*" not in name and name.startswith("."):
                assert (path.parent / name).is_file(), f"{path.name} imports {name}"
