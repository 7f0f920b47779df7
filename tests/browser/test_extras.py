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


def test_a_folder_and_what_is_chosen_in_the_gallery_come_along_in_one_go(visit: Visit, tmp_path: Path) -> None:
    shoot = tmp_path / "shoot"
    for place, name in enumerate(("a/10.png", "a/2.png", "b/c/one.png", ".cache/hidden.png")):
        (shoot / name).parent.mkdir(parents=True, exist_ok=True)
        scene(40 + place, 40).save(shoot / name)
    (shoot / "b" / "bad.png").write_bytes(b"<html>no picture</html>")
    (shoot / "notes.txt").write_text("not a picture")
    studio = visit()
    page, tab = studio.page, open_tab(studio)
    clear = tab.get_by_role("button", name="Clear")
    if clear.count():
        clear.click()
        expect(tab.locator(".pile li")).to_have_count(0, timeout=PATIENCE)
    page.set_input_files("#extras .folder input", str(shoot))
    marks = tab.locator(".pile li")
    expect(marks).to_have_count(3, timeout=PATIENCE)
    assert [mark.get_attribute("title") for mark in marks.all()] == ["a/2", "a/10", "b/c/one"]
    expect(page.get_by_text("b/bad.png: This is a web page")).to_be_visible(timeout=PATIENCE)
    assert all("422" in fault for fault in studio.faults)
    studio.faults.clear()
    box = page.locator("#extras_upscaler input").first
    box.fill("Nearest")
    box.press("Enter")
    page.locator("#extras_scale input[type=number]").fill("2")
    page.locator("#extras_scale input[type=number]").press("Tab")
    page.click("#extras_start")
    expect(tab.locator(".extras-result .thumb")).to_have_count(3, timeout=PATIENCE)
    titles = [str(each.get_attribute("title")) for each in tab.locator(".extras-result .thumb").all()]
    assert [title.partition("-")[2] for title in titles] == ["a_2.png", "a_10.png", "b_c_one.png"]

    front(page, "Gallery")
    board = page.locator("#gallery")
    for place in (0, 2):
        board.locator(".cell .pick input").nth(place).check(force=True, timeout=PATIENCE)
    board.get_by_role("button", name="Send to Picture to picture").click()
    pile = page.locator("#img2img .pile li")
    expect(pile).to_have_count(2, timeout=PATIENCE)
    expect(pile.first).to_be_visible(timeout=PATIENCE)
    assert [str(mark.get_attribute("title")).partition("-")[2] for mark in pile.all()] == ["b_c_one", "a_2"]
    front(page, "Gallery")
    board.get_by_role("button", name="Send to Extras").click()
    expect(tab.locator(".pile li")).to_have_count(2, timeout=PATIENCE)
