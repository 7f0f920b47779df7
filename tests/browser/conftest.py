"""One real server and one real Chromium for all browser tests; every page is watched for errors and foreign hosts."""

import io
import json
import os
import re
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from PIL import Image
from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright

from modules.words import load_words
from tests.floors import ROOT

CHROMIUM = "/usr/bin/chromium"
QUIET = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
DESK: dict[str, Any] = {"viewport": {"width": 1440, "height": 900}, "locale": "en-US"}
PHONE: dict[str, Any] = {
    "viewport": {"width": 390, "height": 844},
    "locale": "en-US",
    "is_mobile": True,
    "has_touch": True,
    "device_scale_factor": 2,
}
GRADIO = "No draw texture found for layer"  # what its editor says of a layer that it is given, and then shows
RESTORED = ("txt2img", "img2img", "inpaint", "controlnet", "extras", "pnginfo")  # tabs that keep their last values
LANGUAGES = (load_words("en"), load_words("ko"))
PATIENCE = 120_000  # milliseconds; the machine may be busy


def front(page: Page, name: str) -> None:
    """Bring the tab of that name to the front and wait until it has its last values.

    A tab that finds no room on the page lies in a menu.
    """
    expect(page.locator("#tabs [role=tab]").first).to_be_visible(timeout=PATIENCE)
    page.wait_for_timeout(400)  # until it is known how many find room
    tab = page.locator("#tabs").get_by_role("tab", name=name, exact=True)
    if tab.count():
        tab.first.click(timeout=PATIENCE)
    else:
        page.locator("#tabs .overflow-menu > button").first.click()
        page.locator("#tabs .overflow-menu").get_by_role("button", name=name, exact=True).click()
    found = next((each for each in RESTORED if name in (words.say(f"ui.tab_{each}") for words in LANGUAGES)), None)
    if found:
        page.wait_for_function(f"window.easel.restored.has('{found}')", timeout=PATIENCE)


class Studio:
    """One page on the server, with words for what a person does on it."""

    def __init__(self, page: Page, address: str) -> None:
        self.page = page
        self.address = address
        self.faults: list[str] = []
        page.on("console", lambda told: self._told(told.type, told.text))
        page.on("pageerror", lambda error: self.faults.append(str(error)))
        page.on("request", lambda request: self._asked(request.url))

    def _told(self, kind: str, text: str) -> None:
        if kind == "error" and text != GRADIO:
            self.faults.append(text)

    def _asked(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme in ("http", "https", "ws", "wss") and parts.hostname != "127.0.0.1":
            self.faults.append(f"asked {url}")

    def open(self) -> "Studio":
        self.page.goto(self.address)
        expect(self.panel("queue").get_by_role("heading").first).to_be_visible(timeout=PATIENCE)
        self.page.wait_for_function("window.easel.restored.has('txt2img')", timeout=PATIENCE)  # the form is there
        return self

    def box(self, field: str) -> Locator:
        return self.page.locator(f"#txt2img_{field} :is(textarea, input)").first

    def panel(self, name: str) -> Locator:
        return self.page.locator(f"#txt2img_{name}")

    def fill(self, **values: object) -> None:
        for field, value in values.items():
            self.box(field).fill(str(value))

    def generate(self, **values: object) -> None:
        self.fill(**values)
        self.page.click("#txt2img_generate")

    def bar(self) -> Locator:
        return self.page.get_by_role("progressbar").first

    def jobs(self) -> list[dict[str, Any]]:
        return list(self.page.request.get(f"{self.address}easel/jobs?limit=50").json())

    def job(self, prompt: str) -> dict[str, Any]:
        missing = {"status": "not there"}
        return next((job for job in self.jobs() if job["request"]["prompt"] == prompt), missing)

    def until(self, prompt: str, *statuses: str) -> dict[str, Any]:
        """Wait until the newest job with that prompt has one of the statuses, and return it."""
        for _ in range(PATIENCE // 200):
            job = self.job(prompt)
            if job["status"] in statuses:
                return job
            self.page.wait_for_timeout(200)
        raise AssertionError(f"{prompt} is still {job['status']}")

    def picture(self) -> Image.Image:
        """The finished picture the page shows large, as it was sent."""
        shown = self.panel("stage").locator("img.finished")
        expect(shown).to_be_visible(timeout=PATIENCE)
        answer = self.page.request.get(self.address + str(shown.get_attribute("src")).lstrip("/"))
        assert answer.headers["content-type"] == "image/png"
        return Image.open(io.BytesIO(answer.body())).convert("RGB")


@pytest.fixture(scope="package")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Serve `webui.py` on the starter model and a fresh folder; give the address."""
    data = tmp_path_factory.mktemp("easel")
    command = [str(ROOT / "webui.py"), "--port", "0", "--data-dir", str(data)]
    with serving(command, data) as found:
        for _ in range(PATIENCE // 100):
            with urllib.request.urlopen(f"{found}easel/queue") as answer:
                if json.load(answer)["workers"][0]["stage"] == "ready":
                    break
            time.sleep(0.2)
        yield found


class serving:  # noqa: N801 - reads as a word in `with serving(...)`
    """Run a server until left; it prints its address when it answers."""

    def __init__(self, command: list[str], folder: Path) -> None:
        self.command = command
        self.log = folder / "log.txt"

    def __enter__(self) -> str:
        env = {**os.environ, "PYTHONUNBUFFERED": "1", "OMP_WAIT_POLICY": "PASSIVE"}
        models = [] if {"-m", "--models-dir"} & {*self.command} else ["--models-dir", str(ROOT / "models")]
        self.process = subprocess.Popen(
            [sys.executable, *self.command, *models],
            stdout=subprocess.PIPE,
            stderr=open(self.log, "a"),
            text=True,
            env=env,
            cwd=ROOT,
        )
        assert self.process.stdout is not None
        for line in self.process.stdout:
            found = re.search(r"http://\S+", line)
            if found:
                return found.group()
        raise AssertionError(self.log.read_text())

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


@pytest.fixture(autouse=True)
def patience() -> Iterator[None]:
    """Wait longer for what is expected than Playwright does by itself: the machine may be busy."""
    expect.set_options(timeout=PATIENCE // 4)
    yield
    expect.set_options(timeout=5_000)


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    if not Path(CHROMIUM).exists():
        pytest.skip(f"{CHROMIUM} is not installed")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=list(QUIET))
        yield chromium
        chromium.close()


@pytest.fixture
def visit(browser: Browser, address: str) -> Iterator[Callable[..., Studio]]:
    """Open the page in a browser context of its own; nothing it does may leave an error or ask a foreign host."""
    opened: list[Studio] = []

    def visit(**context: Any) -> Studio:
        studio = Studio(browser.new_context(**(DESK | context)).new_page(), address)
        opened.append(studio)
        return studio.open()

    yield visit
    for studio in opened:
        studio.page.context.close()
    assert [fault for studio in opened for fault in studio.faults] == []
