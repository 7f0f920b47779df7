"""The tokenizer gives the ids of transformers and open_clip, and needs neither."""

from __future__ import annotations

import gzip
import subprocess
import sys
import unicodedata
from pathlib import Path
from typing import Any

import ftfy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modules.errors import SetupError
from modules.prompts import vocabulary
from modules.prompts.chunks import BOS, COMMA, EOS, count
from modules.prompts.vocabulary import ClipTokenizer, vocabulary_file

CURATED = [
    "",
    " ",
    "a red circle on a blue background",
    "a photo of a cat, 4k, masterpiece!!! (best quality:1.2)",
    "it's don't we've I'll they'd I'm you're O'Reilly",
    "A VERY LOUD PROMPT",
    "snake_case kebab-case camelCase 3.14 2024 1,000,000",
    "line one\nline two\r\n\ttabbed   spaces",
    "“curly” ‘quotes’ – dashes — … ellipsis",
    "ﬁne ﬂow ｆｕｌｌｗｉｄｔｈ",
    "schÃ¶n cafÃ©",
    "café cafe\u0301 naïve Ångström",
    "ΟΔΥΣΣΕΥΣ Ὀδυσσεύς ς σ Σ",
    "İstanbul ß ẞ",
    "고양이와 강아지, 파란 하늘",
    "猫と犬、青い空",
    "кошка и собака",
    "قطة وكلب",
    "हिन्दी ไทย",
    "🐱🐶 👩‍👩‍👧 🇰🇷 ❤️",
    "<|startoftext|> a <|endoftext|> b",
    "&amp; &quot; &#39;",
    "a\u00a0b\u2009c\u200bd",
    "x" * 200,
    "\\(escaped\\) {a|b} <lora:name:0.8> [from:to:0.5]",
]


def assigned(text: str) -> bool:
    # What Unicode 3.2 knew: the libraries agree on which of these are letters, not on later code points.
    return all(unicodedata.ucd_3_2_0.category(letter) != "Cn" for letter in text)


ASSIGNED = st.characters(exclude_categories=["Cs"]).filter(assigned)


@pytest.fixture(scope="module")
def tokenizer() -> ClipTokenizer:
    return ClipTokenizer()


@pytest.fixture(scope="module")
def transformers_ids() -> Any:
    from transformers import CLIPTokenizer

    with gzip.open(vocabulary_file(), "rt", encoding="utf-8") as lines:
        merges: Any = [tuple(line.split()) for line in lines.read().split("\n")[1:48895]]
    ours = ClipTokenizer()
    theirs = CLIPTokenizer(vocab={ours.word(i): i for i in range(len(ours))}, merges=merges, split_special_tokens=True)
    return lambda text: theirs(ftfy.fix_text(text).lower(), add_special_tokens=False)["input_ids"]


@pytest.fixture(scope="module")
def open_clip_ids() -> Any:
    from open_clip.tokenizer import SimpleTokenizer

    return SimpleTokenizer().encode


@pytest.mark.parametrize("text", CURATED)
def test_ids_are_those_of_both_libraries(
    text: str, tokenizer: ClipTokenizer, transformers_ids: Any, open_clip_ids: Any
) -> None:
    assert tokenizer(text) == transformers_ids(text) == open_clip_ids(text)


@settings(max_examples=400, deadline=None)
@given(text=st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=60))
def test_ids_agree_on_ascii(text: str, tokenizer: ClipTokenizer, transformers_ids: Any, open_clip_ids: Any) -> None:
    assert tokenizer(text) == transformers_ids(text)
    if "&" not in text:  # open_clip reads HTML entities twice, also in text with a "<"
        assert tokenizer(text) == open_clip_ids(text)


@settings(max_examples=400, deadline=None)
@given(
    text=st.text(ASSIGNED, max_size=30).filter(lambda text: assigned(ftfy.fix_text(text)))
)  # mending may not keep it
def test_ids_agree_on_unicode(text: str, tokenizer: ClipTokenizer, transformers_ids: Any, open_clip_ids: Any) -> None:
    assert tokenizer(text) == transformers_ids(text)
    if "&" not in text:
        assert tokenizer(text) == open_clip_ids(text)


@settings(deadline=None)
@given(text=st.text(st.characters(categories=["Cs", "Cc", "Co", "Cn", "Lo", "So"]), max_size=30))
def test_any_text_has_ids(text: str, tokenizer: ClipTokenizer) -> None:
    assert all(0 <= token < BOS for token in tokenizer(text))


def test_the_vocabulary_is_clips(tokenizer: ClipTokenizer) -> None:
    assert len(tokenizer) == 49408
    assert tokenizer.word(BOS) == "<|startoftext|>" and tokenizer.word(EOS) == "<|endoftext|>"
    assert tokenizer.word(0) == "!" and tokenizer.word(COMMA) == ",</w>"
    assert tokenizer("a photo of a cat") == [320, 1125, 539, 320, 2368]


def test_nothing_in_a_text_is_special(tokenizer: ClipTokenizer) -> None:
    assert not {BOS, EOS} & set(tokenizer("<|endoftext|><|startoftext|>"))


def test_it_counts_for_the_prompt_box(tokenizer: ClipTokenizer) -> None:
    assert count("a (red:1.2) circle", tokenizer) == (3, 75)


def test_it_needs_neither_torch_nor_the_libraries() -> None:
    program = (
        "import sys; from modules.prompts.vocabulary import ClipTokenizer; ClipTokenizer()('a cat'); "
        "sys.exit(bool({'torch', 'transformers', 'open_clip'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False, timeout=120).returncode == 0


def test_a_missing_vocabulary_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(vocabulary, "find_spec", lambda name: None)
    with pytest.raises(SetupError):
        ClipTokenizer()


@pytest.mark.parametrize("text", ["a red circle , 고양이 🐱 déjà - vu", ""])
def test_tokens_say_what_they_were_made_from(tokenizer: ClipTokenizer, text: str) -> None:
    assert tokenizer.text(tokenizer(text)) == text
