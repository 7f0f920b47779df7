"""Learned words among the tokens of a prompt."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from modules.prompts.chunks import PLACEHOLDER, SIZE, Chunk, chunks, count
from modules.prompts.embeddings import LearnedWords
from modules.prompts.syntax import attention
from modules.prompts.vocabulary import ClipTokenizer


@pytest.fixture(scope="module")
def clip() -> ClipTokenizer:
    return ClipTokenizer()


class Prompts:
    """Reads prompts with some names, each of so many vectors."""

    def __init__(self, clip: ClipTokenizer, names: Mapping[str, int]) -> None:
        self.clip = clip
        self.words = LearnedWords(names, clip, lambda name: names[name])

    def read(self, prompt: str, backtrack: int = 20) -> list[Chunk]:
        return chunks(attention(prompt), self.clip, backtrack, learned=self.words)

    def found(self, prompt: str) -> list[str]:
        """The names in order, each once for each time it stands there."""
        return [name for chunk in self.read(prompt) for _, name, row in chunk.learned if row == 0]

    def count(self, prompt: str) -> tuple[int, int]:
        return count(prompt, self.clip, learned=self.words)


def test_a_name_takes_a_place_for_each_of_its_vectors(clip: ClipTokenizer) -> None:
    (chunk,) = Prompts(clip, {"my-style": 3}).read("a cat, my-style, at night")
    before, after = clip("a cat,"), clip(", at night")
    assert chunk.ids[1:].index(49407) == len(before) + 3 + len(after)
    assert chunk.ids[1 : 1 + len(before)] == tuple(before)
    first = 1 + len(before)
    assert chunk.learned == tuple((first + row, "my-style", row) for row in range(3))
    assert chunk.ids[first : first + 3] == (PLACEHOLDER,) * 3
    assert chunk.ids[first + 3 : first + 3 + len(after)] == tuple(after)


def test_without_names_nothing_changes(clip: ClipTokenizer) -> None:
    prompt = "a (red:1.2) circle, " * 30
    assert Prompts(clip, {"other": 1}).read(prompt) == chunks(attention(prompt), clip)


@pytest.mark.parametrize("prompt", ["my-style", "MY-STYLE", "a my-Style b", "(my-style:1.3)", "my - style"])
def test_case_and_spaces_are_the_tokenizers_business(clip: ClipTokenizer, prompt: str) -> None:
    assert Prompts(clip, {"My-Style": 1}).found(prompt) == ["My-Style"]


@pytest.mark.parametrize("prompt", ["my-styles", "mystyle", "my style", "(my)-style", "amy-style"])
def test_what_is_written_otherwise_is_text(clip: ClipTokenizer, prompt: str) -> None:
    assert Prompts(clip, {"my-style": 1}).found(prompt) == []


def test_the_longest_name_wins(clip: ClipTokenizer) -> None:
    prompts = Prompts(clip, {"bad": 1, "bad hands": 1, "bad hands 5": 1})
    assert prompts.found("bad hands 5, bad hands, bad dog") == ["bad hands 5", "bad hands", "bad"]


def test_a_name_that_cannot_be_used_gives_way_to_a_shorter_one_and_then_to_text(clip: ClipTokenizer) -> None:
    assert Prompts(clip, {"bad": 1, "bad hands": 0}).found("bad hands") == ["bad"]
    assert Prompts(clip, {"bad": 0, "bad hands": 76}).found("bad hands") == []


def test_vectors_are_asked_for_only_when_a_prompt_holds_the_name(clip: ClipTokenizer) -> None:
    asked: list[str] = []

    def vectors(name: str) -> int:
        asked.append(name)
        return 1

    words = LearnedWords(["one", "two", "  "], clip, vectors)
    chunks(attention("two circles"), clip, learned=words)
    assert asked == ["two"]


def test_it_has_the_weight_of_its_brackets(clip: ClipTokenizer) -> None:
    (chunk,) = Prompts(clip, {"style": 2}).read("a (style:1.5)")
    assert [chunk.weights[place] for place, _, _ in chunk.learned] == [1.5, 1.5]


def test_at_weight_0_it_is_left_out(clip: ClipTokenizer) -> None:
    prompts = Prompts(clip, {"style": 2})
    assert prompts.read("a cat (style:0)") == prompts.read("a cat")
    assert prompts.found("a cat (style:0), style") == ["style"]
    assert prompts.count("a cat (style:0)") == (2, 75)
    assert prompts.words.within("(style:0)") == ([], [])
    (kept,) = prompts.read("a (cat:0)")
    assert kept.weights[2] == 0, "an ordinary word stays where it is"


def test_it_is_never_divided_between_chunks(clip: ClipTokenizer) -> None:
    first, second = Prompts(clip, {"style": 8}).read("dog " * 70 + "style")
    assert not first.learned
    assert first.ids[71] == 49407
    assert second.learned == tuple((row + 1, "style", row) for row in range(8))


def test_it_fills_a_chunk_to_the_last_place(clip: ClipTokenizer) -> None:
    prompts = Prompts(clip, {"style": 5})
    (only,) = prompts.read("dog " * 70 + "style")
    assert only.learned[-1] == (SIZE, "style", 4)
    (whole,) = Prompts(clip, {"style": SIZE}).read("style")
    assert len(whole.learned) == SIZE


def test_a_phrase_after_a_comma_moves_on_with_its_learned_word(clip: ClipTokenizer) -> None:
    first, second = Prompts(clip, {"style": 2}).read("dog " * 68 + ", a style dog dog dog dog")
    assert not first.learned
    assert second.learned == ((2, "style", 0), (3, "style", 1))


def test_the_counter_counts_vectors(clip: ClipTokenizer) -> None:
    prompts = Prompts(clip, {"my-style": 10})
    assert prompts.count("a my-style b") == (12, 75)
    assert prompts.count("a my-style b " * 7) == (75 + 11, 150), "the seventh does not fit behind its a"
    assert count("a my-style b", clip) == (5, 75)


def test_names_of_a_text_are_told_in_order_and_once(clip: ClipTokenizer) -> None:
    words = Prompts(clip, {"style": 1, "bad hands": 2, "bad": 0, "dog": 0}).words
    assert words.within("(bad hands:0.5) BREAK style, bad hands") == (["bad hands", "style"], [])
    assert words.within("a dog, bad, style, dog") == (["style"], ["dog", "bad"])
    assert words.within("") == ([], [])
