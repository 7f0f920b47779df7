"""The browser of the models folder and the row on top, in a real browser, on files that the tests make."""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderKL
from playwright.sync_api import Dialog, Locator, expect
from safetensors.torch import save_file

from tests.browser.conftest import PATIENCE, PHONE, Studio, serving
from tests.browser.test_studio import small_targets
from tests.fake_checkpoints import VAE, write_single
from tests.fake_networks import beside, picture, write_embedding, write_lora

pytestmark = pytest.mark.browser
Visit = Callable[..., Studio]
MANY = 70


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A models folder with something of everything."""
    folder = tmp_path_factory.mktemp("networks") / "models"
    write_single(folder / "Stable-diffusion" / "plain.safetensors", "sd1")
    write_single(folder / "Stable-diffusion" / "quick_lightning_4step.safetensors", "sdxl")
    wash = write_lora(folder / "Lora" / "style" / "wash.safetensors", metadata={"ss_sd_model_name": "v1-5"})
    beside(wash, activation_text="watercolor, wet", preferred_weight=0.8, negative_text="photo")
    picture(wash.with_suffix(".png"), 200)
    write_lora(folder / "Lora" / "style" / "deep" / "ink (v2).safetensors")
    write_lora(folder / "Lora" / "large.safetensors", "sdxl")
    write_lora(folder / "Lora" / "bare.safetensors")
    (folder / "Lora" / "page.safetensors").write_text("<!DOCTYPE html><title>404</title>")
    (folder / "Lora" / "<img src=x onerror=alert(1)>.safetensors").write_bytes(b"\0" * 64)
    write_embedding(folder / "embeddings" / "grainy.safetensors")
    write_hypernetwork(folder / "hypernetworks" / "water.pt")
    write_vae(folder / "VAE" / "bright.safetensors")
    for place in range(MANY):
        write_lora(folder / "Lora" / "many" / f"z-each-{place:03}.safetensors")
    return folder


@pytest.fixture(scope="module")
def address(models: Path) -> Iterator[str]:
    """Serve the real page on these files, with an engine that draws."""
    with serving(["-m", "tests.ui.drawing", "0", str(models.parent), "0.02"], models.parent) as found:
        yield found


def write_hypernetwork(path: Path) -> None:
    layers = [{"linear.0.weight": torch.zeros(8, 768), "linear.1.weight": torch.zeros(768, 8)} for _ in range(2)]
    path.parent.mkdir(parents=True)
    torch.save({768: layers, "layer_structure": [1, 2, 1], "name": "water", "step": 10}, path)


def write_vae(path: Path) -> None:
    path.parent.mkdir(exist_ok=True)
    save_file(AutoencoderKL.from_config(VAE).state_dict(), path)


def open_tab(studio: Studio, kind: str = "lora") -> Locator:
    """Open a tab of the browser afresh, as it is without search and filters; return its cards."""
    tab = studio.page.locator(f"[role=tab][data-kind={kind}]")
    if tab.get_attribute("aria-selected") == "true":
        tab.click()
        expect(tab).to_have_attribute("aria-selected", "false")
    tab.click()
    expect(tab).to_have_attribute("aria-selected", "true")
    cards = studio.page.locator(".model-card")
    expect(cards.first).to_be_visible(timeout=PATIENCE)
    return cards


def card(studio: Studio, name: str) -> Locator:
    return studio.page.locator(".model-card").filter(has=studio.page.get_by_text(name, exact=True))


def search(studio: Studio, words: str) -> None:
    studio.page.locator("[data-state=words]").fill(words)


def choose(studio: Studio, name: str) -> None:
    """Choose a checkpoint by its card."""
    open_tab(studio, "checkpoint")
    card(studio, name).locator(".take").click()
    expect(card(studio, name).locator(".take")).to_have_attribute("aria-pressed", "true")


def test_a_lora_goes_into_the_prompt_with_its_words_and_out_again(visit: Visit) -> None:
    studio = visit()
    studio.fill(prompt="a house", negative_prompt="blurry")
    open_tab(studio)
    search(studio, "wash")
    wash = card(studio, "wash").locator(".take")
    expect(wash).to_have_attribute("aria-pressed", "false")
    wash.click()
    expect(studio.box("prompt")).to_have_value("a house <lora:wash:0.8> watercolor, wet")
    expect(studio.box("negative_prompt")).to_have_value("blurry photo")
    expect(wash).to_have_attribute("aria-pressed", "true")
    studio.page.wait_for_timeout(1500)  # it is kept as typed words are, for any other device
    expect(visit().box("prompt")).to_have_value("a house <lora:wash:0.8> watercolor, wet")
    studio.fill(prompt="a house <lora:wash:0.35:1> at night, watercolor, wet")
    expect(wash).to_have_attribute("aria-pressed", "true")
    wash.click()
    expect(studio.box("prompt")).to_have_value("a house at night,")
    expect(studio.box("negative_prompt")).to_have_value("blurry")
    expect(wash).to_have_attribute("aria-pressed", "false")


def test_what_a_card_wrote_is_what_the_job_asks_for(visit: Visit) -> None:
    studio = visit()
    studio.fill(prompt="asked for", negative_prompt="", steps=2)
    open_tab(studio)
    card(studio, "bare").locator(".take").click()
    card(studio, "ink (v2)").locator(".take").click()
    studio.page.click("#txt2img_generate")
    studio.until("asked for <lora:bare:1> <lora:ink (v2):1>", "done")


def test_a_learned_word_goes_into_the_prompt_used_last_and_a_hypernetwork_is_a_tag(visit: Visit) -> None:
    studio = visit()
    studio.fill(prompt="a cat", negative_prompt="bad")
    studio.box("negative_prompt").focus()
    open_tab(studio, "embedding")
    card(studio, "grainy").locator(".take").click()
    expect(studio.box("negative_prompt")).to_have_value("bad grainy")
    expect(studio.box("prompt")).to_have_value("a cat")
    studio.fill(negative_prompt="ungrainy")
    expect(card(studio, "grainy").locator(".take")).to_have_attribute("aria-pressed", "false")
    open_tab(studio, "hypernetwork")
    card(studio, "water").locator(".take").click()
    expect(studio.box("prompt")).to_have_value("a cat <hypernet:water:1>")


def test_only_what_fits_the_checkpoint_is_shown_until_everything_is_asked_for(visit: Visit) -> None:
    studio = visit()
    choose(studio, "plain")
    open_tab(studio)
    expect(card(studio, "bare")).to_be_visible()
    expect(card(studio, "large")).to_have_count(0)
    studio.page.locator("[data-state=every]").check()
    expect(card(studio, "large")).to_be_visible()
    studio.page.locator("[data-state=every]").uncheck()
    expect(card(studio, "large")).to_have_count(0)
    choose(studio, "quick_lightning_4step")
    open_tab(studio)
    expect(card(studio, "large")).to_be_visible()
    expect(card(studio, "bare")).to_have_count(0)
    choose(studio, "plain")


def test_a_quick_checkpoint_brings_its_steps_and_takes_them_along(visit: Visit) -> None:
    studio = visit()
    choose(studio, "plain")
    studio.fill(steps=20, cfg_scale=7)
    choose(studio, "quick_lightning_4step")
    expect(studio.box("steps")).to_have_value("4")
    expect(studio.box("sampler")).to_have_value("Euler")
    assert float(studio.box("cfg_scale").input_value()) <= 2
    expect(studio.box("model")).to_have_value(re.compile("^quick_lightning_4step.safetensors"))
    choose(studio, "plain")
    expect(studio.box("steps")).to_have_value("20")
    expect(studio.box("cfg_scale")).to_have_value("7")
    expect(studio.box("sampler")).to_have_value("DPM++ 2M")


def test_search_folders_order_and_pages(visit: Visit) -> None:
    studio = visit()
    cards = open_tab(studio)
    pager = studio.page.locator(".pager")
    expect(cards).to_have_count(60)
    total = MANY + 3 + 2  # what fits, and what is broken
    expect(pager).to_contain_text(f"1–60 of {total}")
    pager.get_by_role("button", name="Next page").click()
    expect(pager).to_contain_text(f"61–{total} of {total}")
    expect(cards.last).to_contain_text("Cannot be used")
    search(studio, "each-06")
    expect(cards).to_have_count(10)
    expect(cards.first).to_contain_text("each-060")
    studio.page.locator("[data-state=descending]").click()
    expect(cards.first).to_contain_text("each-069")
    studio.page.locator("[data-state=descending]").click()
    search(studio, "")
    studio.page.locator("[data-state=folder]").select_option("style")
    expect(cards).to_have_count(2)
    expect(cards.first).to_contain_text("ink (v2)")
    search(studio, "nothing like it")
    expect(studio.page.locator(".networks-empty")).to_contain_text("Nothing here matches.")


def test_what_is_written_down_beside_a_file_is_used_and_kept(visit: Visit, models: Path) -> None:
    studio = visit()
    open_tab(studio)
    dialog = studio.page.locator("dialog.model-details")
    card(studio, "bare").hover()
    card(studio, "bare").get_by_role("button", name="About bare").click()
    expect(dialog).to_be_visible()
    expect(dialog).to_contain_text("SD1")
    dialog.get_by_label("Words added to the prompt").fill("bare trees ${1+1} <b>")
    dialog.get_by_label("Preferred weight").fill("0.65")
    dialog.get_by_label("Notes").fill("first line\nsecond line")
    dialog.get_by_role("button", name="Save").click()
    expect(dialog).to_have_count(0)
    written = json.loads((models / "Lora" / "bare.json").read_text())
    assert written["activation text"] == "bare trees ${1+1} <b>"
    assert (written["preferred weight"], written["notes"]) == (0.65, "first line\nsecond line")
    studio.fill(prompt="", negative_prompt="")
    card(studio, "bare").locator(".take").click()
    expect(studio.box("prompt")).to_have_value("<lora:bare:0.65> bare trees ${1+1} <b>")
    card(studio, "bare").get_by_role("button", name="About bare").click()
    expect(dialog.get_by_label("Notes")).to_have_value("first line\nsecond line")
    studio.page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    (models / "Lora" / "bare.json").unlink()


def test_a_picture_of_the_gallery_becomes_the_preview(visit: Visit, models: Path) -> None:
    studio = visit()
    studio.generate(prompt="a green circle on a yellow background", negative_prompt="", steps=2)
    studio.until("a green circle on a yellow background", "done")
    expect(studio.panel("parameters")).to_contain_text("a green circle", timeout=PATIENCE)
    open_tab(studio)
    ink = card(studio, "ink (v2)")
    expect(ink.locator("img")).to_have_count(0)
    ink.hover()
    ink.get_by_role("button", name="About ink (v2)").click()
    dialog = studio.page.locator("dialog.model-details")
    dialog.get_by_label("Notes").fill("typed before")
    dialog.get_by_role("button", name="Use the picture shown as preview").click()
    shown = dialog.locator(".cover img")
    expect(shown).to_be_visible(timeout=PATIENCE)
    assert shown.evaluate("async (image) => { await image.decode(); return image.naturalWidth; }") > 0
    expect(dialog.get_by_label("Notes")).to_have_value("typed before")
    dialog.get_by_role("button", name="Cancel").click()
    expect(ink.locator("img")).to_be_visible()
    assert list((models / "Lora" / "style" / "deep").glob("ink (v2)*.png"))


def test_what_is_broken_says_why_and_can_only_be_looked_at(visit: Visit) -> None:
    studio = visit()
    alarms: list[str] = []

    def alarmed(alarm: Dialog) -> None:
        alarms.append(alarm.message)
        alarm.dismiss()

    studio.page.on("dialog", alarmed)
    open_tab(studio)
    search(studio, "page.safetensors")
    page = card(studio, "page")
    expect(page).to_contain_text("Cannot be used")
    expect(page).to_contain_text("page.safetensors")
    expect(page.locator("button.take")).to_have_count(0)
    page.get_by_role("button").click()
    expect(studio.page.locator("dialog.model-details [role=alert]")).to_be_visible()
    studio.page.keyboard.press("Escape")
    search(studio, "onerror")
    expect(studio.page.locator(".model-card")).to_contain_text("<img src=x onerror=alert(1)>")
    assert alarms == []


def test_a_new_file_appears_by_itself_and_the_browser_stays_open(visit: Visit, models: Path) -> None:
    studio = visit()
    open_tab(studio)
    search(studio, "newcomer")
    expect(studio.page.locator(".networks-empty")).to_be_visible()
    write_lora(models / "Lora" / "newcomer.safetensors")
    expect(card(studio, "newcomer")).to_be_visible(timeout=PATIENCE)
    expect(studio.page.locator("[data-state=words]")).to_have_value("newcomer")
    (models / "Lora" / "newcomer.safetensors").unlink()
    write_vae(models / "VAE" / "second.safetensors")
    studio.page.click("#refresh_models")
    studio.box("vae").click()
    expect(studio.page.get_by_role("option", name="second.safetensors")).to_be_visible()
    studio.page.keyboard.press("Escape")
    (models / "VAE" / "second.safetensors").unlink()
    studio.page.reload()
    expect(studio.page.locator("[role=tab][data-kind=lora]")).to_have_attribute("aria-selected", "true")
    expect(studio.page.locator(".model-card").first).to_be_visible(timeout=PATIENCE)


def test_vae_and_clip_skip_of_the_row_on_top_reach_the_job(visit: Visit) -> None:
    studio = visit()
    studio.box("vae").click()
    studio.page.get_by_role("option", name="bright.safetensors").click()
    studio.generate(prompt="with both", negative_prompt="", steps=2, clip_skip=2)
    asked = studio.until("with both", "done")["request"]
    assert (asked["vae"], asked["clip_skip"]) == ("bright.safetensors", 2)
    studio.fill(clip_skip=0)
    studio.page.click("#txt2img_generate")
    expect(studio.page.locator(".toast-body")).to_contain_text("Clip skip")
    studio.fill(clip_skip=1)
    studio.box("vae").click()
    studio.page.get_by_role("option", name="Automatic").click()
    studio.page.wait_for_timeout(800)


def test_on_a_phone_everything_is_within_reach(visit: Visit) -> None:
    studio = visit(**PHONE)
    open_tab(studio)
    assert studio.page.evaluate("document.documentElement.scrollWidth") == 390
    assert small_targets(studio.page) == []
    card(studio, "bare").get_by_role("button", name="About bare").click()
    dialog = studio.page.locator("dialog.model-details")
    expect(dialog.get_by_role("button", name="Save")).to_be_in_viewport()
    assert dialog.evaluate("(each) => each.scrollWidth <= each.clientWidth")


def test_a_korean_browser_shows_it_in_korean(visit: Visit) -> None:
    studio = visit(locale="ko-KR")
    open_tab(studio)
    expect(studio.page.get_by_role("tab", name="임베딩")).to_be_visible()
    expect(studio.page.get_by_placeholder("이름, 폴더, 해시로 찾기")).to_be_visible()
    expect(studio.page.get_by_label("CLIP 건너뛰기")).to_be_visible()
    studio.box("vae").click()
    expect(studio.page.get_by_role("option", name="자동")).to_be_visible()
