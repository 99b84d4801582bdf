"""Headless Chromium through the driver that the system has; nothing is downloaded."""

from __future__ import annotations

import base64
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.support.ui import WebDriverWait

CHROMIUM = (
    shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
)
DRIVER = shutil.which("chromedriver")
MISSING = (
    None
    if CHROMIUM and DRIVER
    else "no Chromium and chromedriver here (Debian: chromium, chromium-driver)"
)


class Browser:
    """A window, and what a test asks of it."""

    def __init__(self, driver: webdriver.Chrome) -> None:
        self.driver = driver

    def tell(self, command: str, **arguments: Any) -> Any:
        """A command of the Chrome DevTools Protocol."""
        return self.driver.execute_cdp_cmd(command, arguments)

    def js(self, code: str, *arguments: Any) -> Any:
        """What a piece of script returns."""
        return self.driver.execute_script(f"return {code}", *arguments)

    def size(self, width: int, height: int = 900) -> None:
        """Give the window a size in CSS pixels."""
        self.tell(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < 500,
        )

    def scheme(self, name: str) -> None:
        """Prefer `light` or `dark`."""
        self.tell(
            "Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": name}]
        )

    def open(self, path: Path) -> None:
        """Open a page and wait until its script is through."""
        self.driver.get(path.as_uri())
        self.until("'ready' in document.documentElement.dataset")

    def until(self, condition: str) -> None:
        """Wait for a condition of the page."""
        WebDriverWait(self.driver, 120, poll_frequency=0.02).until(lambda _: self.js(condition))

    def _entries(self, kind: str) -> list[dict[str, Any]]:
        entries: list[dict[str, Any]] = self.driver.get_log(kind)  # type: ignore[no-untyped-call]
        return entries

    def log(self) -> list[str]:
        """What the page's console said since the last time."""
        return [f"{entry['level']} {entry['message']}" for entry in self._entries("browser")]

    def requests(self) -> list[str]:
        """The addresses that were asked for since the last time."""
        messages = [
            json.loads(entry["message"])["message"] for entry in self._entries("performance")
        ]
        sent = (
            message["params"]
            for message in messages
            if message["method"] == "Network.requestWillBeSent"
        )
        return [params["request"]["url"] for params in sent]

    def pdf(self) -> bytes:
        """The page as printed."""
        return base64.b64decode(self.tell("Page.printToPDF", preferCSSPageSize=True)["data"])

    def picture(self, path: Path, most: int = 6000) -> None:
        """The whole page as PNG, up to a height."""
        width, height = self.js("[innerWidth, document.documentElement.scrollHeight]")
        self.size(width, min(height, most))
        path.write_bytes(
            base64.b64decode(self.tell("Page.captureScreenshot", format="png")["data"])
        )
        self.size(width)


@contextmanager
def browser() -> Iterator[Browser]:
    """A browser of its own, closed at the end."""
    assert CHROMIUM
    assert DRIVER
    options = Options()
    options.binary_location = CHROMIUM
    # Containers have no user namespaces for the sandbox, and little shared memory; the page is our
    # own.
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(DRIVER))
    try:
        yield Browser(driver)
    finally:
        driver.quit()
