"""Small things the panels share."""

from __future__ import annotations

import pytest

from modules.prompts.oddities import oddities
from modules.ui import pieces
from modules.words import load_words

WORDS = load_words()


def test_what_is_odd_is_a_list_of_sentences_as_text() -> None:
    said = pieces.odd(oddities("a <b>(red:1,5)"), WORDS)
    assert said.startswith('<ul role="status"><li>Character 6, “(red:1,5)”: 1,5 is not a number')
    assert said.count("<li>") == 1
    said = pieces.odd(oddities("(<img src=x>"), WORDS)
    assert "<img" not in said and "&lt;img src=x&gt;" in said
    assert pieces.odd([], WORDS) == ""


def test_a_flood_of_oddities_is_cut_short() -> None:
    said = pieces.odd(oddities("(" * 1000), WORDS)
    assert said.count("<li>") == pieces.ODDITIES + 1 and f"{1000 - pieces.ODDITIES} more" in said


@pytest.mark.parametrize("language", ["en", "ko"])
def test_every_oddity_has_its_values(language: str) -> None:
    prompts = ("(a", "a)", "(a:1,5)", "[a:b:c]", "[a|b:c]", "[a:b:c:d]", "a:2")
    found = [each for prompt in prompts for each in oddities(prompt)]
    found += oddities("a AND b", negative=True)
    assert len({each.key for each in found}) == 8
    for each in found:
        assert "{" not in pieces.odd([each], load_words(language))
