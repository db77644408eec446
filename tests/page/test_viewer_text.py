"""A text that is written on the page, said by a real Triton's voice."""

import pytest
from browsing import served
from drawn import drawing

from emotalk_client import EmoTalkClient
from emotalk_server import EmbeddedServer

pytest.importorskip("hibari", reason="the voice is not installed (extra text)")
pytestmark = pytest.mark.browser

TEXT = "Hello, my name is Bob. I am glad to be here."


@pytest.fixture(scope="module")
def speaking_server():
    with EmbeddedServer(groups=("core", "live", "speech")) as running:
        yield running.grpc_url


@pytest.fixture(scope="module")
def speaker(speaking_server):
    with served(speaking_server) as url:
        yield url


def say(page, text):
    page.find("#words").send_keys(text)
    page.press("#say")


def test_a_text_is_said_and_its_words_are_marked(page, speaker, speaking_server):
    with EmoTalkClient(speaking_server) as client:
        right = client.say(TEXT)
    page.open(speaker)
    say(page, TEXT)
    page.settled()
    assert page.find("#status").text.startswith(f"{len(right.animation)} frames")
    assert page.find("#title").text.startswith("Hello, my name is Bob.")
    page.until("!emotalk.shown().playing")
    glad = next(word for word in right.words if word.text.lower() == "glad")
    page.set({"#time": (glad.start + glad.end) / 2})
    page.until("document.querySelector('#caption mark')?.textContent === 'glad'")
    assert page.find("#caption").text == "I am glad to be here."
    page.set({"#time": 0})
    page.until("document.querySelector('#caption').textContent.startsWith('Hello')")


def test_a_persian_text_runs_from_right_to_left(page, speaker):
    page.open(speaker)
    page.find("#words").send_keys("سلام")
    assert page.find("#words").value_of_css_property("direction") == "rtl"


def test_a_server_without_voices_says_so(page, gateway):
    page.open(gateway)
    say(page, "Hello.")
    page.until("document.querySelector('#problem').textContent.includes('--models core,live,speech')")
    page.expected = ["status of 501"]


def test_a_text_is_drawn_as_pictures_in_step_with_its_sound(page, speaker):
    with drawing(size=(64, 64)):  # skipped where nothing can be drawn
        pass
    page.open(f"{speaker}/video?size=128x128", 700, 800)
    page.origin = speaker
    page.until("document.documentElement.dataset.state === 'ready' && emotalk.shown().count > 0")
    say(page, TEXT)
    page.until("!emotalk.shown().idle && emotalk.shown().time > 0.5")
    shown = page.driver.execute_script("return emotalk.shown()")
    assert shown["time"] <= shown["due"] + 0.001  # a picture is never before its sound
    page.until("document.documentElement.dataset.ended === '1' && emotalk.shown().idle")
