"""The prompt language through the whole engine on the starter model: what the pictures show."""

from __future__ import annotations

import pytest

from modules.engine.engine import Engine
from modules.settings import ROOT
from tests.fake_models import engine_on
from tests.test_route import LOOKS, corners, make, middle

STEPS = 8


@pytest.fixture(scope="module")
def starter() -> Engine:
    return engine_on(ROOT)


def bytes_of(engine: Engine, prompt: str) -> bytes:
    return make(engine, prompt, steps=3).tobytes()


def test_what_is_said_at_every_step_alike_is_the_plain_prompt_bit_for_bit(starter: Engine) -> None:
    red, blue = (bytes_of(starter, f"a {colour} circle") for colour in ("red", "blue"))
    assert bytes_of(starter, "a [red:blue:0] circle") == blue
    assert bytes_of(starter, "a [red:blue:1.0] circle") == red
    assert bytes_of(starter, "a [red|red] circle") == red
    assert bytes_of(starter, "a [red|blue] circle") not in (red, blue)


@pytest.mark.parametrize(("when", "seen"), [("0.1", "green"), ("0.8", "red")])
def test_colours_are_settled_by_what_is_said_early(starter: Engine, when: str, seen: str) -> None:
    image = make(starter, f"a [red:green:{when}] circle on a blue background", steps=STEPS)
    assert LOOKS[seen](middle(image)), f"the middle is {middle(image)}"
    assert sum(LOOKS["blue"](corner) for corner in corners(image)) >= 3


def test_and_shows_what_both_prompts_say(starter: Engine) -> None:
    alone, both = (
        make(starter, prompt, steps=STEPS) for prompt in ("a red circle", "a red circle AND a blue background")
    )
    assert LOOKS["red"](middle(alone)) and LOOKS["red"](middle(both)), f"{middle(alone)}, {middle(both)}"
    blue = [sum(LOOKS["blue"](corner) for corner in corners(image)) for image in (alone, both)]
    assert blue[0] == 0 and blue[1] >= 3, f"{corners(alone)}, {corners(both)}"


def test_a_prompt_at_negative_weight_is_kept_away_from(starter: Engine) -> None:
    plain, away = (
        make(starter, f"a circle on a white background{more}", steps=STEPS)
        for more in ("", " AND a circle on a white background:-0.5 AND a circle on a blue background:0.5")
    )
    white = [sum(LOOKS["white"](corner) for corner in corners(image)) for image in (plain, away)]
    assert white[0] >= 3 and white[1] == 0, f"{corners(plain)}, {corners(away)}"


def test_words_that_change_go_with_a_control(starter: Engine) -> None:
    """The control is told the rows of each step: with AND there are more of them than with one prompt."""
    name = starter.inputs.keep(make(starter, "a red circle", steps=3))
    unit = {"image": name, "preprocessor": "canny", "model": "starter-canny", "mode": "control", "end": 0.5}
    prompt = "a [red:green:0.1] circle AND a circle on a blue background"
    free, held = (make(starter, prompt, steps=STEPS, controls=units) for units in ([], [unit]))
    assert LOOKS["green"](middle(held)), f"the middle is {middle(held)}"
    assert free.tobytes() != held.tobytes()
