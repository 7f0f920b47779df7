"""How words are read, on the page: each a field, none unusual at first, and the styles in what is counted."""

import asyncio

import gradio as gr
import pytest

from modules.prompts.styles import Style
from modules.request import Encoding, make_request
from modules.server.server import Server
from modules.ui.encoding_fields import encoding_fields
from modules.ui.fields import Form, as_request
from modules.ui.maker import Maker
from modules.ui.page_words import PageWords
from modules.ui.tab import Page
from modules.ui.tabs.txt2img import Txt2img
from tests.ui.test_pnginfo import VISITOR


@pytest.mark.parametrize("twice", [True, False])
def test_each_is_a_field_and_as_usual_at_first(twice: bool) -> None:
    form = Form("txt2img")
    with gr.Blocks():
        if twice:
            form.add("hires_on", gr.Checkbox(False))
        encoding_fields(form, PageWords())
    form.components.pop("hires_on", None)
    fresh = form.defaults()
    names = {f"encoding/{name}" for name in Encoding.model_fields}
    assert fresh.keys() == (names if twice else names - {"encoding/first_pass_networks"})
    assert make_request(as_request(fresh)).encoding is None
    asked = make_request(as_request({**fresh, "encoding/comments": False, "encoding/comma_backtrack": 0})).encoding
    assert asked == Encoding(comments=False, comma_backtrack=0)


@pytest.fixture
def maker(page: Page, monkeypatch: pytest.MonkeyPatch) -> Maker:
    monkeypatch.setattr("modules.ui.maker.SETTLE", 0)
    page.server.styles.save(Style("Photo", "sharp photo of {prompt}", "blurred drawing"))
    with page.blocks:
        return Txt2img(page, "txt2img")


def counted(maker: Maker, styles: object) -> tuple[str, str]:
    """What the counters of "a cat" and of no negative prompt say."""
    prompt, _ = asyncio.run(maker.count("a cat", "", 20, styles, VISITOR))
    negative, _ = asyncio.run(maker.count_negative("", "", 20, styles, VISITOR))
    return prompt, negative


def test_the_counters_count_the_styles_that_are_chosen_and_there(maker: Maker, server: Server) -> None:
    assert [">2/75<" in counted(maker, [])[0], ">0/75<" in counted(maker, None)[1]] == [True, True]
    prompt, negative = counted(maker, ["Photo", "Gone"])
    assert ">5/75<" in prompt and ">2/75<" in negative
    server.options.apply({"include_styles_into_token_counters": False})
    assert ">2/75<" in counted(maker, ["Photo"])[0]


def test_without_counters_nothing_is_counted(maker: Maker, server: Server) -> None:
    server.settings = server.settings.model_copy(update={"disable_token_counters": True})
    assert counted(maker, []) == ("", "")
