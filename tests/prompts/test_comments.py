"""Comments are no words, wherever they stand."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modules.prompts.comments import blank_comments, without_comments
from modules.prompts.oddities import oddities

TEXTS = {
    "": "",
    "a cat": "a cat",
    "# all of it": "",
    "a cat # on a mat": "a cat ",
    "# first\na cat": "a cat",
    "a cat\n# between\non a mat": "a cat\non a mat",
    "a cat\n# last": "a cat",
    "a cat # here\non a mat#there\n": "a cat \non a mat\n",
    "a cat\n#one\n#two\n\ndog": "a cat\n\ndog",
    " # not at the beginning\na": " \na",
    "a ## b # c": "a ",
    "(red:1.2) # (blue:1.2\n[a:b:0.5]": "(red:1.2) \n[a:b:0.5]",
    "고양이 # 강아지\n🐱": "고양이 \n🐱",
}


@pytest.mark.parametrize(("prompt", "words"), TEXTS.items())
def test_what_is_behind_a_sign_is_left_out(prompt: str, words: str) -> None:
    assert without_comments(prompt) == words


@given(st.text(st.sampled_from("# a\n"), max_size=30))
def test_what_is_left_has_no_comment_and_every_other_word(prompt: str) -> None:
    words = without_comments(prompt)
    assert "#" not in words
    assert "".join(words.split()) == "".join("".join(line.partition("#")[0] for line in prompt.split("\n")).split())
    assert len(blank_comments(prompt)) == len(prompt)
    assert "".join(blank_comments(prompt).split()) == "".join(words.split())


def test_what_is_odd_in_a_comment_is_not_odd_and_places_stay() -> None:
    assert oddities("a cat # (a note\nb") == []
    assert [(each.key, each.place) for each in oddities("a # note\n(b")] == [("open", 10)]
