"""Chunks: 75 tokens between begin and end, cut at commas and at BREAK."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modules.prompts.chunks import BOS, COMMA, EOS, SIZE, Chunk, chunks, count
from modules.prompts.syntax import Break, Part, Weighted, attention


def tokenize(text: str) -> list[int]:
    """One token per word, the comma's its own: the word's number, or 1000."""
    words = text.replace(",", " , ").split()
    return [COMMA if word == "," else int(word) if word.isdigit() else 1000 for word in words]


def numbers(first: int, last: int) -> str:
    return " ".join(str(number) for number in range(first, last + 1))


def inner(chunk: Chunk) -> list[int]:
    """The tokens before the first end token."""
    return list(chunk.ids[1 : chunk.ids.index(EOS)])


def cut(prompt: str, backtrack: int = 20) -> list[list[int]]:
    return [inner(chunk) for chunk in chunks(attention(prompt), tokenize, backtrack)]


def test_an_empty_prompt_is_one_empty_chunk() -> None:
    assert chunks(attention(""), tokenize) == [Chunk((BOS,) + (EOS,) * 76, (1.0,) * 77)]


def test_a_chunk_is_begin_tokens_end() -> None:
    (chunk,) = chunks(attention("1 (2:1.5) [3]"), tokenize)
    assert chunk.ids == (BOS, 1, 2, 3) + (EOS,) * 73
    assert chunk.weights == pytest.approx((1.0, 1.0, 1.5, 1 / 1.1) + (1.0,) * 73)


def test_the_pad_token_follows_the_first_end() -> None:
    (chunk,) = chunks(attention("1 2"), tokenize, pad=0)
    assert chunk.ids == (BOS, 1, 2, EOS) + (0,) * 73
    (full,) = chunks(attention(numbers(1, 75)), tokenize, pad=0)
    assert full.ids[-1] == EOS


def test_seventy_five_tokens_fill_a_chunk() -> None:
    assert [len(part) for part in cut(numbers(1, 75))] == [75]
    assert [len(part) for part in cut(numbers(1, 76))] == [75, 1]
    assert [len(part) for part in cut(numbers(1, 151))] == [75, 75, 1]


def test_a_full_chunk_is_cut_after_a_comma_near_its_end() -> None:
    first, second = cut(f"{numbers(1, 60)}, {numbers(61, 80)}")
    assert first == [*range(1, 61), COMMA]
    assert second == [*range(61, 81)]


@pytest.mark.parametrize(("before", "first"), [(54, 75), (55, 56), (73, 74), (74, 75)])
def test_only_the_last_twenty_tokens_are_looked_back_at(before: int, first: int) -> None:
    lengths = [len(part) for part in cut(f"{numbers(1, before)}, {numbers(1, 90 - before)}")]
    assert lengths == [first, 91 - first]


def test_a_comma_that_comes_when_the_chunk_is_full_begins_the_next() -> None:
    first, second = cut(f"{numbers(1, 60)}, {numbers(61, 74)}, 5")
    assert len(first) == 75
    assert second == [COMMA, 5]


def test_looking_back_can_be_turned_off() -> None:
    assert [len(part) for part in cut(f"{numbers(1, 60)}, {numbers(61, 80)}", backtrack=0)] == [75, 6]


def test_the_weights_move_with_their_tokens() -> None:
    first, second = chunks(attention(f"{numbers(1, 60)}, ({numbers(61, 80)}:1.5)"), tokenize)
    assert first.weights == (1.0,) * 77
    assert second.weights == (1.0,) + (1.5,) * 20 + (1.0,) * 56


def test_break_closes_the_chunk() -> None:
    assert cut("1 BREAK 2") == [[1], [2]]
    assert cut("BREAK 2") == [[], [2]]
    assert cut("1 BREAK") == [[1]]
    assert cut("1 BREAK BREAK 2") == [[1], [], [2]]
    assert cut("(1 BREAK 2:1.4)") == [[1], [2]]


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("", (0, 75)),
        ("1 2 3", (3, 75)),
        (numbers(1, 75), (75, 75)),
        (numbers(1, 76), (76, 150)),
        ("1 BREAK 2", (76, 150)),
        ("1 BREAK", (75, 75)),
        (f"{numbers(1, 60)}, {numbers(61, 80)}", (95, 150)),
        ("(1 2:1.5)", (2, 75)),
    ],
)
def test_the_counter_counts_closed_chunks_as_full(prompt: str, expected: tuple[int, int]) -> None:
    assert count(prompt, tokenize) == expected


tokens = st.lists(st.just(",") | st.integers(1, 999).map(str), max_size=120).map(" ".join)
parts = st.lists(st.builds(Weighted, tokens, st.floats(-2, 2)) | st.just(Break()), max_size=6)


@given(parts, st.integers(0, 74))
def test_no_token_is_lost_whatever_the_prompt(given_parts: list[Part], backtrack: int) -> None:
    made = chunks(given_parts, tokenize, backtrack)
    assert all(len(chunk.ids) == len(chunk.weights) == SIZE + 2 for chunk in made)
    expected = [
        (token, part.weight) for part in given_parts if isinstance(part, Weighted) for token in tokenize(part.text)
    ]
    got = [(token, weight) for chunk in made for token, weight in zip(inner(chunk), chunk.weights[1:], strict=False)]
    assert got == expected
