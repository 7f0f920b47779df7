"""The Extras tab in a real browser, with the real engine: a picture is brought, enlarged, seen, and found again."""

import io
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Locator, expect

from tests.browser.conftest import PATIENCE, PHONE, Studio, front
from tests.fake_upscalers import difference, scene

pytestmark = pytest.mark.browser
Visit = Callable[..., Studio]


def open_tab(studio: Studio) -> Locator:
    front(studio.page, "Extras")
    tab = studio.page.locator("#extras")
    expect(tab.locator(".drop")).to_be_visible(timeout=PATIENCE)
    return tab


def test_a_picture_is_brought_enlarged_and_found_again(visit: Visit, tmp_path: Path) -> None:
    scene().save(tmp_path / "my scene.png")
    (tmp_path / "bad.png").write_bytes(b"<html>no picture</html>")
    studio = visit()
    page, tab = studio.page, open_tab(studio)
    page.set_input_files("#extras .drop input[type=file]", [str(tmp_path / "my scene.png"), str(tmp_path / "bad.png")])
    expect(tab.get_by_alt_text("my scene")).to_be_visible(timeout=PATIENCE)
    expect(page.get_by_text("bad.png: This is a web page")).to_be_visible(timeout=PATIENCE)
    assert all("422" in fault for fault in studio.faults)
    studio.faults.clear()
    box = page.locator("#extras_upscaler input").first
    box.fill("Lanczos")
    box.press("Enter")
    page.locator("#extras_scale input[type=number]").fill("2")
    page.locator("#extras_scale input[type=number]").press("Tab")
    page.click("#extras_start")
    after = tab.locator("img.after")
    expect(after).to_be_visible(timeout=PATIENCE)
    expect(tab.get_by_text("180 × 122")).to_be_visible()
    expect(tab.get_by_text("Postprocess upscale by: 2, Postprocess upscaler: Lanczos")).to_be_visible()
    answer = page.request.get(studio.address + str(after.get_attribute("src")).lstrip("/"))
    with Image.open(io.BytesIO(answer.body())) as made:
        assert made.info["postprocessing"].endswith("Postprocess upscaler: Lanczos")
        assert difference(made, scene().resize((180, 122), Image.Resampling.LANCZOS)) == 0
    compare = tab.locator(".compare")
    compare.locator("input[type=range]").fill("20")
    assert compare.evaluate("box => box.style.getPropertyValue('--at')") == "20%"
    expect(tab.get_by_role("link", name="Download")).to_have_attribute("download", "00001-my scene.png")

    phone = visit(**PHONE)
    again = open_tab(phone)
    expect(again.locator("img.after")).to_be_visible(timeout=PATIENCE)
    expect(again.get_by_alt_text("my scene")).to_be_visible()
    assert phone.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
