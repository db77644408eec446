"""The page before a real gateway and a real Triton, in a real Chromium."""

import base64
import csv
from itertools import pairwise

import numpy as np
import pytest
from browsing import SMALL, agrees, served
from selenium.webdriver.common.keys import Keys

from emotalk_client import Animation
from emotalk_contract.arkit import BLENDSHAPES
from emotalk_contract.timing import FPS

pytestmark = pytest.mark.browser

JAW = BLENDSHAPES.index("jawOpen")
WORD = "open sesame"
DROP = """
const [name, content] = arguments;
const files = new DataTransfer();
files.items.add(new File([Uint8Array.from(atob(content), (letter) => letter.charCodeAt(0))], name));
for (const kind of ["dragenter", "dragover", "drop"]) {
  const event = new DragEvent(kind, { dataTransfer: files, bubbles: true, cancelable: true });
  document.querySelector("#stage").dispatchEvent(event);
}
"""


@pytest.fixture
def loaded(page, gateway, voice):
    """The page, with the sample voice's face."""
    page.open(gateway)
    page.choose(voice)
    page.settled()
    return page


def test_a_chosen_file_speaks_in_time_with_its_sound(page_3d, voice, face):
    page = page_3d
    page.choose(voice)
    page.settled()
    assert page.find("#status").text == "322 frames, 10.7 s"
    assert page.find("#title").text == "voice.flac"
    page.press("#play")
    seen = []
    while len(seen) < 8:
        shown = page.shown()
        if shown["time"] > 0.3 * (len(seen) + 1):
            seen.append(shown)
    page.press("#play")
    for shown in seen:
        assert shown["playing"]
        assert shown["time"] <= shown["soundTime"], "the face runs ahead of the sound"
        agrees(shown, face)
    page.until("!emotalk.shown().playing && emotalk.shown().time === emotalk.shown().soundTime")
    agrees(page.shown(), face)
    jaws = [shown["jawOpen"] for shown in seen]
    assert max(jaws) - min(jaws) > 0.05, "the mouth does not move"


def test_the_head_itself_moves(page_3d, voice):
    """Not the numbers: the picture. A closed mouth and an open one, from the clip's own moments."""
    page = page_3d
    page.choose(voice)
    page.settled()
    pictures = []
    for seconds in (0.0, 0.95):
        page.set({"#time": seconds})
        page.until(f"Math.abs(emotalk.shown().time - {seconds}) < 0.02")
        page.shown()
        pictures.append(page.picture("#face"))
    closed, opened = pictures
    moved = np.abs(closed.astype(int) - opened).max(axis=2) > 40
    rows = np.flatnonzero(moved.any(axis=1)) / len(moved)
    assert moved.mean() > 0.001
    assert np.median(np.nonzero(moved)[0]) / len(moved) > 0.5, "what moves lies in the upper half"
    assert rows.max() < 1


def test_the_camera_follows_the_pointer_unless_motion_is_not_wanted(page_3d):
    page = page_3d
    page.screen(*SMALL, reduced=True)
    page.hover(page.find("#face"), 0.9)
    assert [page.shown()["yaw"] for _ in range(5)] == [0] * 5
    page.screen(*SMALL, reduced=False)
    page.hover(page.find("#face"), 0.8)
    page.until("emotalk.shown().yaw > 0.15")


def test_a_dropped_file(page, gateway, voice, face):
    page.open(gateway)
    page.until("'begun' in document.documentElement.dataset")
    page.run(DROP, "dropped.flac", base64.b64encode(voice.read_bytes()).decode())
    page.settled()
    assert page.find("#title").text == "dropped.flac"
    shown = page.shown()
    assert shown["frames"] == len(face)
    agrees(shown, face)


def test_the_keyboard(loaded, face):
    loaded.until("!document.querySelector('#time').disabled")

    def frame_after(selector, *keys):
        loaded.type(selector, *keys)
        shown = loaded.shown()
        agrees(shown, face)
        return shown["frame"]

    assert frame_after("body", Keys.ARROW_RIGHT) == 1
    assert frame_after("body", Keys.ARROW_RIGHT) == 2
    assert frame_after("body", Keys.SHIFT + Keys.ARROW_RIGHT) == 32
    assert frame_after("#time", Keys.NULL + Keys.ARROW_LEFT) == 31
    assert frame_after("#time", Keys.PAGE_UP) == 61
    assert frame_after("#time", Keys.END) == len(face) - 1
    assert frame_after("#time", Keys.HOME) == 0
    loaded.type("body", " ")
    loaded.until("emotalk.shown().playing && emotalk.shown().time > 0.2")
    loaded.type("body", " ")
    assert not loaded.shown()["playing"]
    before = loaded.shown()["time"]
    with loaded.answered():
        loaded.type("[name=level]", Keys.ARROW_LEFT)
    assert loaded.run("return document.querySelector('[name=level]').value") == "0.95"
    assert loaded.shown()["time"] == before, "a slider's arrows are its own"


def test_pointing_at_the_curves_seeks(loaded, face):
    loaded.run("window.scrollTo(0, 0)")
    canvas = loaded.find("#curves canvas")
    loaded.click_at(canvas, 0.6)
    width, left, right = canvas.size["width"], 96, 44
    seconds = (0.6 * width - left) / (width - left - right) * face.duration_s
    shown = loaded.shown()
    assert shown["time"] == pytest.approx(seconds, abs=0.05)
    agrees(shown, face)


def test_other_options_ask_again(loaded, client, voice):
    with loaded.answered():
        loaded.set({"[name=level]": 0.3, "[name=person]": 7, "[name=joy]": 0.8})
    right = client.animate(voice, level=0.3, person=7, emotions={"joy": 0.8})
    loaded.set({"#time": 2.0})
    loaded.until("emotalk.shown().time > 1.9")
    agrees(loaded.shown(), right)
    with loaded.answered():
        loaded.press("h2 + button:not([hidden])")
    agrees(loaded.shown(), client.animate(voice, level=0.3, person=7))


def test_what_is_wrong_is_said_in_words(page, gateway, tmp_path, voice):
    page.expected = ["status of 415"]  # Chromium's own note about the answer
    text = tmp_path / "letter.txt"
    text.write_text("Dear face, " * 50)
    page.open(gateway)
    page.choose(text)
    said = page.until("document.querySelector('#problem').textContent")
    assert "cannot be read as audio" in said
    assert "accepted: wav, flac, mp3, ogg, opus" in said
    assert page.run("return document.querySelector('#problem').getAttribute('role')") == "alert"
    page.settled("empty")
    page.choose(voice)
    page.settled()
    assert page.find("#problem").text == ""
    page.choose(text)
    page.until("document.querySelector('#problem').textContent")
    assert page.shown()["frames"] == 322, "the face that was there stays"


def test_a_file_that_is_too_large_is_not_sent(page, triton, voice):
    with served(triton, max_upload_bytes=100_000) as gateway:
        page.open(gateway)
        page.choose(voice)
        assert "The file has 0.2 MiB; accepted: at most 0.1 MiB" in page.until(
            "document.querySelector('#problem').textContent"
        )


def test_the_microphone_moves_the_mouth_and_can_be_played_again(page, gateway, face):
    page.open(gateway)
    page.until("'begun' in document.documentElement.dataset")
    page.press("#speak")
    page.settled("live")
    seen = []
    while not seen or seen[-1]["time"] < 3.5:
        seen.append(page.shown())
    jaws = [shown["jawOpen"] for shown in seen]
    assert max(jaws) - min(jaws) > 0.1, "the mouth does not move"
    assert all(after["time"] >= before["time"] for before, after in pairwise(seen)), "time goes back"
    assert page.find("#live-sign").is_displayed()
    page.press("#speak")
    page.settled()
    shown = page.shown()
    assert shown["complete"]
    assert shown["frames"] / FPS > 3.5
    assert not page.find("#live-sign").is_displayed()
    page.press("#play")
    page.until("emotalk.shown().time > 0.5")
    # What was spoken was kept: the gateway makes the same face of it.
    live = page.run("return emotalk.shown().frames")
    with page.answered():
        page.set({"[name=level]": 0.95})
    assert page.run("return emotalk.shown().frames") == pytest.approx(live, abs=1)


def test_a_microphone_that_may_not_be_used_is_said(page, gateway):
    page.open(gateway)
    page.until("'begun' in document.documentElement.dataset")
    page.run("navigator.mediaDevices.getUserMedia = () => Promise.reject(new DOMException('no', 'NotAllowedError'));")
    page.press("#speak")
    assert "allow it for this page" in page.until("document.querySelector('#problem').textContent")
    page.settled("empty")


def test_a_download_reads_back(loaded, face, tmp_path):
    loaded.driver.execute_cdp_cmd(
        "Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(tmp_path), "eventsEnabled": False}
    )
    loaded.press("#format option[value=csv]")
    loaded.press("#save")
    path = loaded.file(tmp_path / "voice.csv")
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    jaws = [float(row["JawOpen"]) for row in rows]
    np.testing.assert_allclose(jaws, face.weights[:, JAW], atol=1e-6)
    np.testing.assert_allclose(Animation.load(path).weights, face.weights, atol=1e-6)


def test_a_token_is_asked_for(page, triton, voice):
    page.expected = ["status of 401"]
    with served(triton, token=WORD) as gateway:
        page.open(gateway)
        page.until("!document.querySelector('#access').hidden")
        page.type("#token", "open barley", Keys.ENTER)
        page.choose(voice)
        assert "the bearer token is wrong" in page.until("document.querySelector('#problem').textContent").lower()
        page.type("#token", Keys.CONTROL + "a", Keys.NULL, WORD, Keys.ENTER)
        page.choose(voice)
        page.settled()
        page.run("sessionStorage.clear()")


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("size", [(1280, 800), (360, 740)])
def test_everybody_can_use_it(axe, page, gateway, voice, size, dark):
    """axe finds nothing to say (WCAG 2.2 AA: names, contrast, order), and nothing is wider than a phone."""
    page.open(gateway, *size, dark=dark, phone=size[0] < 400)
    page.until("'begun' in document.documentElement.dataset")
    for state in ("empty", "ready"):
        if state == "ready":
            page.choose(voice)
        page.settled(state)
        page.run(axe)
        found = page.driver.execute_async_script("axe.run().then(arguments[0])")
        assert [(rule["id"], [node["html"] for node in rule["nodes"]]) for rule in found["violations"]] == []
        assert len(found["passes"]) > 15
        assert page.run("return document.documentElement.scrollWidth") == size[0]


def test_every_control_is_reached_by_tab_and_shows_it(loaded):
    loaded.run("document.activeElement.blur()")
    reached = []
    while len(reached) < 30:
        loaded.tab()
        name, outline = loaded.run(
            "const at = document.activeElement, shows = at.closest('.button') ?? at;"
            "return [at.id || at.name, getComputedStyle(shows).outlineWidth]"
        )
        if not name or name in reached:
            break
        assert outline == "3px", name
        reached.append(name)
    emotions = ["amazement", "anger", "cheekiness", "disgust", "fear", "grief", "joy", "outofbreath", "pain", "sadness"]
    spoken, shown = ["file", "speak", "words", "say"], ["who", "head-file", "life"]
    assert reached == ["to-video", "play", "time", *spoken, *shown, "level", "person", *emotions, "format", "save"]
