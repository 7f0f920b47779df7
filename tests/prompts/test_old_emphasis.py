"""Emphasis among the tokens, as A1111 had it until 2022, and how a way of reading becomes chunks."""

import pytest

from modules.prompts.chunks import BOS, EOS, chunks
from modules.prompts.cutting import USUAL, Cutting
from modules.prompts.embeddings import LearnedWords
from modules.prompts.emphasis import EMPHASES
from modules.prompts.old_emphasis import old_chunk, old_count
from modules.prompts.syntax import attention
from modules.prompts.vocabulary import ClipTokenizer

OLD = Cutting(old=True)


@pytest.fixture(scope="module")
def tokenizer() -> ClipTokenizer:
    return ClipTokenizer()


def read(tokenizer: ClipTokenizer, prompt: str) -> list[tuple[str, float]]:
    chunk = old_chunk(prompt, tokenizer)
    assert len(chunk.ids) == len(chunk.weights) == 77 and chunk.ids[0] == BOS
    inside = [(token, weight) for token, weight in zip(chunk.ids, chunk.weights, strict=True) if token < BOS]
    return [(tokenizer.text([token]), round(weight, 4)) for token, weight in inside]


@pytest.mark.parametrize(
    ("prompt", "said"),
    [
        ("a (red) house", [("a", 1), ("red", 1.1), ("house", 1)]),
        ("a ((red)) house", [("a", 1), ("red", 1.21), ("house", 1)]),
        ("a [red] house", [("a", 1), ("red", 0.9091), ("house", 1)]),
        ("a (red house", [("a", 1), ("red", 1.1), ("house", 1.1)]),
        ("a red) house", [("a", 1), ("red", 1), ("house", 0.9091)]),
        ("(red:1.5)", [("red", 1.1), (":", 1.1), ("1", 1.1), (".", 1.1), ("5", 1.1)]),
        ("a BREAK b", [("a", 1), ("break", 1), ("b", 1)]),
        ("a () b", [("a", 1), ("()", 1), ("b", 1)]),
        ("", []),
    ],
)
def test_a_token_of_brackets_is_a_factor_for_what_follows(
    tokenizer: ClipTokenizer, prompt: str, said: list[tuple[str, float]]
) -> None:
    assert read(tokenizer, prompt) == said


def test_what_fits_into_no_chunk_is_not_read(tokenizer: ClipTokenizer) -> None:
    long = "(red) " * 100
    chunk = old_chunk(long, tokenizer)
    assert len(chunk.ids) == 77 and chunk.ids[-1] == EOS and set(chunk.ids[1:-1]) == {*tokenizer("red")}
    assert old_count(long, tokenizer) == 100 and old_count("a (red) house", tokenizer) == 3


def test_learned_words_keep_their_places(tokenizer: ClipTokenizer) -> None:
    learned = LearnedWords(["glimmer"], tokenizer, lambda name: 3)
    chunk = old_chunk("a (glimmer) house", tokenizer, learned)
    assert chunk.learned == ((2, "glimmer", 0), (3, "glimmer", 1), (4, "glimmer", 2))
    assert chunk.weights[1:6] == (1, 1.1, 1.1, 1.1, 1)
    full = old_chunk("red " * 74 + "glimmer", tokenizer, learned)
    assert full.learned == ((75, "glimmer", 0),), "the rest of it does not fit"


def test_the_usual_way_is_that_of_the_chunks(tokenizer: ClipTokenizer) -> None:
    prompt = "a (red:1.5) house BREAK with [blue] windows"
    assert USUAL.cut(prompt, tokenizer) == chunks(attention(prompt), tokenizer)
    assert USUAL.read(prompt) == attention(prompt)


def test_a_full_chunk_is_cut_as_far_back_as_is_wanted(tokenizer: ClipTokenizer) -> None:
    prompt = "red, " + "green " * 70 + ", " + "blue " * 10
    lengths = [[sum(token < BOS for token in each.ids) for each in Cutting(backtrack=b).cut(prompt, tokenizer)]
               for b in (0, 1, 20, 74)]  # fmt: skip
    assert lengths == [[75, 8], [75, 8], [73, 10], [73, 10]]


def test_modes_of_emphasis_hold_in_the_old_way_too(tokenizer: ClipTokenizer) -> None:
    def way(name: str) -> Cutting:
        return Cutting(EMPHASES[name], old=True)

    (literal,) = way("None").cut("a (red) house", tokenizer)
    assert tokenizer.text(token for token in literal.ids if token < BOS) == "a ( red ) house"
    (flat,) = way("Ignore").cut("a (red) house", tokenizer)
    assert tokenizer.text(token for token in flat.ids if token < BOS) == "a red house" and set(flat.weights) == {1}
    assert len(way("None").cut("(red) " * 100, tokenizer)) == 1
    assert max(*OLD.cut("a (red) house", tokenizer)[0].weights) == 1.1
    assert OLD.read("(a)") == Cutting(EMPHASES["None"]).read("(a)")
