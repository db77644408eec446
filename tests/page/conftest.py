"""A gateway before a real Triton, and a real browser before the gateway."""

import sys
from contextlib import contextmanager
from pathlib import Path

import pytest
import soundfile

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tools"))  # `import headless` from every test

pytest.register_assert_rewrite("browsing")

from browsing import SMALL, Page, served  # noqa: E402

import headless  # noqa: E402
from emotalk_client import EmoTalkClient  # noqa: E402

AXE = Path(__file__).parent / "node_modules" / "axe-core" / "axe.min.js"


@pytest.fixture(scope="session")
def voice() -> Path:
    """The sample voice, 10.7 s."""
    return ROOT / "docs" / "demo" / "voice.flac"


@pytest.fixture(scope="session")
def triton(bundled_server):
    """Triton serving the bundled face model."""
    return bundled_server.grpc_url


@pytest.fixture
def client(triton):
    """Says what is right."""
    with EmoTalkClient(triton) as connected:
        yield connected


@pytest.fixture(scope="session")
def face(triton, voice):
    """The sample voice's."""
    with EmoTalkClient(triton) as connected:
        return connected.animate(voice)


@pytest.fixture(scope="session")
def gateway(triton):
    with served(triton) as url:
        yield url


@pytest.fixture(scope="session")
def microphone(voice, tmp_path_factory):
    """Flags of a browser with the sample voice at its microphone."""
    spoken = tmp_path_factory.mktemp("microphone") / "voice.wav"
    samples, rate = soundfile.read(voice, dtype="int16")
    soundfile.write(spoken, samples, rate)
    always = ["--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream"]
    return [*always, f"--use-file-for-fake-audio-capture={spoken}"]


@contextmanager
def _browser(**flags):
    if reason := headless.missing():
        pytest.skip(reason)
    with headless.chromium(**flags) as driver:
        yield driver


@pytest.fixture(scope="session")
def browser(microphone):
    """Chromium without WebGL: pages are there at once, and all but the head works."""
    with _browser(graphics=["--disable-3d-apis"], arguments=microphone) as driver:
        yield driver


@pytest.fixture
def page(browser):
    """A page that asks no other host and that nothing is logged about, unless the test expects it."""
    opened = Page(browser)
    yield opened
    opened.check()


@pytest.fixture(scope="module")
def page_3d(gateway):
    """The same with a head on it, once for all: WebGL on the processor takes seconds for its first picture."""
    with _browser() as driver:
        opened = Page(driver)
        opened.open(gateway, *SMALL)
        opened.until("document.querySelector('#face').dataset.ready === ''")
        yield opened
        opened.check()


@pytest.fixture
def axe():
    """axe's source, to be run in a page."""
    if not AXE.is_file():
        pytest.skip("axe is not installed: `npm ci --prefix tests/page` (`make test` tries it)")
    return AXE.read_text("utf-8")
