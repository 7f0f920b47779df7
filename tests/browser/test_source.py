"""Painting over pictures in a real browser, with the real engine: a mask by hand, a picture sent along, a hint."""

import io
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Locator, expect

from tests.browser.conftest import PATIENCE, PHONE, Studio, front

pytestmark = pytest.mark.browser
Visit = Callable[..., Studio]


@pytest.fixture(scope="module")
def drawing(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A red disc to the left and a green one to the right, on white."""
    rows, columns = np.mgrid[:128, :128]
    pixels = np.full((128, 128, 3), 255, np.uint8)
    for column, colour in ((36, (210, 30, 40)), (94, (30, 150, 60))):
        pixels[(rows - 64) ** 2 + (columns - column) ** 2 < 26**2] = colour
    path = tmp_path_factory.mktemp("brought") / "two discs.png"
    Image.fromarray(pixels).save(path)
    return path


def put(studio: Studio, field: str, path: Path) -> Locator:
    """Choose a file for the place of a picture, and return the place."""
    place = studio.page.locator(f"#{field}_well")
    place.locator("input[type=file]").set_input_files(path)
    return place


def cleared(studio: Studio, field: str) -> None:
    """Take away the picture that an earlier visit may have left there."""
    place = studio.page.locator(f"#{field}_well")
    expect(place.locator(".drop, [data-clear]").first).to_be_visible(timeout=PATIENCE)
    studio.page.wait_for_timeout(1500)  # the form comes as it was kept
    if place.locator("[data-clear]").count():
        place.locator("[data-clear]").click()
    expect(place.locator(".drop")).to_be_visible(timeout=PATIENCE)


def finished(studio: Studio, tab: str, prompt: str) -> Image.Image:
    """Wait for the job of that prompt, and return the picture that the tab shows."""
    job = studio.until(prompt, "done", "failed")
    assert job["status"] == "done", job["error"]
    shown = studio.page.locator(f"#{tab}_stage img.finished")
    expect(shown).to_have_attribute("alt", prompt, timeout=PATIENCE)
    answer = studio.page.request.get(studio.address + job["pictures"][0]["url"].lstrip("/"))
    return Image.open(io.BytesIO(answer.body())).convert("RGB")


def test_a_mask_painted_by_hand_changes_what_it_covers_and_nothing_else(visit: Visit, drawing: Path) -> None:
    studio = visit()
    page = studio.page
    front(page, "Inpaint")
    expect(put(studio, "inpaint_init_image", drawing)).to_contain_text("128 × 128", timeout=PATIENCE)
    expect(page.locator("#inpaint_width input").first).to_have_value("128", timeout=PATIENCE)
    canvas = page.locator("#inpaint_editor canvas").first
    canvas.scroll_into_view_if_needed()
    page.wait_for_timeout(3000)  # the editor brings the picture in by and by
    box = canvas.bounding_box()
    assert box is not None
    # The picture is square and lies in the middle of the canvas; the left disc is painted over, line by line.
    side = min(box["width"], box["height"]) * 0.8
    left, top = box["x"] + (box["width"] - side) / 2, box["y"] + (box["height"] - side) / 2
    page.mouse.move(left + 0.1 * side, top + 0.3 * side)
    page.mouse.down()
    for line in range(6):
        page.mouse.move(left + (0.42 if line % 2 else 0.08) * side, top + (0.3 + 0.08 * line) * side, steps=4)
    page.mouse.up()
    painted = page.locator("#inpaint_painted textarea")
    expect(painted).to_have_value(re.compile('"layer":"[0-9a-f]{64}"'), timeout=PATIENCE)
    prompt = "a blue heart on a white background"
    page.locator("#inpaint_prompt textarea").fill(prompt)
    page.locator("#inpaint_steps input").first.fill("6")
    page.locator("#inpaint_generate").click()
    after, before = (np.asarray(each, int) for each in (finished(studio, "inpaint", prompt), Image.open(drawing)))
    assert (after[:, 100:] == before[:, 100:]).all(), "the right disc is what it was, bit for bit"
    assert np.abs(after[44:84, 20:52] - before[44:84, 20:52]).mean() > 20, "the left one is not"
    page.reload()
    front(page, "Inpaint")
    expect(page.locator("#inpaint_init_image_well")).to_contain_text("128 × 128", timeout=PATIENCE)
    expect(painted).to_have_value(re.compile('"base": ?"[0-9a-f]{64}"'), timeout=PATIENCE)
    page.wait_for_timeout(2000)  # until it is drawn
    shown = np.asarray(Image.open(io.BytesIO(page.locator("#inpaint_editor").screenshot())).convert("RGB"), int)
    assert (np.abs(shown - (255, 79, 163)).max(axis=2) < 12).mean() > 0.03, "what was painted is seen again"


def test_what_is_no_picture_is_refused_with_a_sentence_and_without_one_nothing_is_queued(
    visit: Visit, tmp_path: Path
) -> None:
    studio = visit()
    front(studio.page, "Picture to picture")
    cleared(studio, "img2img_init_image")
    page = tmp_path / "page.png"
    page.write_text("<!doctype html><script>alert(1)</script>")
    place = put(studio, "img2img_init_image", page)
    expect(place.get_by_role("alert")).to_contain_text("a web page or a drawing", timeout=PATIENCE)
    studio.faults.clear()  # the browser notes every refusal
    queued = len(studio.jobs())
    studio.page.locator("#img2img_generate").click()
    expect(studio.page.get_by_text("There is no picture yet.")).to_be_visible(timeout=PATIENCE)
    assert len(studio.jobs()) == queued


def test_a_picture_is_sent_to_another_tab_with_what_it_was_made_with(visit: Visit) -> None:
    studio = visit()
    studio.generate(prompt="a green house on a yellow background", steps=4, seed=77)
    studio.until("a green house on a yellow background", "done")
    shown = studio.page.locator("#txt2img_parameters")
    expect(shown).to_contain_text("a green house on a yellow background", timeout=PATIENCE)  # not the one before
    shown.locator("[data-send=img2img]").click(timeout=PATIENCE)
    prompt = studio.page.locator("#img2img_prompt textarea")
    expect(prompt).to_have_value("a green house on a yellow background", timeout=PATIENCE)
    expect(studio.page.locator("#img2img_seed :is(textarea, input)").first).to_have_value("77")
    expect(studio.page.locator("#img2img_init_image_well img")).to_be_visible(timeout=PATIENCE)
    prompt.fill("a red house on a yellow background")
    studio.page.locator("#img2img_generate").click()
    image = finished(studio, "img2img", "a red house on a yellow background")
    red, green, blue = np.median(np.asarray(image)[:16].reshape(-1, 3), axis=0)
    assert red > blue + 40 and green > blue + 40, "the background is yellow still"


def test_a_unit_of_controlnet_shows_its_hint_and_keeps_the_silhouette(visit: Visit, drawing: Path) -> None:
    studio = visit()
    page = studio.page
    front(page, "ControlNet")
    put(studio, "controlnet_unit_0_image", drawing)
    expect(page.locator("#controlnet_unit_0_image_well img")).to_be_visible(timeout=PATIENCE)
    for field, value in (("preprocessor", "canny"), ("model", "starter-canny")):
        box = page.locator(f"#controlnet_unit_0_{field} input").first
        box.click()
        box.fill(value)
        box.press("Enter")
    page.locator("#controlnet_unit_0_enabled input").check()
    page.locator("#controlnet_unit_0_draw").click()
    hint = page.locator("#controlnet_unit_0_hint img")
    expect(hint).to_be_visible(timeout=PATIENCE)
    answer = page.request.get(studio.address + str(hint.get_attribute("src")).lstrip("/"))
    edges = np.asarray(Image.open(io.BytesIO(answer.body())).convert("L"))
    assert 0.002 < (edges > 128).mean() < 0.1, "a few white lines on black"
    prompt = "a yellow circle next to a purple circle on a black background"
    page.locator("#controlnet_prompt textarea").fill(prompt)
    page.locator("#controlnet_seed :is(textarea, input)").first.fill("3")
    page.locator("#controlnet_generate").click()
    image = np.asarray(finished(studio, "controlnet", prompt), int)
    assert image[56:72, 28:44].mean() > image[4:20, 56:72].mean() + 40, "the left disc stands out from the black"


def test_on_a_phone_nothing_is_too_wide(visit: Visit) -> None:
    studio = visit(**PHONE)
    for tab in ("Picture to picture", "Inpaint", "ControlNet", "Extras"):
        front(studio.page, tab)
        studio.page.wait_for_timeout(800)
        assert studio.page.evaluate("document.documentElement.scrollWidth") == 390, tab


def test_a_mask_is_made_and_used_by_keyboard_alone(visit: Visit, drawing: Path) -> None:
    studio = visit()
    page = studio.page
    front(page, "Inpaint")
    cleared(studio, "inpaint_init_image")
    expect(put(studio, "inpaint_init_image", drawing)).to_contain_text("128 × 128", timeout=PATIENCE)
    expect(page.locator("#inpaint_width input").first).to_have_value("128", timeout=PATIENCE)
    page.locator("#inpaint_shapes > button").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#inpaint_shape_left input")).to_be_visible()
    # The left disc: each number in its turn, a Tab between them.
    page.locator("#inpaint_shape_left input").focus()
    for place, number in enumerate(("5", "27", "46", "46")):
        if place:
            page.keyboard.press("Tab")
        page.keyboard.press("Control+a")
        page.keyboard.type(number)
    page.keyboard.press("Tab")  # the shape
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    page.locator("#inpaint_shape_add").focus()
    page.keyboard.press("Enter")
    told = page.locator("#inpaint_shape_told [role=status]")
    expect(told).to_contain_text("of the picture is painted", timeout=PATIENCE)
    painted = page.locator("#inpaint_painted textarea")
    expect(painted).to_have_value(re.compile('"base": ?"[0-9a-f]{64}"'), timeout=PATIENCE)
    prompt = "a yellow house on a white background"
    page.locator("#inpaint_prompt textarea").focus()
    page.keyboard.press("Control+a")
    page.keyboard.type(prompt)
    page.locator("#inpaint_steps input").first.fill("6")
    page.locator("#inpaint_prompt textarea").focus()
    page.keyboard.press("Control+Enter")
    after, before = (np.asarray(each, int) for each in (finished(studio, "inpaint", prompt), Image.open(drawing)))
    assert (after[:, 100:] == before[:, 100:]).all(), "the right disc is what it was, bit for bit"
    assert np.abs(after[44:84, 20:52] - before[44:84, 20:52]).mean() > 20, "the left one is not"
