"""What the models browser answers, on a folder that the test makes."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import gradio as gr
import pytest

from modules.errors import BadRequest
from modules.server.server import Server
from modules.ui.networks import Networks, written
from modules.ui.networks_view import View
from modules.ui.page_words import PageWords
from modules.ui.watch import Seen, packed
from tests.fake_networks import write_embedding, write_lora
from tests.ui.conftest import put_picture
from tests.ui.drawing import drawing_server

NOBODY = cast(gr.Request, None)


class Event:
    """What a control of a panel sends."""

    def __init__(self, **data: Any) -> None:
        self._data = data


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    write_lora(tmp_path / "models" / "Lora" / "style" / "wash.safetensors")
    write_lora(tmp_path / "models" / "Lora" / "large.safetensors", "sdxl")
    write_embedding(tmp_path / "models" / "embeddings" / "grainy.safetensors")
    made = drawing_server(tmp_path)
    yield made
    made.stop()


@pytest.fixture
def networks(server: Server) -> Networks:
    with gr.Blocks():
        return Networks(server, PageWords(), "test")


def named(networks: Networks, updates: Any) -> dict[str, str]:
    """The updates by what they renew."""
    parts = {"state": networks.state, "bar": networks.bar, "cards": networks.cards, "dialog": networks.dialog}
    return {name: updates[part] for name, part in parts.items() if part in updates}


def look(networks: Networks, wish: str, state: View | None = None) -> dict[str, str]:
    return named(networks, networks.look(wish, (state or View()).packed(), "", NOBODY))


def act(networks: Networks, state: View | None = None, seen: Seen | None = None, **asked: Any) -> Any:
    event = cast(gr.EventData, Event(**asked))
    told = networks.act((state or View("lora")).packed(), "", packed(seen or Seen()), event, NOBODY)
    return named(networks, told) if networks.dialog in told or networks.state in told else told


def test_the_controls_are_sent_once_and_the_cards_each_time(networks: Networks) -> None:
    first = look(networks, '{"kind": "lora"}')
    assert "wash" in first["cards"] and 'data-state="words"' in first["bar"]
    again = look(networks, '{"kind": "lora", "words": "large"}', View.unpacked(first["state"]))
    assert "bar" not in again, "whoever is typing keeps the box"
    assert "large" in again["cards"] and "wash" not in again["cards"]
    other = look(networks, '{"kind": "embedding"}', View.unpacked(again["state"]))
    assert "bar" in other and "grainy" in other["cards"]
    closed = look(networks, '{"kind": ""}', View.unpacked(other["state"]))
    assert closed["cards"] == "" and "data-state" not in closed["bar"]


def test_a_fresh_page_finds_it_as_it_was_left_but_for_the_search(networks: Networks) -> None:
    look(networks, '{"kind": "lora", "words": "large", "sort": "modified", "every": true}')
    fresh = View.unpacked(named(networks, networks.load(NOBODY, ""))["state"])
    assert (fresh.kind, fresh.words, fresh.sort, fresh.every) == ("lora", "", "modified", True)


def test_a_page_past_the_end_is_the_first(networks: Networks) -> None:
    assert "wash" in act(networks, View("lora"), act="page", offset=6000)["cards"]


def test_a_folder_that_is_gone_is_forgotten(networks: Networks) -> None:
    assert "large" in look(networks, '{"kind": "lora", "folder": "gone"}')["cards"]
    assert "large" not in look(networks, '{"kind": "lora", "folder": "style"}')["cards"]


def test_what_is_saved_is_written_and_the_dialog_closes(networks: Networks, server: Server) -> None:
    answer = act(networks, act="save", kind="lora", name="wash", notes="soft", preferred_weight="0.7")
    assert answer["dialog"] == "" and 'data-weight="0.7"' in answer["cards"]
    details = server.catalog.details(server.catalog.find("wash", "lora"))
    assert (details.notes, details.preferred_weight) == ("soft", 0.7)


def test_what_cannot_be_saved_stays_in_the_dialog_with_the_reason(networks: Networks, server: Server) -> None:
    answer = act(networks, act="save", kind="lora", name="wash", notes="typed", preferred_weight="much")
    assert (
        'role="alert"' in answer["dialog"]
        and "Preferred weight is much. It must be a number from 0.0 to 2.0." in answer["dialog"]
    )
    assert "typed" in answer["dialog"]
    assert server.catalog.details(server.catalog.find("wash", "lora")).notes == ""


def test_the_picture_shown_becomes_the_preview_and_what_is_typed_stays(networks: Networks, server: Server) -> None:
    row = put_picture(server)
    seen = Seen(picture=row.id)
    asked: dict[str, Any] = {"kind": "lora", "name": "wash", "notes": "typed", "preferred_weight": "0"}
    answer = act(networks, seen=seen, act="preview", **asked)
    assert "typed" in answer["dialog"] and "/easel/models/preview?" in answer["dialog"]
    assert "/easel/models/preview?" in answer["cards"]
    preview = server.catalog.details(server.catalog.find("wash", "lora")).preview
    assert preview is not None and preview.parent.name == "style"


@pytest.mark.parametrize("asked", [{"kind": "lora", "name": "none"}, {"kind": "x", "name": "wash"}, {}])
def test_what_is_not_there_changes_nothing(networks: Networks, asked: dict[str, Any]) -> None:
    assert act(networks, act="details", **asked) == gr.skip()


def test_what_is_written_is_checked() -> None:
    assert written({"notes": "a\r\nb", "preferred_weight": "0,5", "path": "/etc"}) == {
        "notes": "a\nb",
        "preferred_weight": 0.5,
    }
    assert written({"preferred_weight": ""}) == {"preferred_weight": 0.0}
    for bad in ("2.1", "-1", "nan", "much"):
        with pytest.raises(BadRequest, match="preferred_weight"):
            written({"preferred_weight": bad})
    with pytest.raises(BadRequest):
        written({"notes": "x" * 20_001})


def test_a_lora_is_called_by_its_alias_where_that_is_wanted_and_means_no_other(tmp_path: Path) -> None:
    folder = tmp_path / "models" / "Lora"
    for name, alias in (("wash", "aquarelle"), ("one", "twin"), ("two", "twin"), ("odd", "a:b")):
        write_lora(folder / f"{name}.safetensors", metadata={"ss_output_name": alias})
    server = drawing_server(tmp_path)
    with gr.Blocks():
        networks = Networks(server, PageWords(), "test")

    def called() -> set[str]:
        return {name for name in ("wash", "aquarelle", "one", "two", "twin", "odd", "a:b")
                if f'data-name="{name}" data-weight' in look(networks, '{"kind": "lora"}')["cards"]}  # fmt: skip

    assert called() == {"wash", "one", "two", "odd"}
    server.options.apply({"lora_preferred_name": "Alias from file"})
    assert called() == {"aquarelle", "one", "two", "odd"}
    server.stop()
