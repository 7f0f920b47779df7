"""Learned words and hypernetworks from the page: the counter counts what is read, and the picture shows it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, expect

from tests.browser.conftest import DESK, PATIENCE, Studio, serving
from tests.floors import ROOT
from tests.test_route import LOOKS, corners

pytestmark = pytest.mark.browser
FITTED = ROOT / "tests" / "data"


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Serve the starter model with the small networks that were fitted to it."""
    data: Path = tmp_path_factory.mktemp("words")
    command = [str(ROOT / "webui.py"), "--port", "0", "--data-dir", str(data), "--model-root", str(FITTED)]
    with serving(command, data) as found:
        yield found


@pytest.fixture
def studio(browser: Browser, address: str) -> Iterator[Studio]:
    context = browser.new_context(**DESK)
    studio = Studio(context.new_page(), address).open()
    yield studio
    context.close()
    assert studio.faults == []


def counter(studio: Studio, text: str) -> Locator:
    return studio.page.locator(".counter").filter(has_text=text).first


def test_the_counter_counts_vectors_and_no_tags(studio: Studio) -> None:
    studio.fill(prompt="a red circle, yellow-stage <hypernet:pink-stage:0.5>", negative_prompt="yellow-stages")
    expect(counter(studio, "8/75")).to_be_visible(timeout=PATIENCE)
    expect(counter(studio, "3/75")).to_be_visible(timeout=PATIENCE)


def test_what_is_odd_about_a_prompt_is_said_below_it(studio: Studio) -> None:
    notes = studio.page.locator("#txt2img .prompt-box > .odd")
    studio.fill(prompt="a (red circle <lora:nowhere:1>", negative_prompt="blue) AND green")
    expect(notes.nth(0)).to_contain_text("Character 3, “(red circle”: ( is never closed", timeout=PATIENCE)
    expect(notes.nth(0)).to_contain_text("There is no LoRA named nowhere.")
    expect(notes.nth(1)).to_contain_text("Character 5: ) closes nothing", timeout=PATIENCE)
    expect(notes.nth(1)).to_contain_text("AND joins no prompts")
    studio.fill(prompt="a (red:1.2) circle", negative_prompt="blue")
    expect(notes.nth(0)).to_be_hidden(timeout=PATIENCE)
    expect(notes.nth(1)).to_be_hidden(timeout=PATIENCE)


def test_the_picture_shows_what_the_word_learned(studio: Studio) -> None:
    studio.generate(prompt="a white circle on a blue background, yellow-stage", seed=1, steps=10)
    picture = studio.picture()
    assert sum(LOOKS["yellow"](corner) for corner in corners(picture)) >= 3, corners(picture)
