"""The Settings tab in a real browser: a change that is seen and kept, a search, an import, defaults, a phone."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import DESK, PATIENCE, PHONE, Studio, front, serving

pytestmark = pytest.mark.browser
Open = Callable[..., Studio]
DROPPED = """(text) => {
  const data = new DataTransfer();
  data.items.add(new File([text], 'config.json', {type: 'application/json'}));
  return data;
}"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("settings-tab")


@pytest.fixture(scope="module")
def drawn(folder: Path) -> Iterator[str]:
    """A server whose engine draws at once, on a folder of its own."""
    with serving(["-m", "tests.ui.drawing", "0", str(folder), "0.05"], folder) as found:
        yield found


@pytest.fixture
def studio(browser: Browser, drawn: str) -> Iterator[Open]:
    """Open the page; nothing it does may leave an error or ask a foreign host."""
    opened: list[Studio] = []

    def visit(**context: Any) -> Studio:
        made = Studio(browser.new_context(**(DESK | context)).new_page(), drawn)
        opened.append(made)
        return made.open()

    yield visit
    for each in opened:
        each.page.context.close()
    assert [fault for each in opened for fault in each.faults] == []


def settings(page: Page) -> None:
    front(page, "Settings")
    expect(page.locator("#settings .option").first).to_be_visible(timeout=PATIENCE)


def chosen(folder: Path) -> dict[str, Any]:
    return dict(json.loads((folder / ".easel" / "settings.json").read_text(encoding="utf-8")))


def test_a_change_is_seen_kept_and_taken_back(studio: Open, folder: Path) -> None:
    page = studio().page
    settings(page)
    apply = page.locator("#settings [data-apply]")
    expect(apply).to_be_disabled()
    page.locator("#settings_models_in_memory").fill("5")
    page.locator("#settings_theme").select_option("dark")
    apply.click()
    expect(page.get_by_text("Settings changed: 2.")).to_be_visible(timeout=PATIENCE)
    assert chosen(folder) == {"models_in_memory": 5, "theme": "dark"}
    expect(page.locator("#settings .notices")).to_contain_text("Easel is started again")
    page.wait_for_timeout(2000)  # until nothing is on its way any more
    page.reload()
    settings(page)
    expect(page.locator("#settings_models_in_memory")).to_have_value("5")
    page.locator("[data-key=models_in_memory] [data-reset]").click()
    expect(page.locator("#settings_models_in_memory")).to_have_value("3", timeout=PATIENCE)
    page.locator("[data-key=theme] [data-reset]").click()
    expect(page.locator("#settings .notices")).to_have_count(0, timeout=PATIENCE)
    assert chosen(folder) == {}


LIVE = """() => {
  window.lives = 0;
  new MutationObserver(() => { window.lives += document.querySelectorAll('#txt2img_stage .chip').length; })
    .observe(document.querySelector('#txt2img_stage'), {subtree: true, childList: true});
}"""


def test_a_change_that_holds_at_once_is_seen_in_the_next_picture(studio: Open) -> None:
    opened = studio()
    page = opened.page
    page.evaluate(LIVE)
    opened.generate(prompt="a red circle with previews", steps=40)
    opened.until("a red circle with previews", "done")
    expect(opened.panel("stage").locator("img.finished")).to_be_visible(timeout=PATIENCE)
    assert page.evaluate("window.lives") > 0
    settings(page)
    page.locator("#settings_preview_every").fill("0")
    page.locator("#settings [data-apply]").click()
    expect(page.get_by_text("Settings changed: 1.")).to_be_visible(timeout=PATIENCE)
    front(page, "Text to picture")
    page.evaluate("window.lives = 0")
    opened.generate(prompt="a blue circle without previews", steps=40)
    opened.until("a blue circle without previews", "done")
    expect(opened.panel("parameters")).to_contain_text("without previews", timeout=PATIENCE)
    assert page.evaluate("window.lives") == 0
    settings(page)
    page.locator("[data-key=preview_every] [data-reset]").click()
    expect(page.locator("#settings_preview_every")).to_have_value("1", timeout=PATIENCE)


def test_what_is_not_allowed_is_said_and_stays_as_it_was_typed(studio: Open) -> None:
    page = studio().page
    settings(page)
    page.locator("#settings_preview_every").fill("999")
    page.locator("#settings [data-apply]").click()
    expect(page.get_by_text("It must be a whole number from 0 to 150.")).to_be_visible(timeout=PATIENCE)
    expect(page.locator("#settings_preview_every")).to_have_value("999")
    expect(page.locator("[data-key=preview_every]")).to_have_class("option changed")


def test_the_row_on_top_is_put_in_order_and_searched_for_by_a1111s_name(studio: Open, folder: Path) -> None:
    page = studio().page
    settings(page)
    page.locator("#settings [data-search]").fill("quicksettings_list")
    expect(page.locator("#settings .option:visible")).to_have_count(1)
    page.locator("#settings [data-search]").fill("겹침")
    expect(page.locator("#settings .option:visible")).to_have_count(1)
    page.locator("#settings [data-search]").fill("Quicksettings")
    names = page.locator("[data-key=quicksettings]")
    noise = names.locator("li", has_text="Noise drawn by")
    noise.get_by_role("checkbox").check()
    for _ in range(4):
        noise.locator("[data-move=up]").click()
    page.locator("#settings [data-apply]").click()
    expect(page.get_by_text("Settings changed: 1.")).to_be_visible(timeout=PATIENCE)
    expect(page.locator("#settings .option:visible")).to_have_count(1)
    row = chosen(folder)["quicksettings"]
    assert row[0] == "randn_source" and row[1:] == ["sd_model_checkpoint", "sd_vae", "CLIP_stop_at_last_layers"]
    names.locator("[data-reset]").click()
    expect(names.locator("li").first).to_contain_text("Checkpoint", timeout=PATIENCE)


def test_a_config_is_dropped_and_reported(studio: Open, folder: Path) -> None:
    page = studio().page
    settings(page)
    config = {"ESRGAN_tile": 192, "ESRGAN_tile_overlap": 9000, "outdir_grids": "/x", "CLIP_stop_at_last_layers": 2}
    data = page.evaluate_handle(DROPPED, json.dumps(config))
    page.dispatch_event("#settings .drop", "drop", {"dataTransfer": data})
    report = page.locator("#settings .report")
    expect(report).to_contain_text("Taken: 2. Not possible: 1. Without a counterpart: 1.", timeout=PATIENCE)
    expect(report.get_by_role("row", name="ESRGAN_tile 192 Tile of upscalers: 192")).to_be_visible()
    expect(report).to_contain_text("It must be a whole number from 0 to 256.")
    expect(page.locator("#settings_upscale_tile")).to_have_value("192")
    assert chosen(folder)["upscale_tile"] == 192
    page.dispatch_event("#settings .drop", "drop", {"dataTransfer": page.evaluate_handle(DROPPED, "[" * 300_000)})
    expect(page.get_by_text("The file is no settings of A1111")).to_be_visible(timeout=PATIENCE)


def test_a_form_is_saved_as_default_and_filled_with_it_again(studio: Open) -> None:
    opened = studio()
    page = opened.page
    opened.fill(steps=27, negative_prompt="blurry")
    page.wait_for_timeout(2000)  # what was typed is saved by and by
    settings(page)
    line = page.locator("#settings .forms li", has_text="Text to picture")
    line.get_by_role("button", name="Save the form as default").click()
    expect(line).to_contain_text("has defaults of your own", timeout=PATIENCE)
    front(page, "Text to picture")
    opened.fill(steps=5, negative_prompt="")
    page.wait_for_timeout(2000)
    settings(page)
    line.get_by_role("button", name="Back to the default").click()
    expect(opened.box("steps")).to_have_value("27", timeout=PATIENCE)
    expect(opened.box("negative_prompt")).to_have_value("blurry")
    settings(page)
    line.get_by_role("button", name="Back to Easel's own default").click()
    expect(opened.box("steps")).to_have_value("20", timeout=PATIENCE)
    expect(opened.box("negative_prompt")).to_have_value("")


def test_a_phone_has_room_for_it_in_korean(studio: Open) -> None:
    page = studio(**{**PHONE, "locale": "ko-KR"}).page
    front(page, "설정")
    expect(page.locator("#settings .option").first).to_be_visible(timeout=PATIENCE)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    for control in page.locator("#settings :is(.apply, select, .option > input[type=number])").all():
        box = control.bounding_box()
        assert box is not None and box["height"] >= 44 and box["x"] >= 0 and box["x"] + box["width"] <= 390
