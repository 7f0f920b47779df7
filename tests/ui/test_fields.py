"""Forms by field name: extensions' fields among them, kept values come back as their own type."""

from collections.abc import Sequence
from types import SimpleNamespace

import gradio as gr
import pytest
from gradio.components import Component

from modules.errors import ExtensionError
from modules.hooks import hookimpl
from modules.plugins import Plugins, make_plugins
from modules.request import make_request
from modules.ui.fields import Field, Form, as_request, build_fields
from modules.ui.page_words import PageWords


def form() -> Form:
    made = Form("txt2img")
    made.add("prompt", gr.Textbox("", render=False))
    made.add("steps", gr.Number(20, render=False))
    made.add("wild.on", gr.Checkbox(False, render=False))
    return made


def test_values_travel_by_name_and_those_of_extensions_as_extras() -> None:
    values = {"prompt": "x", "steps": 8.0, "wild.on": True, "wild.depth": 2, "other.on": False}
    request = make_request(as_request(values))
    assert (request.prompt, request.steps) == ("x", 8)
    assert request.extras == {"wild": {"on": True, "depth": 2}, "other": {"on": False}}


@pytest.mark.parametrize(
    ("seed", "meant"), [("", -1), ("  ", -1), (None, -1), ("-1", -1), ("7", 7), (str(2**64 - 1), 2**64 - 1)]
)
def test_an_empty_seed_is_a_random_one_and_a_large_one_is_exact(seed: object, meant: int) -> None:
    if seed is None:
        assert make_request(as_request({})).seed == -1
    else:
        assert make_request(as_request({"seed": seed})).seed == meant


def test_kept_values_come_back_as_the_components_own_type() -> None:
    assert form().restored({"steps": "12", "wild.on": "true", "gone": 1}) == {
        "prompt": "",
        "steps": 12.0,
        "wild.on": True,
    }
    assert form().restored({"steps": "many", "wild.on": "false"}) == {"prompt": "", "steps": None, "wild.on": False}
    assert form().restored({}) == {"prompt": "", "steps": 20, "wild.on": False}


def test_a_field_is_there_once() -> None:
    with pytest.raises(ValueError, match="prompt"):
        form().add("prompt", gr.Textbox(render=False))


def offering(*offers: object) -> Plugins:
    @hookimpl
    def fields(tab: str) -> Sequence[object]:
        return offers if tab == "txt2img" else []

    plugins = make_plugins("ui", [], None)
    plugins.manager.register(SimpleNamespace(fields=fields), "an extension")
    return plugins


def switch(words: PageWords) -> Component:
    return gr.Checkbox(True, label=words.of("Switch", ko="스위치"), render=False)


def test_extensions_add_fields_with_labels_of_their_own() -> None:
    made, words = Form("txt2img"), PageWords()
    build_fields(made, offering(Field("wild.switch", switch)), words)
    assert made.defaults() == {"wild.switch": True}
    texts = words.table().translations_dict
    (key,) = [key for key, text in texts["ko"].items() if text == "스위치"]
    assert texts["en"][key] == "Switch"
    other = Form("another tab")
    build_fields(other, offering(Field("wild.switch", switch)), words)
    assert other.components == {}


@pytest.mark.parametrize("offers", [("not a field",), (Field("a.b", switch), Field("a.b", switch))])
def test_what_is_not_a_field_or_there_twice_names_the_extension(offers: tuple[object, ...]) -> None:
    with pytest.raises(ExtensionError, match="an extension"):
        build_fields(Form("txt2img"), offering(*offers), PageWords())
