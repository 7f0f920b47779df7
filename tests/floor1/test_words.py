"""Looking up sentences."""

import json
from pathlib import Path

import pytest

from modules.words import Words, load_words, preferred


def test_sentence_gets_its_fields() -> None:
    assert load_words().say("errors.bad_value", field="x", value=3) == "x cannot be 3."


def test_missing_field_stays_visible_and_a_missing_key_is_itself() -> None:
    words = Words("en", {"room.key": "{a} and {b}"})
    assert words.say("room.key", a=1) == "1 and {b}"
    assert words.say("room.other", a=1) == "room.other"


def test_values_are_not_read_as_fields() -> None:
    assert Words("en", {"k": "<{a}>"}).say("k", a="{b} {") == "<{b} {>"


def test_other_language_falls_back_to_english(tmp_path: Path) -> None:
    for language, sentences in (("en", {"a": "one", "b": "two"}), ("ko", {"a": "하나"})):
        (tmp_path / language).mkdir()
        (tmp_path / language / "room.json").write_text(json.dumps(sentences), encoding="utf-8")
    words = load_words("ko", tmp_path)
    assert (words.say("room.a"), words.say("room.b")) == ("하나", "two")


@pytest.mark.parametrize(
    ("header", "language"),
    [
        ("", "en"),
        ("ko", "ko"),
        ("ko-KR,ko;q=0.9,en;q=0.8", "ko"),
        ("en-US,en;q=0.9,ko;q=0.8", "en"),
        ("de,ko;q=0.5,en;q=0.4", "ko"),
        ("en;q=0.1, KO;q=0.9", "ko"),
        ("fr,de", "en"),
        ("ko;q=high,en", "en"),
        (",,;q=,", "en"),
    ],
)
def test_browser_chooses(header: str, language: str) -> None:
    assert preferred(header) == language
