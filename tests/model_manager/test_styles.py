"""Files of styles: what is written is read again, and what somebody else wrote there stays."""

import csv
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as trying
from hypothesis import strategies as st

from modules.errors import BadRequest, SaveError
from modules.model_manager.style_file import read_table
from modules.model_manager.styles import Styles
from modules.prompts.styles import Style
from modules.settings import Settings
from tests.fakes import ask

ODD = Style('고양이, "cat"', 'a "red" cat,\non two lines, {prompt}', "흐림, 'x'; y")


def styles_in(folder: Path, *files: str) -> Styles:
    return Styles(Settings(data_dir=folder, styles_file=tuple(folder / each for each in files)))


def write(path: Path, text: str, encoding: str = "utf-8") -> Path:
    path.write_text(text, encoding=encoding, newline="")
    return path


def test_what_is_saved_is_read_again_by_anything(tmp_path: Path) -> None:
    styles = styles_in(tmp_path)
    styles.save(ODD)
    styles.save(Style("Photo", "photo of {prompt}"))
    assert styles_in(tmp_path).all() == [ODD, Style("Photo", "photo of {prompt}")]
    with (tmp_path / "styles.csv").open(encoding="utf-8-sig", newline="") as file:
        assert [*csv.DictReader(file)] == [
            {"name": ODD.name, "prompt": ODD.prompt, "negative_prompt": ODD.negative_prompt},
            {"name": "Photo", "prompt": "photo of {prompt}", "negative_prompt": ""},
        ]


PLAIN = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=60)


@trying(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(PLAIN, PLAIN)
def test_any_text_survives(tmp_path: Path, prompt: str, negative: str) -> None:
    styles = styles_in(tmp_path)
    styles.save(Style("x", prompt, negative), "x")
    assert styles_in(tmp_path).all() == [Style("x", prompt, negative)]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_a_change_leaves_all_else_as_it_was(tmp_path: Path, encoding: str) -> None:
    path = write(
        tmp_path / "styles.csv",
        "name,prompt,extra,negative_prompt\r\n# mine,x,,\r\nA,one,kept,no\r\nA,two,too,\r\nshort\r\nB,b,,,,more\r\n",
        encoding,
    )
    before = path.read_bytes()
    styles = styles_in(tmp_path)
    assert styles.all() == [Style("A", "two"), Style("short"), Style("B", "b")]
    styles.save(Style("A", "three", "none"), "A")
    text = "# mine,x,,\r\nA,one,kept,no\r\nA,three,too,none\r\nshort\r\nB,b,,,,more\r\n"
    assert path.read_bytes() == ("name,prompt,extra,negative_prompt\r\n" + text).encode(encoding)
    assert (tmp_path / "styles.csv.bak").read_bytes() == before


def test_old_files_call_the_prompt_text(tmp_path: Path) -> None:
    path = write(tmp_path / "styles.csv", "name,text\nOld,a cat\n")
    styles = styles_in(tmp_path)
    assert styles.all() == [Style("Old", "a cat")]
    styles.save(Style("Old", "a dog", "cat"), "Old")
    assert path.read_text().split() == ["name,text,negative_prompt", "Old,a", "dog,cat"]


def test_several_files_by_pattern(tmp_path: Path) -> None:
    write(tmp_path / "a.csv", "name,prompt,negative_prompt\nA,a,\nX,first,\n")
    other = write(tmp_path / "b.csv", "name,prompt,negative_prompt\nB,b,\nX,second,\n")
    styles = styles_in(tmp_path, "new.csv", "*.csv")
    assert [each.name for each in styles.all()] == ["A", "X", "B"]
    assert styles.find(["X"]) == [Style("X", "second")] and styles.files()["X"] == other
    styles.save(Style("B", "changed"), "B")
    styles.save(Style("New", "n"))
    assert read_table(other).styles()[0] == Style("B", "changed")
    assert read_table(tmp_path / "new.csv").styles() == [Style("New", "n")]
    styles.delete("X")  # everywhere: another one would come to light
    assert [each.name for each in styles.all()] == ["New", "A", "B"]


def test_a_style_can_get_another_name_but_not_anothers(tmp_path: Path) -> None:
    styles = styles_in(tmp_path)
    for each in "AB":
        styles.save(Style(each, each))
    styles.save(Style("C", "a"), "A")
    assert styles.all() == [Style("C", "a"), Style("B", "B")]
    for was in ("", "B"):
        with pytest.raises(BadRequest, match='a style "C" already'):
            styles.save(Style("C", "x"), was)


@pytest.mark.parametrize("name", ["", "  ", "#x", "a\nb", "x" * 201])
def test_what_cannot_be_a_name_is_said(tmp_path: Path, name: str) -> None:
    with pytest.raises(BadRequest, match="1 to 200 characters"):
        styles_in(tmp_path).save(Style(name, "x"))
    assert not (tmp_path / "styles.csv").exists()


def test_a_file_that_is_no_table_is_said_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "styles.csv"
    path.write_bytes("name,prompt\n고양이,x\n".encode("cp949"))
    styles = styles_in(tmp_path)
    assert styles.all() == [] and "UTF-8" in str(styles.broken()[0])
    before = path.read_bytes()
    with pytest.raises(BadRequest):
        styles.save(Style("A"))
    assert path.read_bytes() == before
    write(path, "not,a,table\n1,2,3\n")
    assert styles_in(tmp_path).all() == []


def test_nothing_is_lost_when_it_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    styles = styles_in(tmp_path)
    styles.save(Style("A", "a"))

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(SaveError, match=r"No space left on device\. The styles are as they were"):
        styles.save(Style("A", "b"), "A")
    assert styles_in(tmp_path).all() == [Style("A", "a")]


def test_what_another_program_writes_is_seen(tmp_path: Path) -> None:
    styles = styles_in(tmp_path)
    assert styles.all() == []
    before = styles.stamp
    write(tmp_path / "styles.csv", "name,prompt,negative_prompt\nA,a,\n")
    assert styles.all() == [Style("A", "a")] and styles.stamp != before


def test_a_request_has_its_styles_in_its_prompts(tmp_path: Path) -> None:
    styles = styles_in(tmp_path)
    styles.save(Style("Photo", "photo of {prompt}", "drawing"))
    request = styles.applied(ask("a cat", styles=["Photo"]))
    assert (request.prompt, request.negative_prompt, request.styles) == ("photo of a cat", "drawing", ())
    with pytest.raises(BadRequest, match=r'no style "Foto"\. .* there: Photo\.'):
        styles.applied(ask("a cat", styles=["Foto"]))
    styles.save(Style("Long", "x" * 9_999))
    with pytest.raises(BadRequest, match="characters long"):
        styles.applied(ask("a cat", styles=["Long"]))


def test_styles_go_into_the_own_prompts_of_a_second_pass_and_leave_an_empty_one_empty(tmp_path: Path) -> None:
    styles = styles_in(tmp_path)
    styles.save(Style("Photo", "photo of {prompt}", "drawing"))
    hires = styles.applied(ask("a cat", styles=["Photo"], hires={"prompt": "a large cat"})).hires
    assert hires is not None and (hires.prompt, hires.negative_prompt) == ("photo of a large cat", "")
    hires = styles.applied(ask("a cat", styles=["Photo"], hires={"negative_prompt": "small"})).hires
    assert hires is not None and (hires.prompt, hires.negative_prompt) == ("", "small, drawing")
