"""The page of pictures, in a real browser: decoded by WebCodecs or as JPEG, moving with what is heard."""

import pytest
from browsing import served
from drawn import drawing

pytestmark = pytest.mark.browser

SHOWN = "emotalk.shown()"


@pytest.fixture(autouse=True, scope="module")
def drawable():
    with drawing(size=(64, 64)):  # skipped where nothing can be drawn
        pass


@pytest.fixture(scope="module")
def gateway(triton):
    """One with room for the connections that pages of before have not let go of yet."""
    with served(triton, max_video_streams=8) as url:
        yield url


def shown_at(page, gateway, size):
    page.expected.append("willReadFrequently")  # what the tests do, not the page
    page.open(f"{gateway}/video?size={size}", 700, 800)
    page.origin = gateway


def opened(page, gateway, size="128x128"):
    shown_at(page, gateway, size)
    page.until("document.documentElement.dataset.state === 'ready' && emotalk.shown().count > 0")


def seen(page):
    """Mean colour of the mouth."""
    return page.driver.execute_script(
        "const c = document.querySelector('#face'), g = c.getContext('2d');"
        "const d = g.getImageData(c.width * 0.4, c.height * 0.6, c.width * 0.2, c.height * 0.15).data;"
        "return d.reduce((sum, value) => sum + value, 0) / d.length;"
    )


def test_a_face_is_there_before_anything_is_said(page, gateway):
    opened(page, gateway)
    shown = page.driver.execute_script(f"return {SHOWN}")
    assert shown["codec"].startswith("vp09.00")
    assert shown["idle"]
    assert 40 < seen(page) < 250
    size = page.driver.execute_script("const c = document.querySelector('#face'); return [c.width, c.height]")
    assert size == [128, 128]


def test_the_viewer_leads_here_where_a_browser_draws_nothing(page, gateway):
    page.open(gateway)
    page.until("'begun' in document.documentElement.dataset")
    page.press("#to-video")
    page.until("location.pathname === '/video' && document.querySelector('#face').width === 512")


def test_it_moves_with_the_microphone(page, gateway):
    opened(page, gateway)
    page.driver.execute_script("document.querySelector('#speak').click()")
    page.until(f"!{SHOWN}.idle && {SHOWN}.time > 1")
    mouths, before = [], 0
    for _ in range(12):
        page.until(f"{SHOWN}.time > {before + 0.1}")
        shown = page.driver.execute_script(f"return {SHOWN}")
        before = shown["time"]
        assert shown["time"] <= shown["due"] + 0.001  # never before it is heard
        mouths.append(seen(page))
    assert max(mouths) - min(mouths) > 3
    page.driver.execute_script("document.querySelector('#speak').click()")
    page.until("document.documentElement.dataset.ended === '1'")
    page.until(f"{SHOWN}.idle")


@pytest.fixture
def without_webcodecs(page):
    added = page.driver.execute_cdp_cmd(
        "Page.addScriptToEvaluateOnNewDocument", {"source": "delete window.VideoDecoder"}
    )
    yield page
    page.driver.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", added)


def test_a_browser_without_webcodecs_gets_jpeg(without_webcodecs, gateway):
    opened(without_webcodecs, gateway)
    shown = without_webcodecs.driver.execute_script(f"return {SHOWN}")
    assert shown["codec"] == "image/jpeg"
    without_webcodecs.until(f"{SHOWN}.count > 5")  # it rests, and lives
    assert 40 < seen(without_webcodecs) < 250


def test_a_refusal_is_said_in_words(page, gateway):
    shown_at(page, gateway, "9x9")
    page.until("document.documentElement.dataset.state === 'closed'")
    said = page.driver.execute_script("return document.querySelector('#problem').textContent")
    assert said.startswith("The size is 9x9; accepted: WIDTHxHEIGHT")


def test_anybody_can_use_it(page, gateway, axe):
    opened(page, gateway)
    page.driver.execute_script(axe)
    found = page.driver.execute_async_script(
        "const done = arguments[arguments.length - 1]; axe.run().then(({ violations }) => done(violations))"
    )
    assert [(one["id"], one["nodes"][0]["html"]) for one in found] == []
