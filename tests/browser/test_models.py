"""The Models tab in a real browser: what is on disk, what is loaded, and adding a model from an address."""

import json
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, expect

from tests.browser.conftest import DESK, PATIENCE, PHONE, Studio, front, serving
from tests.floors import ROOT
from tests.local_web import LORA, Served, Web, safetensors, web

pytestmark = pytest.mark.browser
STARTER = ROOT / "models" / "Stable-diffusion" / "starter"


def lora(fill: int, size: int = 64) -> bytes:
    return safetensors("lora_unet_a.lora_down.weight", "lora_unet_a.lora_up.weight", fill=fill, size=size)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Models of several kinds, good and bad, two of them the same."""
    data = tmp_path_factory.mktemp("models-tab")
    loras = data / "models" / "Lora"
    (loras / "copies").mkdir(parents=True)
    (loras / "ink.safetensors").write_bytes(lora(1))
    (loras / "copies" / "ink once more.safetensors").write_bytes(lora(1))
    (loras / "login page.safetensors").write_bytes(b"<!DOCTYPE html><html>Log in</html>")
    (loras / "<img src=x onerror=alert(1)>.safetensors").write_bytes(lora(2))
    for number in range(60):
        (loras / f"brush-x{number:02}.safetensors").write_bytes(lora(number + 3))
    (data / "models" / "Stable-diffusion").mkdir()
    shutil.copytree(STARTER, data / "models" / "Stable-diffusion" / "starter")
    (data / ".easel").mkdir()
    (data / ".easel" / "settings.json").write_text(json.dumps({"private_downloads": True}))
    return data


@pytest.fixture(scope="module")
def address(folder: Path) -> Iterator[str]:
    with serving(["-m", "tests.ui.drawing", "0", str(folder), "0.5"], folder) as found:
        yield found


@pytest.fixture
def site() -> Iterator[Web]:
    with web() as found:
        yield found


class Models(Studio):
    """The page with the Models tab in front."""

    def open(self) -> "Models":
        super().open()
        front(self.page, "Models")
        expect(self.rows.first).to_be_visible(timeout=PATIENCE)
        return self

    @property
    def rows(self) -> Locator:
        return self.page.locator("#models_table tbody tr:not(.group)")

    def row(self, name: str) -> Locator:
        return self.rows.filter(has=self.page.get_by_text(name, exact=True))

    def part(self, name: str) -> Locator:
        return self.page.locator(f"#models_{name}")

    def show(self, state: str) -> None:
        self.part("bar").get_by_label("State").select_option(state)

    def add(self, address: str, **more: str) -> None:
        for name, value in {"address": address, **more}.items():
            self.part("add").locator(f"[name={name}]").fill(value)
        self.part("add").get_by_role("button", name="Add").click()


@pytest.fixture
def visit(browser: Browser, address: str) -> Iterator[Callable[..., Models]]:
    opened: list[Models] = []

    def visit(**context: Any) -> Models:
        models = Models(browser.new_context(**(DESK | context)).new_page(), address)
        opened.append(models)
        return models.open()

    yield visit
    for models in opened:
        models.page.context.close()
    assert [fault for models in opened for fault in models.faults] == []


Visit = Callable[..., Models]


def test_every_file_is_listed_searched_sorted_and_turned(visit: Visit) -> None:
    models = visit()
    expect(models.rows).to_have_count(50)
    expect(models.rows.first).to_contain_text("starter")
    expect(models.part("table")).to_contain_text("of 65")
    models.part("table").get_by_role("button", name="Next page").click()
    expect(models.rows).to_have_count(15)
    models.part("bar").get_by_role("searchbox").fill("BRUSH-x4")
    expect(models.rows).to_have_count(10)
    models.part("table").get_by_role("button", name="Name").click()
    expect(models.part("table").locator("th[aria-sort=ascending]")).to_contain_text("Name")
    expect(models.rows.first).to_contain_text("brush-x40")
    models.part("table").get_by_role("button", name="Name").click()
    expect(models.rows.first).to_contain_text("brush-x49")
    expect(models.part("table").locator("th[aria-sort=descending]")).to_have_text("Name↓")
    models.part("bar").get_by_role("searchbox").fill("")
    models.part("bar").get_by_role("button", name="Checkpoints").click()
    expect(models.rows).to_have_count(1)
    expect(models.row("starter")).to_contain_text("SD1")


def test_what_is_broken_says_why_and_what_is_the_same_is_found(visit: Visit) -> None:
    models = visit()
    models.show("broken")
    expect(models.rows).to_have_count(2)
    expect(models.rows.filter(has_text="login page")).to_contain_text("is a web page, not a model")
    expect(models.rows.filter(has_text="onerror")).to_contain_text("Cannot be used")
    models.show("twice")
    expect(models.rows).to_have_count(2, timeout=PATIENCE)  # as soon as they are hashed
    expect(models.part("table")).to_contain_text("2 files of the same content")
    expect(models.row("ink once more")).to_contain_text("models/Lora/copies")


def test_a_checkpoint_is_loaded_and_let_go(visit: Visit) -> None:
    models = visit()
    expect(models.part("memory")).to_contain_text("Nothing is loaded")
    models.row("starter").get_by_role("button", name="Load starter").click(timeout=PATIENCE)
    expect(models.part("memory").locator("li")).to_contain_text("29 MB", timeout=PATIENCE)
    expect(models.row("starter")).to_contain_text("In memory")
    models.part("memory").get_by_role("button", name="Unload starter").click()
    expect(models.part("memory")).to_contain_text("Nothing is loaded", timeout=PATIENCE)
    expect(models.row("starter").get_by_role("button", name="Load starter")).to_be_visible()


def test_a_model_is_added_from_an_address_and_appears(visit: Visit, site: Web, folder: Path) -> None:
    models = visit()
    gate = threading.Event()
    served = Served(lora(200, 9000), etag='"1"', gate=gate)
    address = site.put("/loras/wet%20paint.safetensors", served)
    models.part("add").locator("[name=address]").fill(address)
    expect(models.part("hint")).to_contain_text("LoRA: goes into")
    assert site.asked == []  # nobody was asked before the click
    models.part("add").get_by_role("button", name="Add").click()
    download = models.part("downloads").locator("li").first
    expect(download).to_contain_text("of 18 kB", timeout=PATIENCE)
    expect(models.part("add").locator("[name=address]")).to_have_value("")
    gate.set()
    expect(download).to_contain_text("Added", timeout=PATIENCE)
    models.part("bar").get_by_role("searchbox").fill("wet paint")
    expect(models.row("wet paint")).to_contain_text("Usable", timeout=PATIENCE)
    assert (folder / "models" / "Lora" / "wet paint.safetensors").read_bytes() == served.body
    download.get_by_role("button", name="Remove from the list").click()
    expect(models.part("downloads").locator("li")).to_have_count(0)


def test_stop_keeps_what_has_come_and_go_on_fetches_the_rest(visit: Visit, site: Web) -> None:
    models = visit()
    body = lora(201, 60_000)
    gate = threading.Event()
    models.add(site.put("/held.safetensors", Served(body, etag='"1"', gate=gate)), name="after all")
    download = models.part("downloads").locator("li").first
    expect(download).to_contain_text("of 120 kB", timeout=PATIENCE)
    download.get_by_role("button", name="Stop").click()
    expect(download).to_contain_text("Stopped")
    gate.set()
    download.get_by_role("button", name="Go on").click()
    expect(download).to_contain_text("Added", timeout=PATIENCE)
    assert site.heard("/held.safetensors")[-1].get("range", "").startswith("bytes=")
    models.part("bar").get_by_role("searchbox").fill("after all")
    expect(models.rows).to_have_count(1, timeout=PATIENCE)


def test_what_is_no_model_and_what_is_no_address_are_refused_with_the_reason(
    visit: Visit, site: Web, folder: Path
) -> None:
    models = visit()
    page = Served(b"<html>Please log in" + bytes(100), headers={"Content-Type": "text/html"})
    models.add(site.put("/private.safetensors", page))
    expect(models.part("downloads").locator("li").first).to_contain_text("sent a web page instead", timeout=PATIENCE)
    assert not (folder / "models" / "Lora" / "private.safetensors").exists()
    models.add("somewhere")
    expect(models.page.get_by_text("somewhere is no address of a file.")).to_be_visible()
    expect(models.part("add").locator("[name=address]")).to_have_value("somewhere")


def test_a_file_put_into_the_folder_appears_by_itself(visit: Visit, folder: Path) -> None:
    models = visit()
    models.part("bar").get_by_role("searchbox").fill("dropped in")
    expect(models.part("table")).to_contain_text("Nothing here matches")
    (folder / "models" / "Lora" / "dropped in.safetensors").write_bytes(LORA)
    expect(models.row("dropped in")).to_be_visible(timeout=PATIENCE)


# What the page is answered can be kept back, and its questions what is new can be.
HELD = """() => {
    const real = window.fetch;
    window.keeping = null;
    window.kept = 0;
    window.fetch = async (...asked) => {
        const keeping = window.keeping;
        const answer = await real(...asked);
        if (keeping) { window.kept++; await keeping; window.kept--; }
        return answer;
    };
    Object.defineProperty(document, 'hidden', {get: () => window.asleep === true, configurable: true});
}"""


def test_a_late_answer_does_not_undo_a_search(visit: Visit, folder: Path) -> None:
    models = visit()
    page = models.page
    page.evaluate(HELD)
    page.evaluate("window.asleep = true")
    (folder / "models" / "Lora" / "late news.safetensors").write_bytes(LORA)
    for _ in range(PATIENCE // 200):
        if page.request.get(f"{models.address}easel/models?kind=lora&words=late%20news").json()["total"]:
            break
        page.wait_for_timeout(200)
    page.wait_for_timeout(1000)  # a question that was on its way
    page.evaluate("void (window.keeping = new Promise((go) => { window.go = go; }))")
    page.evaluate("window.asleep = false")
    page.wait_for_function("window.kept > 0", timeout=PATIENCE)
    page.evaluate("window.keeping = null")
    models.part("bar").get_by_role("searchbox").fill("brush-x4")
    expect(models.rows).to_have_count(10)
    page.evaluate("window.go()")
    page.wait_for_function("window.kept === 0")
    page.wait_for_timeout(1000)
    expect(models.rows).to_have_count(10)  # at once, or with the next news
    page.wait_for_timeout(3000)
    expect(models.rows).to_have_count(10)


def test_on_a_phone_nothing_is_too_wide_or_too_small(visit: Visit) -> None:
    models = visit(**PHONE)
    assert models.page.evaluate("document.documentElement.scrollWidth") == 390
    small = models.page.evaluate(
        """() => [...document.querySelectorAll('#models :is(button, input, select):not(td.hash *)')]
            .map((each) => [each.outerHTML.slice(0, 90), each.getBoundingClientRect()])
            .filter(([, box]) => box.width > 2 && box.height > 2 && (box.height < 40 || box.width < 40))
            .map(([name, box]) => `${name} ${box.width}x${box.height}`)"""
    )
    assert small == []


def test_in_korean(visit: Visit, browser: Browser, address: str) -> None:
    page = browser.new_context(**(DESK | {"locale": "ko-KR"})).new_page()
    page.goto(address)
    front(page, "모델")
    expect(page.locator("#models_memory")).to_contain_text("불러온 모델이 없습니다", timeout=PATIENCE)
    expect(page.locator("#models_table tbody tr").first).to_contain_text("체크포인트")
    page.context.close()
