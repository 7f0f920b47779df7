"""A place for many pictures: what comes, what is refused, what folders are called, what another tab sends."""

import json
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, cast

import gradio as gr
import pytest

from modules.server.server import Server
from modules.ui.page_words import PageWords
from modules.ui.pile import Pile, brought, pile, titled
from modules.words import load_words
from tests.fake_upscalers import scene
from tests.ui.conftest import put_picture

VISIT = cast(gr.Request, SimpleNamespace(headers={}))


def event(**data: Any) -> gr.EventData:
    return cast(gr.EventData, SimpleNamespace(_data=data))


@pytest.fixture
def place(server: Server) -> Iterator[Pile]:
    with gr.Blocks():
        made = Pile(server, PageWords(), "here", most=3)
        made.build()
        made.connect()
        yield made


@pytest.fixture
def warned(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    said: list[str] = []
    monkeypatch.setattr("modules.ui.pile.gr.Warning", said.append)
    return said


def put(server: Server, *names: str) -> list[list[str]]:
    return [[server.inputs.keep(scene(30 + at, 30)), name] for at, name in enumerate(names)]


def test_a_folder_keeps_its_order_and_the_names_of_what_lies_in_it(place: Pile) -> None:
    files = put(place.server, "a/2.png", "b/deep/1.jpg")
    told, shown = place.bring("[]", event(put=files, refused=[]), VISIT)
    assert [title for _, title in json.loads(told)] == ["a/2", "b/deep/1"]
    assert shown.index("a/2") < shown.index("b/deep/1")


def test_one_bad_file_is_named_and_the_others_are_taken(place: Pile, warned: list[str]) -> None:
    refused = ["sub/bad.png: This is no picture", *[f"{each}.png: no" for each in range(9)]]
    told, _ = place.bring("[]", event(put=put(place.server, "fine.png"), refused=refused), VISIT)
    assert len(json.loads(told)) == 1
    assert "sub/bad.png" in warned[0] and "5 more could not be used" in warned[0]


def test_what_does_not_fit_in_is_said(place: Pile, warned: list[str]) -> None:
    told, _ = place.bring("[]", event(put=put(place.server, *"abcde"), refused=[]), VISIT)
    assert len(json.loads(told)) == 3 and "Only the first 3" in warned[0]


def test_what_is_chosen_in_the_gallery_comes_in_one_go(place: Pile, warned: list[str]) -> None:
    rows = [put_picture(place.server, seed=seed) for seed in (1, 2, 3)]
    rows[1].path.unlink()
    told, _ = place.arrive(",".join(str(each.id) for each in rows) + ":17", VISIT)
    assert [title for _, title in json.loads(told)] == [rows[0].path.stem, rows[2].path.stem]
    assert rows[1].path.name in warned[0]
    assert all(each == gr.skip() for each in place.arrive("nonsense", VISIT))


@pytest.mark.parametrize(
    ("path", "title"),
    [
        ("one.png", "one"),
        ("sub/../../one.tar.png", "sub/one.tar"),
        ("C:\\pictures\\x.png", "C:/pictures/x"),
        ("/etc/passwd", "etc/passwd"),
        ("", ""),
        ("..", ""),
    ],
)
def test_a_path_is_a_name_and_nothing_else(path: str, title: str) -> None:
    assert titled(path) == title


def test_what_is_no_list_of_pictures_is_none() -> None:
    assert brought("not json") == brought("{}") == brought("[1]") == []


def test_a_name_is_text() -> None:
    shown = pile([("0" * 64, "<script>")], 5, load_words())
    assert "<script>" not in shown and "&lt;script&gt;" in shown and 'data-act="remove"' in shown
    assert "webkitdirectory" in shown and "up to 5" in shown
