"""Who is on the stage: one's own head, an avatar, the packaged head; and the life in them."""

import base64
import json
import re
import signal
import subprocess
import sys

import heads
import numpy as np
import pytest
from browsing import SMALL

from emotalk_client import UnreadableHead
from emotalk_client.faces import head
from emotalk_client.faces.head.own import OwnHead
from emotalk_client.faces.life import Life
from emotalk_contract.arkit import BLENDSHAPES
from emotalk_contract.timing import FPS

pytestmark = pytest.mark.browser

MADE = heads.made()
DROP = """
const [name, content] = arguments;
const files = new DataTransfer();
files.items.add(new File([Uint8Array.from(atob(content), (letter) => letter.charCodeAt(0))], name));
for (const kind of ["dragenter", "dragover", "drop"]) {
  const event = new DragEvent(kind, { dataTransfer: files, bubbles: true, cancelable: true });
  document.querySelector("#stage").dispatchEvent(event);
}
"""
READ = """
const [files, done] = arguments;
(async () => {
  const { documentOf, reading, described, bonesOf } = await import("/static/reading.js");
  const table = await (await fetch("/vocabularies.json")).json();
  done(files.map(([name, content]) => {
    const bytes = Uint8Array.from(atob(content), (letter) => letter.charCodeAt(0)).buffer;
    try {
      const found = documentOf(bytes, name);
      const read = reading(found, name, table);
      return { ...read, words: described(name, read, table), bones: bonesOf(found) };
    } catch (error) {
      return { error: error.message };
    }
  }));
})();
"""
LIVES = """
const [names, rows, life, frames, done] = arguments;
(async () => {
  const { Life } = await import("/static/life.js");
  const { Track } = await import("/static/track.js");
  const track = new Track(names, 30);
  rows.forEach((row, i) => track.put(i / 30, row));
  const lives = new Life(life);
  done(frames.map((frame) => lives.frame(track, frame)));
})();
"""


def encoded(content):
    return base64.b64encode(content).decode()


def test_life_is_the_same_numbers_in_the_browser(page, gateway):
    page.open(gateway)
    random = np.random.default_rng(2)
    weights = random.uniform(0, 0.5, (400, 52)).astype(np.float32)
    for seed in (0, 7, 2**40 + 5):
        life = Life(0.7, 0.5, 0.9, seed=seed)
        right = life.of(weights)
        frames = [0, 1, 10, 44, 45, 46, 100, 151, 152, 153, 399]
        given = {"head": life.head, "gaze": life.gaze, "idle": life.idle, "seed": seed}
        found = page.driver.execute_async_script(LIVES, BLENDSHAPES, weights.tolist(), given, frames)
        for frame, lived in zip(frames, found, strict=True):
            np.testing.assert_allclose(lived["rotations"], right.rotations[frame], atol=1e-6)
            np.testing.assert_allclose(lived["weights"], right.weights[frame], atol=1e-6)


def test_the_browser_reads_heads_as_python_does(page, gateway):
    page.open(gateway)
    found = page.driver.execute_async_script(READ, [[name, encoded(content)] for name, (content, _) in MADE.items()])
    for (name, (content, vocabulary)), read in zip(MADE.items(), found, strict=True):
        right = OwnHead.of(content, name)
        assert "error" not in read, read
        assert read["vocabulary"] == vocabulary
        assert read["missing"] == list(right.missing)
        assert read["words"] == right.words()
        assert [one["name"] for one in read["expressions"]] == [one.name for one in right.expressions]
        for one, other in zip(read["expressions"], right.expressions, strict=True):
            assert [(b["mesh"], b["target"]) for b in one["binds"]] == [(b.mesh, b.target) for b in other.binds]
            np.testing.assert_allclose([b["factor"] for b in one["binds"]], [b.factor for b in other.binds])
            column = [one["column"].get(blendshape, 0) for blendshape in BLENDSHAPES]
            np.testing.assert_allclose(column, other.column, atol=1e-12)


def test_the_browser_refuses_what_python_refuses(page, gateway):
    page.open(gateway)
    wrong = {
        "empty.glb": b"",
        "text.glb": b'{"asset": {}}',
        "zip.glb": b"PK\x03\x04" + bytes(100),
        "cut.glb": head.read()[:1000],
        "draco.glb": heads.packed_with("KHR_draco_mesh_compression"),
        "meshopt.glb": heads.packed_with("EXT_meshopt_compression"),
        "elsewhere.glb": heads.changed(lambda d: d.update(images=[{"uri": "https://example.org/a.png"}])),
        "unknown.glb": heads.renamed(lambda name: None),
        "nameless.glb": heads.changed(lambda d: d["meshes"][0].pop("extras")),
        "astray.vrm": heads.changed(
            lambda d: d.update(
                extensions={
                    "VRM": {
                        "blendShapeMaster": {
                            "blendShapeGroups": [
                                {"presetName": "a", "binds": [{"mesh": 0, "index": 99, "weight": 100}]},
                            ]
                        }
                    }
                }
            )
        ),
        "broken.glb": heads.changed(lambda d: d.update(meshes=[{"primitives": []}])),
    }
    found = page.driver.execute_async_script(READ, [[name, encoded(content)] for name, content in wrong.items()])
    for name, read in zip(wrong, found, strict=True):
        assert read.get("error", "").startswith(name), (name, read)
        with pytest.raises(UnreadableHead, match="^" + name):
            OwnHead.of(wrong[name], name)


def test_a_result_is_shown_with_a_head_of_ones_own(page, face, voice, tmp_path):
    lively = face.lively(Life(1, 1, 1))
    lively.save(tmp_path / "face.csv")
    (tmp_path / "me.vrm").write_bytes(MADE["one.vrm"][0])
    command = [sys.executable, "-m", "emotalk_cli", "view", tmp_path / "face.csv", voice, "--head", tmp_path / "me.vrm"]
    with subprocess.Popen(
        [*map(str, command), "--no-browser"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as viewing:
        try:
            page.open(re.search(r"http://127\.0\.0\.1:\d+", viewing.stdout.readline())[0])
            page.settled()
            page.until("document.querySelector('#who').value === 'own'")
            assert page.find("#who").text.splitlines()[-1].strip() == "me.vrm"
            content = page.driver.execute_async_script(
                "fetch('result/head').then((a) => a.arrayBuffer()).then((b) => arguments[0](b.byteLength))"
            )
            assert content == len(MADE["one.vrm"][0])
            given = page.driver.execute_async_script(
                "fetch('result/frames.json').then((a) => a.json()).then((b) => arguments[0](b.rotations))"
            )
            np.testing.assert_allclose(given, lively.rotations, atol=1e-6)
        finally:
            viewing.send_signal(signal.SIGINT)
            out, err = viewing.communicate(timeout=120)
    assert (viewing.returncode, out) == (0, "")
    assert err == "me.vrm speaks the expressions of VRM 1.0: 15 of 15\n"


def wear(page, name, content):
    page.run("document.querySelector('#who-notes').textContent = ''")
    page.run(DROP, name, encoded(content))
    page.until("document.querySelector('#who-notes').textContent !== ''")
    return page.find("#who-notes").text


def mouth(page):
    """How much of the face's picture moves between a closed mouth and an open one."""
    pictures = []
    for seconds in (0.0, 0.95):
        page.set({"#time": seconds})
        page.until(f"Math.abs(emotalk.shown().time - {seconds}) < 0.02")
        page.shown()
        page.shown()
        pictures.append(page.picture("#face").astype(int))
    return (np.abs(pictures[0] - pictures[1]).max(axis=2) > 40).mean()


def test_an_own_head_is_worn_kept_and_forgotten(page_3d, gateway, voice):
    page = page_3d
    page.choose(voice)
    page.settled()
    assert wear(page, "zero.vrm", MADE["zero.vrm"][0]) == "zero.vrm speaks the expressions of VRM 0.x: 14 of 14"
    assert page.find("#who").get_attribute("value") == "own"
    assert mouth(page) > 0.0005, "the mouth does not move"
    page.open(gateway, *SMALL)  # another visit
    page.until("document.querySelector('#face').dataset.ready === ''")
    assert page.find("#who").get_attribute("value") == "own"
    refused = wear(page, "draco.glb", heads.packed_with("KHR_draco_mesh_compression"))
    assert refused.startswith("draco.glb is packed with Draco")
    assert page.find("#who").get_attribute("value") == "own", "what was there stays"
    assert page.run("return document.querySelector('#face').dataset.ready") == ""
    page.press("#forget")
    page.until(
        "document.querySelector('#who').value === 'head' && document.querySelector('#face').dataset.ready === ''"
    )
    page.open(gateway, *SMALL)
    page.until("document.querySelector('#face').dataset.ready === ''")
    assert [option.text for option in page.find("#who").find_elements("css selector", "option")] == ["Packaged head"]


def test_a_face_lives_before_anything_is_said_unless_motion_is_not_wanted(page_3d, gateway):
    page = page_3d
    page.open(gateway, *SMALL)
    page.until("document.querySelector('#face').dataset.ready === ''")
    page.until("Math.abs(emotalk.shown().rotations[0]) > 0.001")
    before = page.shown()["rotations"]
    page.until(f"JSON.stringify(emotalk.shown().rotations) !== '{json.dumps(before, separators=(',', ':'))}'")
    page.screen(*SMALL, reduced=True)
    page.until("emotalk.shown().rotations.every((angle) => angle === 0)")
    page.screen(*SMALL, reduced=False)


def test_life_is_as_much_as_the_slider_says(page_3d, gateway):
    page = page_3d
    page.open(gateway, *SMALL)
    page.until("document.querySelector('#face').dataset.ready === '' && emotalk.shown().rotations")
    assert page.find("#life").get_attribute("value") == "0.4"
    page.set({"#life": 0})
    page.until("emotalk.shown().rotations.every((angle) => angle === 0)")
    page.set({"#life": 1})
    page.until("Math.abs(emotalk.shown().rotations[0]) > 0.001")
    page.set({"#life": 0.4})


def test_the_stage_shows_life_beside_the_clips_own_weights(page_3d, voice, face):
    page = page_3d
    page.choose(voice)
    page.settled()
    page.set({"#time": 2.0})
    page.until("Math.abs(emotalk.shown().time - 2) < 0.02")
    shown = page.shown()
    lived = Life(0.4, 0.4, 0.4).of(face.weights).rotations
    right = [np.interp(shown["time"] * FPS, np.arange(len(face)), column) for column in lived.T]
    np.testing.assert_allclose(shown["rotations"], right, atol=1e-4)
