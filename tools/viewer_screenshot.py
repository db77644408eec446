"""The viewer's picture: ``python tools/viewer_screenshot.py SPEECH OUT.png``.

Starts a server and a gateway, drops the speech onto the page in a real browser, and stops at an open mouth.
"""

from __future__ import annotations

import base64
import io
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image
from selenium import webdriver

import headless

SCREEN = (1280, 800)
SECONDS = 3.77
"""A moment of the sample voice with an open mouth."""


@contextmanager
def gateway() -> Iterator[str]:
    """The address of one, with a Triton of its own."""
    command = [sys.executable, "-m", "emotalk_cli", "gateway", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            said = process.stdout.readline() if process.stdout else ""
            found = re.search(r"http://[\w.:]+", said)
            if not found:
                raise SystemExit("the gateway does not start")
            yield found[0]
        finally:
            process.send_signal(signal.SIGINT)


def picture(driver: webdriver.Chrome) -> Image.Image:
    """A picture of what the browser shows."""
    shot = driver.execute_cdp_cmd("Page.captureScreenshot", {"format": "png"})
    return Image.open(io.BytesIO(base64.b64decode(shot["data"]))).convert("RGB")


def take(speech: Path, out: Path) -> None:
    """Write ``out``."""
    if reason := headless.missing():
        raise SystemExit(reason)
    with gateway() as url, headless.chromium() as driver:
        headless.as_screen(driver, *SCREEN)
        driver.get(url)
        headless.until(driver, "document.querySelector('#face').dataset.ready === ''", 60)
        driver.find_element("css selector", "#file").send_keys(str(speech.resolve()))
        headless.until(driver, "emotalk.shown().state === 'ready'")
        driver.execute_script("document.querySelector('#play').click()")
        headless.until(driver, "emotalk.shown().time > 0.5")  # it plays
        driver.execute_script("document.querySelector('#play').click()")
        driver.execute_script(
            "const time = document.querySelector('#time');"
            "time.value = arguments[0]; time.dispatchEvent(new Event('input')); document.activeElement.blur()",
            SECONDS,
        )
        headless.until(driver, f"Math.abs(emotalk.shown().time - {SECONDS}) < 0.02")
        driver.execute_async_script("requestAnimationFrame(() => requestAnimationFrame(arguments[0]))")
        picture(driver).save(out, optimize=True)


if __name__ == "__main__":
    take(Path(sys.argv[1]), Path(sys.argv[2]))
