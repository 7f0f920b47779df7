"""Styles in a real browser, with the real engine: one is made, chosen, seen in the picture, found again and deleted."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import PATIENCE, PHONE, Studio
from tests.browser.test_studio import small_targets
from tests.test_route import LOOKS, corners

pytestmark = pytest.mark.browser
Visit = Callable[..., Studio]
NAME = '푸른 "배경", 2'


def dialog(page: Page) -> Locator:
    return page.locator("#txt2img_styles_panel dialog")


def edit(page: Page) -> Locator:
    page.get_by_role("button", name="Edit styles").first.click()
    expect(dialog(page)).to_be_visible(timeout=PATIENCE)
    return dialog(page)


def choose(page: Page, name: str) -> None:
    page.locator("#txt2img_styles input").first.click()
    page.get_by_role("option", name=name).click()


def chosen(page: Page) -> Locator:
    return page.locator("#txt2img_styles .token")


def test_a_style_is_made_chosen_seen_found_again_and_deleted(visit: Visit) -> None:
    studio = visit()
    page = studio.page
    studio.fill(prompt="a red circle", negative_prompt="", steps=10, seed=1)
    sheet = edit(page)
    sheet.get_by_label("Name").fill(NAME)
    sheet.get_by_role("button", name="Take the prompts of the page").click()
    expect(sheet.get_by_label("Prompt", exact=True)).to_have_value("a red circle")
    sheet.get_by_label("Prompt", exact=True).fill("{prompt} on a blue background")
    sheet.get_by_label("Negative prompt").fill("line one,\nline two")
    sheet.get_by_role("button", name="Save").click()
    expect(sheet.get_by_role("status")).to_contain_text("is saved", timeout=PATIENCE)
    page.keyboard.press("Escape")
    expect(sheet).to_be_hidden()
    choose(page, NAME)
    expect(chosen(page)).to_have_count(1)
    studio.generate()
    job = studio.until("a red circle", "done")
    assert job["request"]["styles"] == [NAME]
    expect(studio.panel("parameters")).to_contain_text("a red circle on a blue background", timeout=PATIENCE)
    assert sum(LOOKS["blue"](corner) for corner in corners(studio.picture())) >= 3
    # What was made fills the form, and the style is found in it.
    studio.fill(prompt="", seed=5)
    studio.box("seed").blur()
    page.wait_for_timeout(3000)  # what is typed is saved by and by
    page.locator("#txt2img_read").click()
    expect(studio.box("prompt")).to_have_value("a red circle", timeout=PATIENCE)
    expect(studio.box("negative_prompt")).to_have_value("")
    expect(chosen(page)).to_contain_text(NAME)
    page.reload()
    expect(studio.box("prompt")).to_have_value("a red circle", timeout=PATIENCE)
    expect(chosen(page)).to_contain_text(NAME)
    # Its text is written into the prompts, and it is deleted.
    page.get_by_role("button", name="Write the chosen styles into the prompts").first.click()
    expect(studio.box("prompt")).to_have_value("a red circle on a blue background", timeout=PATIENCE)
    expect(studio.box("negative_prompt")).to_have_value("line one,\nline two")
    expect(chosen(page)).to_have_count(0)
    sheet = edit(page)
    sheet.get_by_label("Styles").select_option(NAME)
    expect(sheet.get_by_label("Negative prompt")).to_have_value("line one,\nline two", timeout=PATIENCE)
    sheet.get_by_role("button", name="Delete").click()
    expect(sheet.get_by_text("Delete “")).to_be_visible(timeout=PATIENCE)
    sheet.get_by_role("button", name="Delete").click()
    expect(sheet.get_by_role("status")).to_contain_text("is deleted", timeout=PATIENCE)
    assert sheet.get_by_label("Styles").locator("option").all_text_contents() == ["A new style"]


def test_the_dialog_fits_a_phone(visit: Visit) -> None:
    studio = visit(**PHONE)
    sheet = edit(studio.page)
    box = sheet.bounding_box()
    assert box is not None and box["width"] <= 390
    assert not small_targets(studio.page)
