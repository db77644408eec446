"""Debian's Chromium without a window, for the viewer's tests and its screenshot."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.support.ui import WebDriverWait

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
DRIVER = "chromedriver"
SOFTWARE_WEBGL = ("--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader")
"""WebGL on the processor, on machines without a graphics card."""
WAIT_S = 60.0


def missing() -> str | None:
    """Name what has to be installed first, if anything."""
    if not any(map(shutil.which, BROWSERS)):
        return f"no browser ({', '.join(BROWSERS)}); on Debian: apt-get install chromium"
    if not shutil.which(DRIVER):
        return f"no {DRIVER}; on Debian: apt-get install chromium-driver"
    return None


@contextmanager
def chromium(graphics: Sequence[str] = SOFTWARE_WEBGL, arguments: Sequence[str] = ()) -> Iterator[webdriver.Chrome]:
    """A browser of its own profile, which logs what its pages say and ask for.

    Args:
        graphics: flags that choose WebGL.
        arguments: more of them.
    """
    options = webdriver.ChromeOptions()
    options.binary_location = next(filter(None, map(shutil.which, BROWSERS)))
    own = ["--headless=new", "--autoplay-policy=no-user-gesture-required", "--disable-background-networking"]
    own += ["--force-color-profile=srgb", "--hide-scrollbars", "--mute-audio", "--disable-dev-shm-usage"]
    if os.geteuid() == 0:
        own.append("--no-sandbox")  # Chromium's refuses root, which is what containers run as
    for argument in (*own, *graphics, *arguments):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options, Service(shutil.which(DRIVER)))
    try:
        yield driver
    finally:
        driver.quit()


def requested(lines: Sequence[str]) -> list[str]:
    """Addresses that were asked for, from the performance log's messages."""
    events = [json.loads(line)["message"] for line in lines]
    sent = [event["params"] for event in events if event["method"] == "Network.requestWillBeSent"]
    opened = [event["params"]["url"] for event in events if event["method"] == "Network.webSocketCreated"]
    return [params["request"]["url"] for params in sent] + opened


def until(driver: webdriver.Chrome, script: str, timeout_s: float = WAIT_S) -> object:
    """Return what ``script``, an expression, gives in the page, as soon as that is true."""
    return WebDriverWait(driver, timeout_s, poll_frequency=0.05).until(
        lambda _: driver.execute_script(f"return {script}"), f"{script} was never true"
    )


def as_screen(
    driver: webdriver.Chrome,
    width: int,
    height: int,
    *,
    dark: bool = False,
    phone: bool = False,
    reduced: bool = False,
) -> None:
    """Show pages as on a screen of ``width`` by ``height`` CSS pixels, to one who wants ``reduced`` motion or not."""
    metrics = {"width": width, "height": height, "deviceScaleFactor": 2 if phone else 1, "mobile": phone}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    wishes = {
        "prefers-color-scheme": "dark" if dark else "light",
        "prefers-reduced-motion": "reduce" if reduced else "no-preference",
    }
    features = [{"name": name, "value": value} for name, value in wishes.items()]
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
