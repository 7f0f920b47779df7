"""AND: every row of the reference's table, and hostile input."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modules.prompts.composed import Composed, composed

Parts = list[tuple[str, float]]

TABLE: dict[str, Parts] = {
    "a AND b": [("a", 1.0), (" b", 1.0)],
    "a AND b:2": [("a", 1.0), (" b", 2.0)],
    "a :1.2 AND b : 0.5": [("a", 1.2), (" b", 0.5)],
    "a:1.2": [("a", 1.2)],
    "a: 1.2 AND": [("a", 1.2), ("", 1.0)],
    "a AND b AND a": [("a", 1.0), (" b", 1.0), (" a", 1.0)],
    "aANDb": [("aANDb", 1.0)],
    "a and b": [("a and b", 1.0)],
    "a AND b:-1": [("a", 1.0), (" b", -1.0)],
    "a AND b:.5": [("a", 1.0), (" b", 0.5)],
    "a AND b:1.": [("a", 1.0), (" b", 1.0)],
    "(a:1.2) AND b": [("(a:1.2)", 1.0), (" b", 1.0)],
    "a\nAND b:1.5": [("a", 1.0), (" b", 1.5)],
    "cat:2 dog": [("cat:2 dog", 1.0)],
    "a AND :2": [("a", 1.0), ("", 2.0)],
    "a AND b:+1": [("a", 1.0), (" b", 1.0)],
}

MORE: dict[str, Parts] = {
    "": [("", 1.0)],
    "a:1.1.1": [("a:1.1.1", 1.0)],
    "a:1e3": [("a:1e3", 1.0)],
    f"a:{'9' * 400}": [(f"a:{'9' * 400}", 1.0)],
    "a: b :2": [("a: b", 2.0)],
    "고양이 AND 🐱:0.5": [("고양이", 1.0), (" 🐱", 0.5)],
}


@pytest.mark.parametrize(("prompt", "parts"), [*TABLE.items(), *MORE.items()])
def test_a_prompt_has_the_parts_of_the_table(prompt: str, parts: Parts) -> None:
    assert composed(prompt) == tuple(Composed(text, weight) for text, weight in parts)


@given(st.text(st.sampled_from("AND ab:.1-+\n") | st.characters(), max_size=60))
def test_no_text_is_an_error(prompt: str) -> None:
    parts = composed(prompt)
    assert parts and all(math.isfinite(part.weight) for part in parts)


@pytest.mark.parametrize("hostile", [": " * 100_000, " " * 200_000 + "x", "AND " * 50_000, ":" + "1" * 100_000])
def test_the_time_is_in_proportion_to_the_length(hostile: str) -> None:
    """Each takes a fraction of a second; were the time quadratic, this test would take minutes."""
    assert composed(hostile)
