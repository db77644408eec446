"""A page as people see and use it, and gateways to open it on."""

import io
import threading
import time
from contextlib import contextmanager

import numpy as np
import pytest
from PIL import Image
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.keys import Keys

import headless
from emotalk_client import AsyncEmoTalkClient
from emotalk_contract.arkit import BLENDSHAPES, INDEX
from emotalk_gateway.app import create_app
from emotalk_gateway.http.serving import Server
from emotalk_gateway.listening import base_url, listen
from emotalk_gateway.service.settings import load_settings


def interpolated(face, seconds):
    """Weights [52] on the straight line between the frames around ``seconds``."""
    columns = range(len(BLENDSHAPES))
    return np.array([np.interp(seconds, face.timecodes, face.weights[:, column]) for column in columns])


def agrees(shown, face):
    right = interpolated(face, shown["time"])
    assert shown["jawOpen"] == pytest.approx(right[INDEX["jawOpen"]], abs=1e-3)
    np.testing.assert_allclose(shown["weights"], right, atol=1e-3)


@contextmanager
def served(triton, **settings):
    """The address of a gateway."""
    ready = threading.Event()
    with listen("127.0.0.1", 0) as listening:
        server = Server(create_app(load_settings(**settings), AsyncEmoTalkClient(triton)), ready.set)
        thread = threading.Thread(target=server.run, args=([listening],))
        thread.start()
        try:
            assert ready.wait(HANG_S)
            yield base_url(listening)
        finally:
            server.stop()
            thread.join(HANG_S)


HANG_S = 120.0
SMALL = (420, 560)
"""A screen for heads that the processor draws."""


class Page:
    """The page, as people use and see it."""

    def __init__(self, driver):
        self.driver = driver
        self.expected = []
        self.origin = None
        for kind in ("browser", "performance"):
            driver.get_log(kind)

    def open(self, url, width=900, height=620, **screen):
        self.screen(width, height, **screen)
        self.origin = url
        self.driver.get(url)
        self.until("document.documentElement.dataset.state")

    def screen(self, width, height, **wishes):
        headless.as_screen(self.driver, width, height, **wishes)

    def check(self):
        said = [entry["message"] for entry in self.driver.get_log("browser")]
        assert [text for text in said if not any(words in text for words in self.expected)] == []
        asked = [line["message"] for line in self.driver.get_log("performance")]
        urls = headless.requested(asked)
        assert urls, "no request was seen"
        foreign = [url for url in urls if not url.startswith((self.origin, self.origin.replace("http", "ws"), "blob:"))]
        assert foreign == []
        self.driver.get("about:blank")

    def find(self, selector):
        return self.driver.find_element("css selector", selector)

    def run(self, script, *arguments):
        return self.driver.execute_script(script, *arguments)

    def until(self, script, timeout_s=headless.WAIT_S):
        return headless.until(self.driver, script, timeout_s)

    def shown(self):
        """Return what the newest picture shows, read right after it was drawn."""
        return self.driver.execute_async_script(
            "const done = arguments[0]; requestAnimationFrame(() => done(emotalk.shown()))"
        )

    def settled(self, state="ready"):
        self.until(f"emotalk.shown().state === '{state}'")

    def choose(self, path):
        self.until("'begun' in document.documentElement.dataset")
        self.find("#file").send_keys(str(path))

    def press(self, selector):
        self.find(selector).click()

    def type(self, selector, *keys):
        self.find(selector).send_keys(*keys)

    def tab(self):
        """The focus goes on."""
        ActionChains(self.driver).send_keys(Keys.TAB).perform()

    def set(self, values):
        """Sliders and lists, by selector, as a hand that lets them go."""
        self.run(
            """
            let last;
            for (const [selector, value] of Object.entries(arguments[0])) {
              last = document.querySelector(selector);
              last.value = value;
            }
            last.dispatchEvent(new Event("input", { bubbles: true }));
            """,
            values,
        )

    @contextmanager
    def answered(self):
        """Wait until what the block did was asked of the gateway, and answered."""
        before = self.run("return emotalk.shown().answers")
        yield
        self.until(f"emotalk.shown().answers > {before} && emotalk.shown().state === 'ready'")

    def picture(self, selector):
        """[rows, columns, 3] of what an element looks like."""
        png = self.find(selector).screenshot_as_png
        return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))

    def hover(self, element, across):
        """The mouse over ``element``, ``across`` (0..1) of its width from its left edge."""
        x = round((across - 0.5) * element.size["width"])
        ActionChains(self.driver).move_to_element_with_offset(element, x, 0).perform()

    def click_at(self, element, across):
        self.hover(element, across)
        ActionChains(self.driver).click().perform()

    def file(self, path, timeout_s=HANG_S):
        """``path``, once it was downloaded."""
        until = time.monotonic() + timeout_s
        while not path.is_file():
            assert time.monotonic() < until, f"{path.name} did not come; there are {list(path.parent.iterdir())}"
            time.sleep(0.05)
        return path
