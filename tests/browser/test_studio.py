"""What a person does on the page, in a real browser against the real server and the starter model."""

from collections.abc import Callable

import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from modules.request import LARGEST_SEED
from tests.browser.conftest import PATIENCE, PHONE, Studio

pytestmark = pytest.mark.browser
Visit = Callable[..., Studio]


def is_red_on_blue(picture: Image.Image) -> bool:
    """Whether the middle is red and the corners are blue, on average over patches of an eighth of a side."""
    side = picture.width // 8

    def patch(x: int, y: int) -> tuple[int, int, int]:
        return picture.crop((x, y, x + side, y + side)).resize((1, 1), Image.Resampling.BOX).getpixel((0, 0))  # type: ignore[return-value]

    middle = patch((picture.width - side) // 2, (picture.height - side) // 2)
    corners = [patch(x, y) for x in (0, picture.width - side) for y in (0, picture.height - side)]
    return middle[0] > max(middle[1:]) + 60 and all(corner[2] > max(corner[:2]) + 40 for corner in corners)


def sees_it_made(studio: Studio) -> None:
    """Progress with a step, a live preview that really is a picture, and the right picture in the end."""
    bar = studio.bar()
    expect(bar).to_be_visible(timeout=PATIENCE)
    expect(studio.panel("progress")).to_contain_text("/40", timeout=PATIENCE)
    live = studio.panel("stage").locator("img.live")
    expect(live).to_be_visible(timeout=PATIENCE)
    assert live.evaluate("async (image) => { await image.decode(); return image.naturalWidth; }") > 0
    assert is_red_on_blue(studio.picture())


def test_words_become_the_picture_they_describe(visit: Visit) -> None:
    studio = visit()
    studio.generate(prompt="a red circle on a blue background", steps=40, seed=1)
    sees_it_made(studio)
    expect(studio.panel("parameters")).to_contain_text("Steps: 40, Sampler: DPM++ 2M")
    expect(studio.panel("parameters")).to_contain_text("Seed: 1,")
    with studio.page.expect_download() as download:
        studio.panel("parameters").get_by_role("link", name="Download").click()
    assert download.value.suggested_filename.endswith("-1.png")
    studio.page.click("#txt2img_reuse_seed")
    expect(studio.box("seed")).to_have_value("1")
    studio.page.click("#txt2img_random_seed")
    expect(studio.box("seed")).to_have_value("-1")


def test_the_same_on_a_phone(visit: Visit) -> None:
    studio = visit(**PHONE)
    studio.generate(prompt="a red circle on a blue background", steps=40, seed=1)
    sees_it_made(studio)
    assert studio.page.evaluate("document.documentElement.scrollWidth") == 390
    stage, prompt = studio.panel("stage").bounding_box(), studio.panel("prompt").bounding_box()
    assert stage is not None and prompt is not None and stage["y"] < prompt["y"]
    assert small_targets(studio.page) == []


def small_targets(page: Page) -> list[str]:
    """What a finger may miss: visible buttons and fields less than 40 pixels high or wide."""
    return list(
        page.evaluate("""() => [...document.querySelectorAll('#txt2img :is(button, a, textarea, input)')]
            .filter((each) => each.type !== 'range')
            .map((each) => [each.closest('[id]').id + each.className, each.closest('.checkbox-container') ?? each])
            .map(([name, each]) => [name, each.getBoundingClientRect()])
            .filter(([, box]) => box.width > 0 && (box.height < 40 || box.width < 40))
            .map(([name, box]) => `${name} ${box.width}x${box.height}`)""")
    )


def test_a_reload_in_mid_job_loses_nothing(visit: Visit) -> None:
    studio = visit()
    studio.generate(prompt="a star, reloaded", negative_prompt="text", steps=60, batch_count=2, cfg_scale=5.5)
    expect(studio.panel("progress")).to_contain_text("/60", timeout=PATIENCE)
    studio.page.reload()
    expect(studio.bar()).to_be_visible(timeout=PATIENCE)
    expect(studio.panel("stage").locator("img.live")).to_be_visible(timeout=PATIENCE)
    expect(studio.box("prompt")).to_have_value("a star, reloaded")
    expect(studio.box("negative_prompt")).to_have_value("text")
    expect(studio.box("cfg_scale")).to_have_value("5.5")
    expect(studio.box("batch_count")).to_have_value("2")
    expect(studio.bar()).to_be_hidden(timeout=PATIENCE)
    assert len(studio.until("a star, reloaded", "done")["pictures"]) == 2
    expect(studio.panel("parameters")).to_contain_text("a star, reloaded", timeout=PATIENCE)
    studio.fill(batch_count=1)


def test_another_device_sees_the_same_job(visit: Visit) -> None:
    here, there = visit(), visit(**PHONE)
    here.generate(prompt="a house, seen twice", steps=150, batch_count=40)  # longer than any page needs to hear of it
    for studio in (here, there):
        expect(studio.panel("progress")).to_contain_text("/150", timeout=PATIENCE)
        expect(studio.panel("queue")).to_contain_text("a house, seen twice")
    for _ in range(PATIENCE // 200):
        if here.job("a house, seen twice")["pictures"]:
            break
        here.page.wait_for_timeout(200)
    here.page.keyboard.press("Escape")
    here.until("a house, seen twice", "stopped")
    for studio in (here, there):
        expect(studio.panel("parameters")).to_contain_text("a house, seen twice", timeout=PATIENCE)
    here.fill(batch_count=1)


def test_interrupt_stops_the_job_it_shows_and_the_next_begins(visit: Visit) -> None:
    studio = visit()
    studio.generate(prompt="stopped", steps=150, batch_count=20)
    studio.generate(prompt="goes on", steps=4, batch_count=1)
    expect(studio.panel("progress")).to_contain_text("/150", timeout=PATIENCE)
    studio.page.keyboard.press("Escape")
    studio.until("stopped", "stopped")
    studio.until("goes on", "done")


def test_skip_drops_one_batch(visit: Visit) -> None:
    studio = visit()
    studio.generate(prompt="skipped once", steps=150, batch_count=2, width=256, height=256)
    expect(studio.panel("progress")).to_contain_text("/150", timeout=PATIENCE)
    studio.page.keyboard.press("Alt+Enter")
    assert len(studio.until("skipped once", "done")["pictures"]) == 1
    studio.fill(batch_count=1, width=128, height=128)


def test_three_queued_and_the_middle_one_cancelled(visit: Visit) -> None:
    studio = visit()
    queue = studio.panel("queue")
    queue.get_by_role("button", name="Pause the queue").click()
    for prompt in ("first of three", "second of three", "third of three"):
        studio.fill(prompt=prompt, steps=4)
        studio.page.keyboard.press("Control+Enter")
        expect(queue.locator("li.waiting", has_text=prompt)).to_be_visible(timeout=PATIENCE)
    queue.locator("li.waiting", has_text="second of three").get_by_role("button", name="Cancel").click()
    expect(queue.locator("li.waiting")).to_have_count(2)
    queue.locator("li.waiting", has_text="third of three").get_by_role("button", name="Move up").click()
    expect(queue.locator("li.waiting").first).to_contain_text("third of three")
    queue.get_by_role("button", name="Resume the queue").click()
    first, third = studio.until("first of three", "done"), studio.until("third of three", "done")
    assert studio.job("second of three")["status"] == "stopped"
    assert third["pictures"][0]["id"] < first["pictures"][0]["id"]


REFUSED = (
    ("width", "0", "The Width is 0. It must be a whole number of pixels from 64 to 2048 that divides by 8."),
    ("width", "17", "The Width is 17."),
    ("height", "100000", "The Height is 100000."),
    ("steps", "0", "Sampling steps is 0. It must be a whole number from 1 to 150."),
    ("steps", "-1", "Sampling steps is -1."),
    ("steps", "1000000000", "Sampling steps is 1000000000."),
    ("seed", str(2**70), f"It must be -1 (random) or a whole number from 0 to {LARGEST_SEED}."),
    ("seed", "seven", "The seed is seven."),
    ("sampler", "Eulerian", "There is no sampler named Eulerian. Allowed are: "),
    ("model", "nothing", "There is no checkpoint named nothing."),
    ("prompt", "long " * 10_000, "At most 10000 characters are allowed."),
)


def test_what_is_not_allowed_is_answered_and_nothing_is_queued_or_lost(visit: Visit) -> None:
    studio = visit()
    studio.fill(prompt="kept as it is")
    before = len(studio.jobs())
    toasts = studio.page.locator(".toast-body")
    for field, value, sentence in REFUSED:
        good = studio.box(field).input_value()
        studio.fill(**{field: value})
        studio.page.keyboard.press("Tab")  # what leaving the field does to its value must not change it
        studio.page.click("#txt2img_generate")
        expect(toasts).to_contain_text(sentence)
        assert studio.box(field).input_value() == value
        studio.fill(**{field: good})
        studio.page.keyboard.press("Tab")
        toasts.get_by_role("button").last.click()
        expect(toasts).to_have_count(0)
    assert studio.box("prompt").input_value() == "kept as it is"
    assert len(studio.jobs()) == before


@pytest.mark.parametrize("prompt", ["", "🎨 <b>bold</b> ${document.title = 'broken'} {{value}} `x` \\"])
def test_any_other_text_is_only_text(visit: Visit, prompt: str) -> None:
    studio = visit()
    studio.generate(prompt=prompt, steps=4, seed=7)
    studio.until(prompt, "done")
    expect(studio.panel("parameters")).to_contain_text(prompt or "Steps: 4")
    expect(studio.page).to_have_title("Easel")
    assert studio.page.locator("#txt2img b").count() == 0


def test_a_korean_browser_shows_korean(visit: Visit) -> None:
    studio = visit(locale="ko-KR")
    page = studio.page
    expect(page.locator("#txt2img_generate")).to_have_text("생성")
    expect(page.get_by_label("네거티브 프롬프트")).to_be_visible()
    expect(studio.panel("queue")).to_contain_text("대기열")
    studio.generate(prompt="별", steps=0)
    expect(page.locator(".toast-body")).to_contain_text("샘플링 단계 값이 0입니다.")
    studio.fill(steps=20)
    page.wait_for_timeout(600)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_follows_the_browsers_colours(visit: Visit, scheme: str) -> None:
    page = visit(color_scheme=scheme).page
    ground = page.evaluate("getComputedStyle(document.querySelector('gradio-app')).backgroundColor")
    brightness = sum(int(part) for part in ground.removeprefix("rgb(").removesuffix(")").split(","))
    assert (brightness > 384) == (scheme == "light")


def test_a_picture_opens_at_full_size_and_escape_only_closes_it(visit: Visit) -> None:
    studio = visit()
    studio.generate(prompt="looked at", steps=4)
    studio.until("looked at", "done")
    expect(studio.panel("parameters")).to_contain_text("looked at", timeout=PATIENCE)
    studio.panel("stage").get_by_role("button").click()
    zoom = studio.page.locator("#easel-zoom")
    expect(zoom).to_be_visible()
    studio.page.keyboard.press("Escape")
    expect(zoom).to_be_hidden()
    older = studio.panel("strip").locator("button.thumb").nth(1)
    older.click()
    expect(older).to_have_attribute("aria-pressed", "true")
    expect(studio.panel("parameters")).not_to_contain_text("looked at")
