"""What is said to be odd about a prompt, and where; what is meant as it stands is not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modules.prompts.oddities import oddities

ODD: dict[str, list[tuple[str, int]]] = {
    "a (red circle": [("open", 3)],
    "a [[red] circle": [("open", 3)],
    "a red) circle]": [("closed", 6), ("closed", 14)],
    "(a:1.1.1)": [("weight", 1)],
    "a (b:1,2) (c:1e3) (d: 50%)": [("weight", 3), ("weight", 11), ("weight", 19)],
    "a:1.5)": [("closed", 6)],
    "[a:b:half]": [("when", 1)],
    "[a:1,5]": [("when", 1)],
    "x [a|b:1.1]": [("mixed", 3)],
    "[a:b:c:3]": [("colons", 1)],
    "a photo, aspect 16:9": [("whole", 19)],
    "<lora:a:1> a photo, 16:9 <lora:b:1>": [("whole", 23)],
    "((a": [("open", 1), ("open", 2)],
}

MEANT = (
    "",
    "a (red:1.2) [circle] (((b))) [c:d:0.5] [e:5] [f::.5] [g|h|] BREAK i AND j:0.5",
    r"a \(literal\] \\ and a:b",
    "(konosuba: something)",
    "[re:zero]",
    "(a:-1) (b: +.5 )",
    "[a:[b:c:6]:3] [(d:1.2):(e:1.3):.5]",
    "<lora:style:0.8> cat:2 dog",
    "[a <lora:b:c:d> b:c:3] (e <lora:f:1,5>)",
    "(고양이:1.3), 🐱",
)


@pytest.mark.parametrize(("prompt", "expected"), ODD.items())
def test_it_says_what_is_odd_and_where(prompt: str, expected: list[tuple[str, int]]) -> None:
    assert [(each.key, each.place) for each in oddities(prompt)] == expected


def test_it_shows_the_place_and_the_value() -> None:
    (odd,) = oddities("a small (red:1,5)  circle on a blue background")
    assert odd.values == {"near": "(red:1,5) circle on a b…", "value": "1,5"}


@pytest.mark.parametrize("prompt", MEANT)
def test_what_is_meant_is_not_odd(prompt: str) -> None:
    assert oddities(prompt) == []


def test_a_negative_prompt_joins_and_weighs_nothing() -> None:
    assert [(each.key, each.place) for each in oddities("a AND b AND c:2", negative=True)] == [("and_negative", 3)]
    assert oddities("a photo, 16:9", negative=True) == []


@given(st.text(st.sampled_from("AND ab:|,.15[]()\\\n") | st.characters(), max_size=80), st.booleans())
def test_no_text_is_an_error(prompt: str, negative: bool) -> None:
    assert all(0 < each.place <= len(prompt) + 1 for each in oddities(prompt, negative))


@pytest.mark.parametrize(
    "hostile", ["(" * 50_000, ")" * 50_000, "(" * 25_000 + ")" * 25_000, "[:" * 50_000, "[" + ":|" * 50_000 + "]"]
)
def test_the_time_is_in_proportion_to_the_length(hostile: str) -> None:
    """Each takes a fraction of a second; were the time quadratic, this test would take minutes."""
    oddities(hostile)


def test_tags_behind_are_not_shown() -> None:
    assert oddities("a (red circle <lora:x:1>")[0].values["near"] == "(red circle"
