r"""What is said at which step: every row of the reference's tables, and hostile input."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modules.prompts.schedule import schedule

Entries = list[tuple[int, str]]  # (last step, text)


def turns(*options: str) -> Entries:
    return [(step, options[(step - 1) % len(options)]) for step in range(1, 11)]


TEN: dict[str, Entries] = {
    "a [[[b]]:2]": [(2, "a "), (10, "a [[b]]")],
    "[(a:2):3]": [(3, ""), (10, "(a:2)")],
    "a [b : c : 1] d": [(1, "a b  d"), (10, "a  c  d")],
    "a[b:[c:d:2]:1]e": [(1, "abe"), (2, "ace"), (10, "ade")],
    "a [unbalanced": [(10, "a [unbalanced")],
    "a [b:.5] c": [(5, "a  c"), (10, "a b c")],
    "a [{b|d{:.5] c": [(10, "a [{b|d{:.5] c")],
    "((a][:b:c [d:3]": [(3, "((a][:b:c "), (10, "((a][:b:c d")],
    "[a|(b:1.1)]": turns("a", "(b:1.1)"),
    "[fe|]male": turns("female", "male"),
    "[fe|||]male": turns("female", "male", "male", "male"),
    "test": [(10, "test")],
    "a [b:3]": [(3, "a "), (10, "a b")],
    "a [b: 3]": [(3, "a "), (10, "a b")],
    "a [b::3]": [(3, "a b"), (10, "a ")],
    "a [b:c:3]": [(3, "a b"), (10, "a c")],
    "[b:c:0.5]": [(5, "b"), (10, "c")],
    "[b:c:.5]": [(5, "b"), (10, "c")],
    "[b:c:1.0]": [(10, "b")],
    "[b:c:1]": [(1, "b"), (10, "c")],
    "[b:c:0]": [(10, "c")],
    "[b:c:0.0]": [(10, "c")],
    "[b:c:20]": [(10, "b")],
    "[b:c:2.0]": [(10, "b")],
    "[:c:3]": [(3, ""), (10, "c")],
    "[b::3]": [(3, "b"), (10, "")],
    "[b:3]": [(3, ""), (10, "b")],
    "[a|b]": turns("a", "b"),
    "[a|b|c]": turns("a", "b", "c"),
    "[a|b:1.1]": [(10, "[a|b:1.1]")],
    "[a|b] [c|d|e]": turns("a c", "b d", "a e", "b c", "a d", "b e"),
    "[a:b|c:3]": [(10, "[a:b|c:3]")],
    "[[a|b]:c:3]": [(1, "a"), (2, "b"), (3, "a"), (10, "c")],
    "[(a:1.2):(b:1.3):0.5]": [(5, "(a:1.2)"), (10, "(b:1.3)")],
    "[a:b:-1]": [(10, "b")],
    "[a:b:x]": [(10, "[a:b:x]")],
    "a [b] c": [(10, "a [b] c")],
    "[a:b]": [(10, "[a:b]")],
    r"\[a:b:3\]": [(10, r"\[a:b:3\]")],
    r"[a\:x:b:3]": [(3, r"a\:x"), (10, "b")],
    "(a:[b:c:3])": [(3, "(a:b)"), (10, "(a:c)")],
    "[a:[b:c:6]:3]": [(3, "a"), (6, "b"), (10, "c")],
    "[a|]": turns("a", ""),
    "[|a]": turns("", "a"),
    "[a||b]": turns("a", "", "b"),
    "[a, b:c, d:0.25], e": [(2, "a, b, e"), (10, "c, d, e")],
    "<lora:x:[0:1:0.5]>": [(5, "<lora:x:0>"), (10, "<lora:x:1>")],
}

MORE: dict[str, Entries] = {
    "": [(10, "")],
    "[a:b:+3 ]": [(3, "a"), (10, "b")],
    "[a:b:1e1] [c:d:2e-1]": [(10, "a d")],
    "[a:b:9" + "9" * 400 + "]": [(10, "a")],
    "[a:b:c:3]": [(10, "[a:b:c:3]")],
    "[x [a:b:3] y": [(3, "[x a y"), (10, "[x b y")],
    "[x [a:b:3] y:z:5]": [(3, "x a y"), (5, "x b y"), (10, "z")],
    "[(a:b:c):d:3]": [(10, "[(a:b:c):d:3]")],
    "[a) b:c:3] [d:e:3]": [(3, "[a) b:c:3] d"), (10, "[a) b:c:3] e")],
    "[[a:b]:c:3] [d:e:3]": [(3, "[[a:b]:c:3] d"), (10, "[[a:b]:c:3] e")],
    "([a|b]:1.2)": turns("(a:1.2)", "(b:1.2)"),
    "((a)|b)": [(10, "((a)|b)")],
    "a | b [c:d:3]": [(3, "a | b c"), (10, "a | b d")],
    "[고양이:🐱:5]": [(5, "고양이"), (10, "🐱")],
    "a\n[b:c:\n3\n]\\": [(3, "a\nb\\"), (10, "a\nc\\")],
}

# Ten steps, then ten over the picture: prompt -> (first pass, the other, the other with old timelines).
PASSES: dict[str, tuple[Entries, Entries, Entries]] = {
    "a [b:.5] c": ([(5, "a  c"), (10, "a b c")], [(10, "a b c")], [(5, "a  c"), (10, "a b c")]),
    "a [b:1.5] c": ([(10, "a  c")], [(5, "a  c"), (10, "a b c")], [(1, "a  c"), (10, "a b c")]),
    "[a:b:5]": ([(5, "a"), (10, "b")], [(10, "b")], [(5, "a"), (10, "b")]),
    "[a:b:15]": ([(10, "a")], [(5, "a"), (10, "b")], [(10, "a")]),
    "[a|b]": (turns("a", "b"), turns("a", "b"), turns("a", "b")),
    "[a:b:0.5]": ([(5, "a"), (10, "b")], [(10, "b")], [(5, "a"), (10, "b")]),
    "[a:b:1.0]": ([(10, "a")], [(10, "b")], [(1, "a"), (10, "b")]),
    "[a:b:2.0]": ([(10, "a")], [(10, "a")], [(2, "a"), (10, "b")]),
}


def spread(entries: Entries) -> list[str]:
    """Return the text of each step."""
    texts: list[str] = []
    for last, text in entries:
        texts += [text] * (last - len(texts))
    return texts


@pytest.mark.parametrize(("prompt", "entries"), [*TEN.items(), *MORE.items()])
def test_a_prompt_says_what_the_table_says(prompt: str, entries: Entries) -> None:
    assert list(schedule(prompt, 10)) == spread(entries)


@pytest.mark.parametrize(("prompt", "passes"), PASSES.items())
def test_a_second_pass_goes_on_counting(prompt: str, passes: tuple[Entries, Entries, Entries]) -> None:
    first, second, old = (spread(each) for each in passes)
    assert list(schedule(prompt, 10)) == first
    assert list(schedule(prompt, 10, before=10)) == second
    assert list(schedule(prompt, 10, before=10, old=True)) == old


@given(st.text(st.sampled_from("ab :|.15[]()\\\n") | st.characters(), max_size=80), st.integers(1, 5))
def test_no_text_is_an_error(prompt: str, steps: int) -> None:
    assert len(schedule(prompt, steps)) == steps


@given(st.text(st.characters(exclude_characters="[]"), max_size=60))
def test_text_without_square_brackets_stays_as_it_is(prompt: str) -> None:
    assert schedule(prompt, 3) == (prompt,) * 3


@pytest.mark.parametrize(
    "hostile",
    [
        "[" * 10_000,
        "]" * 10_000,
        "(" * 5_000 + ")" * 5_000,
        "[a:" * 10_000,
        "[" * 50_000 + "a:b:3" + "]" * 50_000,
        "[a:" * 20_000 + "b" + ":3]" * 20_000,
        "[a|" * 20_000 + "]" * 20_000,
        ":|" * 50_000,
        "[" + " " * 100_000 + ":1" + " " * 100_000 + "x]",
        "\\" * 100_000,
    ],
    ids=["open", "closed", "round", "colons", "square", "timed", "turns", "dividers", "spaces", "backslashes"],
)
def test_the_time_is_in_proportion_to_the_length(hostile: str) -> None:
    """Each takes a fraction of a second; were the time quadratic, this test would take minutes."""
    assert len(schedule(hostile, 3)) == 3
