"""Every sentence a person reads: there in both languages, with the same fields, used, and used with its fields."""

import ast
import inspect
import json
import re
import string
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from pydantic import BaseModel

from modules import errors
from modules.images.plain_entries import PLAIN
from modules.request import Control, InitImage, Mask, Sampling, Soft
from modules.words import LANGUAGES, LOCALE
from tests.floors import ROOT

PARTS: tuple[type[BaseModel], ...] = (InitImage, Mask, Soft, Control, Sampling, *(part for part, _ in PLAIN.values()))
FIELDS = {name for part in PARTS for name in part.model_fields}
ROOMS = sorted(file.stem for file in (LOCALE / "en").glob("*.json"))
ERRORS = {name for name, each in inspect.getmembers(errors, inspect.isclass) if issubclass(each, errors.EaselError)}
ERRORS |= {"Skipped", "Problem"}


def sentences(language: str, locale: Path = LOCALE) -> dict[str, str]:
    return {
        f"{file.stem}.{name}": sentence
        for file in sorted((locale / language).glob("*.json"))
        for name, sentence in json.loads(file.read_text(encoding="utf-8")).items()
    }


def fields(sentence: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(sentence) if name}


@dataclass
class Uses:
    """What the code says: keys as they stand, keys with a part filled in, and every other piece of text."""

    whole: list[tuple[str, str, set[str] | None]] = field(default_factory=list)  # where, key, fields given
    patterns: list[tuple[str, str]] = field(default_factory=list)  # where, regular expression with one group
    texts: set[str] = field(default_factory=set)

    def read(self, file: Path) -> None:
        """Take in one file."""
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                self.texts.add(node.value.replace("-", "_"))
            if isinstance(node, ast.Call):
                for prefix, key in _keys(node):
                    self._note(f"{file.name}:{node.lineno}", prefix, key, node)

    def _note(self, where: str, prefix: str, key: ast.expr, call: ast.Call) -> None:
        if isinstance(key, ast.Constant) and isinstance(key.value, str):
            given = {each.arg for each in call.keywords if each.arg}
            open_ended = prefix == "notes." or any(each.arg is None for each in call.keywords)
            self.whole.append((where, prefix + key.value, None if open_ended else given))
        elif isinstance(key, ast.JoinedStr):
            parts = [re.escape(str(each.value)) if isinstance(each, ast.Constant) else "(\\w+)" for each in key.values]
            self.patterns.append((where, re.escape(prefix) + "".join(parts)))
        elif isinstance(key, ast.IfExp):
            self._note(where, prefix, key.body, call)
            self._note(where, prefix, key.orelse, call)
        elif prefix == "ui.":
            self.patterns.append((where, r"ui\.(\w+)"))

    def knows(self, key: str) -> bool:
        """Tell whether a key is used: as it stands, or put together from a text that stands somewhere."""
        if any(key == used for _, used, _ in self.whole):
            return True
        found = [match for _, pattern in self.patterns if (match := re.fullmatch(pattern, key))]
        if key.removeprefix("ui.") in FIELDS:  # labels of a loop over the fields, and of errors about them
            return True
        indirect = key.startswith("errors.") and key.removeprefix("errors.") in self.texts
        named = self.texts | {each.replace(" ", "_") for each in self.texts}
        return indirect or any(set(match.groups()) <= named for match in found)


def _keys(call: ast.Call) -> Iterator[tuple[str, ast.expr]]:
    """Yield (room and dot, key) where a call looks up a sentence."""
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    named = {each.arg: each.value for each in call.keywords}
    if name == "say" and call.args and not _is_a_line(call.args[0]):
        yield "", call.args[0]
    elif name == "words" and call.args:
        yield "ui.", call.args[0]
    elif name == "Note" and "key" in named:
        yield "notes.", named["key"]
    elif name == "ExtensionError" and len(call.args) > 1:
        yield "errors.", call.args[1]
    elif name in ERRORS and name != "ExtensionError" and call.args:
        yield "errors.", call.args[0]


def _is_a_line(node: ast.expr) -> bool:
    """Tell a line to print, as in `say(f"  {name}")`, from a key."""
    text = node.value if isinstance(node, ast.Constant) else None
    if isinstance(node, ast.JoinedStr) and isinstance(node.values[0], ast.Constant):
        text = node.values[0].value
    return not (isinstance(text, str) and re.match(r"[a-z]+\.", text)) and not isinstance(node, ast.IfExp)


@pytest.fixture(scope="module")
def uses() -> Uses:
    found = Uses()
    for file in [ROOT / "webui.py", *sorted((ROOT / "modules").rglob("*.py"))]:
        found.read(file)
    return found


@pytest.fixture(scope="module")
def english() -> Mapping[str, str]:
    return sentences("en")


@pytest.mark.parametrize("language", [each for each in LANGUAGES if each != "en"])
def test_languages_have_the_same_sentences_with_the_same_fields(language: str, english: Mapping[str, str]) -> None:
    other = sentences(language)
    assert set(other) == set(english)
    differing = {key for key in english if fields(english[key]) != fields(other[key])}
    assert not differing


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_sentence_is_empty_and_none_stands_twice_in_its_file(language: str) -> None:
    for file in sorted((LOCALE / language).glob("*.json")):
        pairs: list[tuple[str, str]] = json.loads(file.read_text("utf-8"), object_pairs_hook=list)
        names = [name for name, _ in pairs]
        assert len(names) == len(set(names)), f"{file.name}: {[each for each in names if names.count(each) > 1]}"
        assert all(sentence.strip() for _, sentence in pairs), file.name


def test_korean_is_korean(english: Mapping[str, str]) -> None:
    korean = sentences("ko")
    same = {key for key, text in english.items() if korean[key] == text and re.search(r"[a-z]{4}", _bare(text))}
    assert not same, "not translated"


def _bare(sentence: str) -> str:
    return re.sub(r"\{\w*\}", "", sentence)


def test_every_key_in_the_code_has_a_sentence(uses: Uses, english: Mapping[str, str]) -> None:
    missing = [f"{where}: {key}" for where, key, _ in uses.whole if key not in english]
    missing += [
        f"{where}: nothing matches {pattern}"
        for where, pattern in uses.patterns
        if not any(re.fullmatch(pattern, key) for key in english)
    ]
    assert not missing, "\n".join(missing)


def test_every_sentence_gets_its_fields(uses: Uses, english: Mapping[str, str]) -> None:
    lacking = [
        f"{where}: {key} lacks {', '.join(sorted(missing))}"
        for where, key, given in uses.whole
        if given is not None and (missing := fields(english.get(key, "")) - given - {"name"})
    ]
    assert not lacking, "\n".join(lacking)


def test_no_sentence_is_unused(uses: Uses, english: Mapping[str, str]) -> None:
    assert not [key for key in english if not uses.knows(key)]


def test_a_wrong_key_would_be_found(tmp_path: Path) -> None:
    file = tmp_path / "bad.py"
    file.write_text(
        'words.say("ui.no_such_key")\nraise BadRequest("no_such_error")\nwords("absent")\n'
        'Note(key="silent")\nwords.say(f"ui.nothing_{x}")\nprint(say(f"  {x}"))\n'
    )
    found = Uses()
    found.read(file)
    keys = {"ui.no_such_key", "errors.no_such_error", "ui.absent", "notes.silent"}
    assert {key for _, key, _ in found.whole} == keys
    assert [pattern for _, pattern in found.patterns] == [r"ui\.nothing_(\w+)"]
    assert not found.knows("ui.nothing_here")
