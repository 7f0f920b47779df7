"""Lists of tags as people have them."""

from pathlib import Path

import pytest

from modules.prompts import tag_lists
from modules.prompts.tag_lists import read_tags, stamp


def test_tags_come_as_a_prompt_has_them_and_the_most_used_first(tmp_path: Path) -> None:
    (tmp_path / "danbooru.csv").write_text('1girl,0,600,"sole_female"\nlong_hair,0,400,\n^_^,0,5,\n\n,0,9,\nbare\n')
    (tmp_path / "mine.csv").write_text("long_hair,0,900\nartist_(name),1,many\n", encoding="utf-8-sig")
    (tmp_path / "notes.txt").write_text("none,0,1")
    assert read_tags(tmp_path) == ["long hair", "1girl", "^_^", "bare", "artist (name)"]


def test_a_list_that_is_none_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "odd.csv").write_bytes(b"\xff\xfe\0broken\0,\n" + b'"' + b"x" * 300_000)
    (tmp_path / "folder.csv").mkdir()
    (tmp_path / "good.csv").write_text("cat,0,1")
    assert "cat" in read_tags(tmp_path)
    assert read_tags(tmp_path / "none") == []


def test_only_the_most_used_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tag_lists, "MOST", 2)
    (tmp_path / "a.csv").write_text("one,0,1\ntwo,0,2\nthree,0,3")
    assert read_tags(tmp_path) == ["three", "two"]


def test_a_changed_list_is_noticed(tmp_path: Path) -> None:
    before = stamp(tmp_path)
    (tmp_path / "a.csv").write_text("one,0,1")
    assert stamp(tmp_path) != before
