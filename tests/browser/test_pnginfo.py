"""Old pictures in a real browser, with the real engine: one dropped on a prompt, one looked at, sent on, made again."""

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import PATIENCE, Studio, front

pytestmark = pytest.mark.browser
Visit = Callable[..., Studio]
FILE = """async (url) => {
  const data = new DataTransfer();
  const blob = await (await fetch(url)).blob();
  data.items.add(new File([blob], 'old.png', {type: 'image/png'}));
  return data;
}"""


def made(studio: Studio, prompt: str, seed: int) -> str:
    """Make a picture with values of its own, put the form to others, and return where the picture is."""
    studio.generate(prompt=prompt, negative_prompt="red", steps=5, seed=seed, cfg_scale=4)
    url = str(studio.until(prompt, "done")["pictures"][0]["url"])
    expect(studio.panel("parameters")).to_contain_text(f"Seed: {seed},", timeout=PATIENCE)
    studio.fill(prompt="", negative_prompt="x", steps=9, seed=1, cfg_scale=7)
    return url


def test_a_picture_dropped_on_the_prompt_fills_the_form_and_the_arrow_reads_the_last(visit: Visit) -> None:
    studio = visit()
    page = studio.page
    prompt = "a purple star on a white background"
    url = made(studio, prompt, 41)
    page.dispatch_event("#txt2img_prompt textarea", "drop", {"dataTransfer": page.evaluate_handle(FILE, url)})
    expect(studio.box("prompt")).to_have_value(prompt, timeout=PATIENCE)
    values = {"negative_prompt": "red", "seed": "41", "steps": "5", "cfg_scale": "4"}
    for field, value in values.items():
        expect(studio.box(field)).to_have_value(value)
    expect(page.get_by_text("The form is filled")).to_be_visible(timeout=PATIENCE)
    studio.fill(prompt="", seed=2)
    page.locator("#txt2img_read").click()
    expect(studio.box("prompt")).to_have_value(prompt, timeout=PATIENCE)
    expect(studio.box("seed")).to_have_value("41")
    studio.fill(prompt="", seed=3)
    page.locator("#txt2img_prompt textarea").evaluate(
        "(box, data) => box.dispatchEvent(new ClipboardEvent('paste', {clipboardData: data, bubbles: true}))",
        page.evaluate_handle(FILE, url),
    )
    expect(studio.box("seed")).to_have_value("41", timeout=PATIENCE)
    page.wait_for_timeout(2000)  # what was typed just before is saved by and by
    page.reload()
    for field, value in values.items():
        expect(studio.box(field)).to_have_value(value, timeout=PATIENCE)


def test_a_picture_is_looked_at_sent_on_and_made_again_bit_for_bit(visit: Visit) -> None:
    studio = visit()
    page = studio.page
    prompt = "a yellow star on a black background"
    made(studio, prompt, 43)
    page.locator("#txt2img_parameters [data-send=pnginfo]").click(timeout=PATIENCE)
    about = page.locator("#pnginfo_about")
    expect(about.get_by_role("row", name="Seed 43", exact=True)).to_be_visible(timeout=PATIENCE)
    expect(about.locator("pre").first).to_contain_text(f"{prompt}\nNegative prompt: red")
    expect(page.locator("#pnginfo_image_well img")).to_be_visible()
    page.locator("#pnginfo_again [data-act=again]").click()
    verdict = page.locator("#pnginfo_result")
    expect(verdict.get_by_text("Equal, bit for bit.")).to_be_visible(timeout=PATIENCE)
    expect(verdict).to_contain_text("All that was recorded is as it was.")
    about.locator("[data-send=img2img]").click()
    expect(page.locator("#img2img_prompt textarea")).to_have_value(prompt, timeout=PATIENCE)
    expect(page.locator("#img2img_seed :is(textarea, input)").first).to_have_value("43")
    expect(page.locator("#img2img_init_image_well img")).to_be_visible(timeout=PATIENCE)
    front(page, "PNG Info")
    page.reload()
    front(page, "PNG Info")
    expect(about).to_contain_text(re.compile("Seed.*43", re.DOTALL), timeout=PATIENCE)
