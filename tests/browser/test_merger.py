"""The Checkpoint Merger tab in a real browser, with the real engine."""

import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import PATIENCE, PHONE, Studio, front, serving
from tests.floors import ROOT

pytestmark = pytest.mark.browser
Visit = Callable[..., Studio]


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of checkpoints with a copy of the starter."""
    folder = tmp_path_factory.mktemp("merging") / "models" / "Stable-diffusion"
    shutil.copytree(ROOT / "models" / "Stable-diffusion" / "starter", folder / "starter")
    return folder


@pytest.fixture(scope="module")
def address(checkpoints: Path) -> Iterator[str]:
    """Serve `webui.py` on that folder."""
    data = checkpoints.parent.parent
    command = [str(ROOT / "webui.py"), "--port", "0", "--data-dir", str(data), "--models-dir", str(data / "models")]
    with serving(command, data) as found:
        yield found


def choose(page: Page, name: str, value: str) -> None:
    box = page.locator(f"#{name} input").first
    box.click()
    offered = page.locator(f"[id='{box.get_attribute('aria-controls')}']")
    offered.get_by_role("option", name=value).first.click()
    expect(box).to_have_value(re.compile(re.escape(value)))
    box.press("Tab")


def open_tab(studio: Studio) -> Locator:
    front(studio.page, "Checkpoint Merger")
    tab = studio.page.locator("#merger")
    expect(tab).to_be_visible()
    return tab


def test_two_checkpoints_become_one_that_draws(visit: Visit, checkpoints: Path) -> None:
    studio = visit()
    page = studio.page
    tab = open_tab(studio)
    expect(page.locator("#merger_third")).to_be_hidden()
    tab.get_by_text("Add difference").click()
    expect(page.locator("#merger_third")).to_be_visible(timeout=PATIENCE)
    tab.get_by_text("Weighted sum").click()
    expect(page.locator("#merger_third")).to_be_hidden(timeout=PATIENCE)
    choose(page, "merger_model", "starter")
    page.click("#merger_start")
    expect(page.get_by_text("needs 2 checkpoints")).to_be_visible(timeout=PATIENCE)
    assert studio.jobs() == []
    choose(page, "merger_second", "starter")
    page.locator("#merger_name input, #merger_name textarea").first.fill("twins")
    page.click("#merger_start")
    expect(tab.get_by_text("Saved as twins.safetensors")).to_be_visible(timeout=PATIENCE)
    assert (checkpoints / "twins.safetensors").stat().st_size > 2**20
    page.reload()
    expect(studio.panel("queue").get_by_role("heading").first).to_be_visible(timeout=PATIENCE)
    choose(page, "txt2img_model", "twins")
    studio.generate(prompt="a red circle on a blue background", seed=1, width=128, height=128)
    job = studio.until("a red circle on a blue background", "done")
    assert job["request"]["model"].startswith("twins")
    picture = studio.picture()
    centre, corner = picture.getpixel((64, 64)), picture.getpixel((6, 6))
    assert isinstance(centre, tuple) and centre[0] > 150 > centre[2]
    assert isinstance(corner, tuple) and corner[2] > 120 > corner[0]


def test_a_conversion_is_there_after_a_reload(visit: Visit, checkpoints: Path) -> None:
    studio = visit(**PHONE)
    tab = open_tab(studio)
    choose(studio.page, "merger_convert_model", "starter")
    studio.page.locator("#merger_convert_name input, #merger_convert_name textarea").first.fill("single")
    studio.page.click("#merger_convert_start")
    expect(tab.get_by_text("Saved as single.safetensors")).to_be_visible(timeout=PATIENCE)
    studio.page.reload()
    expect(open_tab(studio).get_by_text("Saved as single.safetensors")).to_be_visible(timeout=PATIENCE)
    assert (checkpoints / "single.safetensors").is_file()
    assert studio.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
