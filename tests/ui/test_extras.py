"""What the Extras tab answers: pictures come and go, a job is added or refused, and a fresh page finds it again."""

import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import gradio as gr
import pytest

from modules.server.server import Server
from modules.tasks import Extras
from modules.ui.app import build_app
from modules.ui.tabs.extras import ExtrasTab
from tests.fake_captioners import put_blip
from tests.fake_upscalers import put_upscaler, scene
from tests.ui.drawing import drawing_server

VISIT = cast(gr.Request, SimpleNamespace(headers={}))
FORM: dict[str, Any] = {"upscaler": "Lanczos", "mode": "by", "scale": 2, "longest": 0, "width": 512, "height": None}
FORM |= {"crop": True, "second": "None", "second_visibility": 0, "gfpgan": 0, "codeformer": 0, "flips": []}
FORM |= {"codeformer_weight": 0, "faces_first": False}


class Event:
    def __init__(self, **data: Any) -> None:
        self._data = data


def event(**data: Any) -> gr.EventData:
    return cast(gr.EventData, Event(**data))


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    put_upscaler(tmp_path, "sharp-2x")
    made = drawing_server(tmp_path)
    yield made
    made.stop()


@pytest.fixture
def warned(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    said: list[str] = []
    monkeypatch.setattr("modules.ui.tabs.extras.gr.Warning", said.append)
    return said


@pytest.fixture
def tab(server: Server, monkeypatch: pytest.MonkeyPatch) -> ExtrasTab:
    """The tab of a page that is built as it is served."""
    made: list[ExtrasTab] = []
    connect = ExtrasTab.connect

    def noted(self: ExtrasTab) -> None:
        made.append(self)
        connect(self)

    monkeypatch.setattr(ExtrasTab, "connect", noted)
    build_app(server)
    return made[0]


def brought(tab: ExtrasTab, *titles: str) -> str:
    put = [[tab.server.inputs.keep(scene(30 + place, 30)), title] for place, title in enumerate(titles)]
    return str(tab.pile.bring("[]", event(put=put, refused=[]), VISIT)[0])


def test_pictures_come_and_go(tab: ExtrasTab) -> None:
    names = brought(tab, "one.png", "path/to/<b>two.jpg")
    assert [title for _, title in json.loads(names)] == ["one", "path/to/<b>two"]
    again = tab.pile.bring(names, event(put=json.loads(names), refused=[]), VISIT)[0]
    assert len(json.loads(again)) == 2
    left, shown = tab.pile.leave_out(names, event(act="remove", name=json.loads(names)[0][0]), VISIT)
    assert len(json.loads(left)) == 1 and "<b>" not in shown
    assert tab.pile.leave_out(names, event(act="clear"), VISIT)[0] == "[]"


def test_what_was_refused_is_said_and_what_was_not_kept_is_left_out(tab: ExtrasTab, warned: list[str]) -> None:
    told = event(put=[["0" * 64, "gone.png"], ["../x", "a"], "odd", [1, 2]], refused=["<i>bad.png: no picture"])
    assert tab.pile.bring("not json", told, VISIT)[0] == "[]"
    assert warned == ["&lt;i&gt;bad.png: no picture"]


def test_a_job_is_added_and_a_fresh_page_finds_it(tab: ExtrasTab) -> None:
    names = brought(tab, "one.png", "two.png")
    job = tab.add(names, VISIT, **{**FORM, "scale": 3, "flips": ["both"]})[0]
    found = tab.server.jobs.get(job)
    assert found is not None and isinstance(found.task, Extras)
    task = found.task
    assert (task.scale, task.width, task.names, task.flips) == (3.0, None, ("one", "two"), ("both",))
    fresh = tab.load(VISIT)
    assert fresh[tab.job] == job and json.loads(fresh[tab.pile.brought]) == json.loads(names)
    assert fresh[tab.parts["scale"]]["value"] == 3
    assert "one: Lanczos" in fresh[tab.progress]


def test_the_size_is_asked_for_one_way_or_the_other(tab: ExtrasTab) -> None:
    names = brought(tab, "one.png")
    job = tab.add(names, VISIT, **{**FORM, "mode": "to", "width": 60, "height": 40, "crop": False})[0]
    found = tab.server.jobs.get(job)
    assert found is not None and isinstance(found.task, Extras)
    assert (found.task.width, found.task.height, found.task.crop) == (60, 40, False)
    assert [each["visible"] for each in tab.show("to")] == [False, True]


def test_pictures_are_cut_and_described_when_asked_to(tab: ExtrasTab, tmp_path: Path) -> None:
    put_blip(tmp_path)
    fresh = tab.load(VISIT)[tab.parts["caption"]]
    assert fresh["visible"] and [value for _, value in fresh["choices"]] == ["", "BLIP/tiny"]
    asked = {"auto_crop": True, "crop_least": 128, "crop_most": 256, "crop_error": 0.2, "focus": True}
    job = tab.add(brought(tab, "one.png"), VISIT, **{**FORM, **asked, "caption": "BLIP/tiny"})[0]
    found = tab.server.jobs.get(job)
    assert found is not None and isinstance(found.task, Extras) and found.task.auto_crop is not None
    assert (found.task.auto_crop.least, found.task.auto_crop.most, found.task.focus) == (128, 256, True)
    assert found.task.caption == "BLIP/tiny"
    assert tab.load(VISIT)[tab.parts["crop_least"]]["value"] == 128


def test_long_pictures_are_split_and_the_job_says_how_many_come_of_them(tab: ExtrasTab) -> None:
    put = [[tab.server.inputs.keep(scene(*size)), "long"] for size in ((60, 300), (60, 61))]
    names = str(tab.pile.bring("[]", event(put=put, refused=[]), VISIT)[0])
    asked = {"mode": "to", "width": 60, "height": 60, "flips": ["both"]}
    asked |= {"split": True, "split_at": 0.4, "split_overlap": 0}
    job = tab.add(names, VISIT, **{**FORM, **asked})[0]
    found = tab.server.jobs.get(job)
    assert found is not None and isinstance(found.task, Extras) and found.task.split is not None
    assert (found.task.pieces, found.task.images, found.task.split.split_at) == ((5, 1), 12, 0.4)
    assert tab.load(VISIT)[tab.parts["split_at"]]["value"] == 0.4


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"upscaler": "no such"}, "There is no upscaler named no such"),
        ({"upscaler": "None"}, "There is nothing to do"),
        ({"scale": 99}, "Times as large is 99"),
        ({"gfpgan": 1}, "There is no GFPGAN model"),
        ({"auto_crop": True, "crop_error": 2}, "Difference from the shape at most (0 to 1) is 2"),
        ({"auto_crop": True, "crop_least": 512, "crop_most": 256}, "the least is 512 and the most 256"),
        ({"split": True, "split_at": 0.5}, "with a width and a height"),
        ({"split": True, "split_overlap": 0.95}, "Overlap of the pieces (0 to 0.9) is 0.95"),
        ({"caption": "BLIP/gone"}, "Put the folder of a BLIP model"),
    ],
)
def test_what_is_not_allowed_is_said_and_nothing_is_queued(
    tab: ExtrasTab, warned: list[str], values: dict[str, Any], said: str
) -> None:
    tab.add(brought(tab, "one.png"), VISIT, **{**FORM, **values})
    assert said in warned[0] and tab.server.jobs.queue() == []


def test_no_picture_is_said(tab: ExtrasTab, warned: list[str]) -> None:
    tab.add("[]", VISIT, **FORM)
    assert "at least 1" in warned[0]


def test_upscalers_appear_as_their_files_do(tab: ExtrasTab, server: Server, tmp_path: Path) -> None:
    fresh = tab.load(VISIT)
    assert fresh[tab.parts["upscaler"]]["choices"] == ["None", "Lanczos", "Bicubic", "Nearest", "sharp-2x"]
    assert fresh[tab.parts["upscaler"]]["value"] == "sharp-2x"  # a model is there: it is what one wants
    assert str(tmp_path / "models" / "GFPGAN") in fresh[tab.lacking]
    seen, listed = fresh[tab.seen], fresh[tab.listed]
    quiet = tab.look("", seen, listed, VISIT)
    assert all(each == gr.skip() for each in quiet)
    put_upscaler(tmp_path, "another-4x")
    put_upscaler(tmp_path, "GFPGANv1.4.pth", kind="GFPGAN")
    server.catalog.refresh()
    *_, mark, first, second, lacking = tab.look("", seen, listed, VISIT)
    assert mark != listed and "another-4x" in first["choices"] and first["choices"] == second["choices"]
    assert "Codeformer" in lacking and "GFPGAN" not in lacking


def test_a_waiting_job_is_cancelled(tab: ExtrasTab) -> None:
    job = tab.add(brought(tab, "one.png"), VISIT, **FORM)[0]
    tab.act(job, event(act="cancel"), VISIT)
    found = tab.server.jobs.get(job)
    assert found is not None and found.status == "stopped"
    tab.act(job, event(act="retry"), VISIT)
    assert [each.id for each in tab.server.jobs.queue()] == [job]


def test_a_chosen_upscaler_says_by_how_much_where_that_is_wanted(tab: ExtrasTab) -> None:
    assert tab.follow("sharp-2x") == gr.skip()
    tab.server.options.apply({"set_scale_by_when_changing_upscaler": True})
    assert [tab.follow(name) for name in ("sharp-2x", "R-ESRGAN 4x+", "DAT x3")] == [2, 4, 3]
    assert [tab.follow(name) for name in ("Lanczos", None)] == [gr.skip()] * 2
