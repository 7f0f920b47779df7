"""The attention grammar: every row of the reference's table, its bugs mended, and hostile input."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modules.prompts.syntax import Break, Part, Weighted, attention

BREAK = "BREAK"
Row = list[tuple[str, float]]

TABLE: dict[str, Row] = {
    "": [("", 1.0)],
    "normal text": [("normal text", 1.0)],
    "an (important) word": [("an ", 1.0), ("important", 1.1), (" word", 1.0)],
    "(unbalanced": [("unbalanced", 1.1)],
    "(literal\\]": [("literal]", 1.1)],
    "\\(literal\\]": [("(literal]", 1.0)],
    "(unnecessary)(parens)": [("unnecessaryparens", 1.1)],
    "a (((house:1.3)) [on] a (hill:0.5), sun, (((sky))).": [
        ("a ", 1.0),
        ("house", 1.573),
        (" ", 1.1),
        ("on", 1.0),
        (" a ", 1.1),
        ("hill", 0.55),
        (", sun, ", 1.1),
        ("sky", 1.4641),
        (".", 1.1),
    ],
    "(a)": [("a", 1.1)],
    "((a))": [("a", 1.21)],
    "(((a)))": [("a", 1.331)],
    "[a]": [("a", 0.909091)],
    "[[a]]": [("a", 0.826446)],
    "(a:1.5)": [("a", 1.5)],
    "(a:0)": [("a", 0.0)],
    "(a:-1)": [("a", -1.0)],
    "(a:+1.2)": [("a", 1.2)],
    "((a:1.5))": [("a", 1.65)],
    "[a:1.5]": [("a:1.5", 0.909091)],
    "(a:1.5": [("a:1.5", 1.1)],
    "a:1.5)": [("a:1.5)", 1.0)],
    "(a:b)": [("a:b", 1.1)],
    "(a:.5)": [("a", 0.5)],
    "(a : 1.5 )": [("a ", 1.5)],
    "(a, b:1.2)": [("a, b", 1.2)],
    "()": [("", 1.0)],
    "[]": [("", 1.0)],
    "a) b": [("a) b", 1.0)],
    "a] b": [("a] b", 1.0)],
    "\\\\": [("\\", 1.0)],
    "\\a": [("a", 1.0)],
    "a\\: b": [("a: b", 1.0)],
    "BREAK": [("", 1.0), (BREAK, -1), ("", 1.0)],
    "a BREAK b": [("a", 1.0), (BREAK, -1), ("b", 1.0)],
    "a  BREAK  b, c": [("a", 1.0), (BREAK, -1), ("b, c", 1.0)],
    "aBREAKb": [("aBREAKb", 1.0)],
    "a:b": [("a:b", 1.0)],
    "{a}": [("{a}", 1.0)],
    "<lora:x:1>": [("<lora:x:1>", 1.0)],
    "(a:1e3)": [("a:1e3", 1.1)],
    "a (b) (c:1.1) d": [("a ", 1.0), ("b", 1.1), (" ", 1.0), ("c", 1.1), (" d", 1.0)],
    "(a)b(c)": [("a", 1.1), ("b", 1.0), ("c", 1.1)],
    "(red:1.2) and (blue:1.2)": [("red", 1.2), (" and ", 1.0), ("blue", 1.2)],
    "(a (b:1.2) c)": [("a ", 1.1), ("b", 1.32), (" c", 1.1)],
}

# What the reference gets wrong: it raises on the first three, and loses BREAK in brackets.
MENDED: dict[str, Row] = {
    "(a:1.1.1)": [("a:1.1.1", 1.1)],
    "(a:.)": [("a:.", 1.1)],
    "(a:...) b": [("a:...", 1.1), (" b", 1.0)],
    "(a BREAK b:1.2)": [("a", 1.2), (BREAK, -1), ("b", 1.2)],
    "(a:-1) BREAK b": [("a", -1.0), ("", 1.0), (BREAK, -1), ("b", 1.0)],
    "((BREAK))": [("", 1.21), (BREAK, -1), ("", 1.21)],
    f"(a:{'9' * 400})": [(f"a:{'9' * 400}", 1.1)],
}

MORE: dict[str, Row] = {
    "BREAK BREAK": [("", 1.0), (BREAK, -1), ("", 1.0), (BREAK, -1), ("", 1.0)],
    "a\nBREAK\n\nb": [("a", 1.0), (BREAK, -1), ("b", 1.0)],
    "break_BREAK_": [("break_BREAK_", 1.0)],
    "(a [b) c]": [("a ", 1.1), ("b", 1.0), (" c", 1 / 1.1)],
    "\\": [("", 1.0)],
    "\\[a\\] \\(b\\)": [("[a] (b)", 1.0)],
    "((a": [("a", 1.21)],
    "[a (b": [("a ", 1 / 1.1), ("b", 1.0)],
    "(고양이:1.3), 🐱": [("고양이", 1.3), (", 🐱", 1.0)],
}


def rows(parts: list[Part]) -> Row:
    return [(BREAK, -1) if isinstance(part, Break) else (part.text, round(part.weight, 6)) for part in parts]


@pytest.mark.parametrize(("prompt", "expected"), [*TABLE.items(), *MENDED.items(), *MORE.items()])
def test_a_prompt_is_parsed_as_the_table_says(prompt: str, expected: Row) -> None:
    assert rows(attention(prompt)) == [(text, round(weight, 6)) for text, weight in expected]


@given(st.text(st.sampled_from("ab ,:.1-+()[]\\\n") | st.characters(), max_size=60))
def test_no_text_is_an_error(prompt: str) -> None:
    parts = attention(prompt)
    assert parts
    assert all(isinstance(part, Break) or math.isfinite(part.weight) for part in parts)


@given(st.text(st.characters(exclude_characters="()[]\\:"), max_size=60).filter(lambda text: "BREAK" not in text))
def test_text_without_syntax_stays_as_it_is(prompt: str) -> None:
    assert attention(prompt) == [Weighted(prompt)]


@given(st.text(max_size=40).filter(lambda text: "BREAK" not in text))
def test_backslashes_make_any_text_literal(text: str) -> None:
    escaped = "".join("\\" + letter if letter in "()[]\\" else letter for letter in text)
    assert "".join(part.text for part in attention(escaped) if isinstance(part, Weighted)) == text


@pytest.mark.parametrize(
    "hostile",
    ["(a" * 50_000, "(" * 50_000 + ")" * 50_000, " " * 200_000, "\\a" * 50_000, ": " * 50_000, ":" + "1" * 100_000],
    ids=["open", "nested", "spaces", "letters", "colons", "digits"],
)
def test_the_time_is_in_proportion_to_the_length(hostile: str) -> None:
    """Each takes a fraction of a second; were the time quadratic, this test would take minutes."""
    assert attention(hostile)
