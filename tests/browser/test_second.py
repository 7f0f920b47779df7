"""A finished picture is made larger from its own panel, and a refiner is chosen in its part of the form."""

from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import PATIENCE, Studio

pytestmark = pytest.mark.browser
Visit = Callable[..., Studio]


def test_a_finished_picture_is_made_larger_by_the_keyboard(visit: Visit) -> None:
    studio = visit()
    studio.generate(prompt="becomes larger", steps=4, seed=3)
    studio.until("becomes larger", "done")
    parameters = studio.panel("parameters")
    expect(parameters).to_contain_text("becomes larger", timeout=PATIENCE)
    assert studio.picture().size == (128, 128)
    parameters.get_by_role("button", name="Make this picture larger").focus()
    studio.page.keyboard.press("Enter")
    expect(parameters).to_contain_text("Hires upscale: 2", timeout=PATIENCE)
    assert studio.picture().size == (256, 256)
    asked = studio.job("becomes larger")["request"]
    assert asked["seed"] == 3 and asked["hires"]["image"]


def test_a_refiner_is_chosen_in_a_part_that_was_closed(visit: Visit) -> None:
    studio = visit()
    studio.page.get_by_role("button", name="Refiner").click()
    box = studio.box("refiner_model")
    box.click()
    studio.page.get_by_role("option", name="starter").click()
    studio.generate(prompt="refined by itself", steps=4)
    asked = studio.until("refined by itself", "done")["request"]
    assert asked["refiner"]["model"] == "starter" and asked["refiner"]["switch_at"] == 0.8
