"""Styles on the page: what is chosen goes into the job, into the prompts, and through the dialog into the file."""

from typing import Any

import gradio as gr
import pytest

from modules.prompts.styles import Style
from modules.server.recall import recall_text
from modules.server.server import Server
from modules.ui import styles_panel
from modules.ui.maker import Maker
from modules.ui.recalling import Recalling
from modules.ui.tab import Page
from modules.ui.tabs.txt2img import Txt2img
from modules.ui.watch import OWNER, Choice, Seen, packed
from tests.ui.test_pnginfo import VISITOR

PHOTO = Style("Photo", "photo of {prompt}", "drawing")
TEXT = "{}\nNegative prompt: {}\nSteps: 7, Sampler: Euler a, CFG scale: 5, Seed: 12, Size: 128x64"


@pytest.fixture
def maker(page: Page) -> Maker:
    page.server.styles.save(PHOTO)
    with page.blocks:
        return Txt2img(page, "txt2img")


def act(maker: Maker, chosen: list[str], **asked: str) -> dict[str, Any]:
    box = maker.studio.styles
    event = gr.EventData(None, asked)
    updates = box.act(chosen, "a cat", "blur", event, VISITOR)
    names = {part: name for name, part in maker.form.components.items()} | {box.panel: "panel"}
    return {names[part]: value for part, value in updates.items()} if "__type__" not in updates else {}


def test_a_job_keeps_the_names_and_the_form_too(maker: Maker, server: Server) -> None:
    values = {**maker.form.defaults(), "prompt": "a cat", "styles": ["Photo"]}
    maker.add(packed(Choice()), packed(Seen()), VISITOR, **values)
    (job,) = server.jobs.queue()
    assert (job.request.prompt, job.request.styles) == ("a cat", ("Photo",))
    assert server.forms.load(OWNER, "txt2img")["styles"] == ["Photo"]


def test_a_style_that_is_gone_is_said_and_nothing_is_lost(maker: Maker, server: Server, toasts: list[str]) -> None:
    values = {**maker.form.defaults(), "prompt": "a cat", "styles": ["Foto"]}
    maker.add(packed(Choice()), packed(Seen()), VISITOR, **values)
    assert server.jobs.queue() == [] and "There is no style" in toasts[0] and "Photo" in toasts[0]
    assert server.forms.load(OWNER, "txt2img")["prompt"] == "a cat"


def test_styles_are_written_into_the_prompts(maker: Maker, server: Server) -> None:
    written = act(maker, ["Photo"], act="apply")
    assert written == {"styles": [], "prompt": "photo of a cat", "negative_prompt": "blur, drawing"}
    assert server.forms.load(OWNER, "txt2img") == written


def test_the_dialog_shows_the_first_that_is_chosen(maker: Maker) -> None:
    shown = act(maker, ["Photo"], act="edit")["panel"]
    assert "<dialog" in shown and 'value="Photo"' in shown and "photo of {prompt}" in shown and "styles.csv" in shown
    assert 'data-act="sure"' in shown  # it can be deleted
    fresh = act(maker, [], act="edit")["panel"]
    assert "photo of" not in fresh and 'data-act="sure"' not in fresh


def test_a_style_is_made_changed_and_deleted(maker: Maker, server: Server) -> None:
    odd = Style('"고양이", 2', "a,\nb <i>", "c")
    updates = act(maker, [], act="save", name=f" {odd.name} ", prompt="a,\r\nb <i>", negative_prompt="c", was="")
    assert server.styles.all() == [PHOTO, odd]
    assert (odd.name, odd.name) in updates["styles"]["choices"] and "is saved" in updates["panel"]
    assert "<i>" not in updates["panel"]
    updates = act(maker, [odd.name, "Photo"], act="save", name="Cat", prompt="cat", was=odd.name)
    assert updates["styles"]["value"] == ["Cat", "Photo"]
    assert server.styles.all() == [PHOTO, Style("Cat", "cat")]
    assert 'data-act="delete"' in act(maker, [], act="sure", name="Cat", was="Cat")["panel"]
    assert server.styles.find(["Cat"])
    assert act(maker, ["Cat"], act="delete", was="Cat")["styles"]["value"] == []
    assert server.styles.all() == [PHOTO]


def test_what_cannot_be_saved_stays_typed(maker: Maker, server: Server) -> None:
    shown = act(maker, [], act="save", name="Photo", prompt="typed", was="")["panel"]
    assert 'a style "Photo" already' in shown.replace("&quot;", '"') and "typed" in shown
    assert server.styles.all() == [PHOTO]


def test_several_files_are_told_apart(server: Server) -> None:
    server.styles.save(PHOTO)
    assert styles_panel.choices(server) == [("Photo", "Photo")]


@pytest.mark.parametrize(
    ("how", "chosen", "prompt"),
    [
        ("Ignore", None, "photo of a cat"),
        ("Apply", ["Photo"], "a cat"),
        ("Discard", None, "a cat"),
        ("Apply if any", ["Photo"], "a cat"),
    ],
)
def test_styles_are_found_in_what_fills_the_form(maker: Maker, how: str, chosen: list[str] | None, prompt: str) -> None:
    server = maker.server
    server.options.apply({"infotext_styles": how})
    recalling = Recalling(maker.page, maker.form)
    values = dict(recalling.values(recall_text(TEXT.format("photo of a cat", "blur, drawing"), server)))
    assert (values.get("styles"), values["prompt"]) == (chosen, prompt)
    assert values["negative_prompt"] == ("blur" if prompt == "a cat" else "blur, drawing")
    values = dict(recalling.values(recall_text(TEXT.format("a dog", "x"), server)))
    assert values.get("styles") == ([] if how == "Apply" else None) and values["prompt"] == "a dog"


def test_they_are_found_where_the_prompts_of_a_second_pass_have_them_too(maker: Maker) -> None:
    recalling = Recalling(maker.page, maker.form)
    second = ", Denoising strength: 0.7, Hires prompt: {}, Hires upscale: 2, Hires upscaler: Latent"
    text = TEXT.format("photo of a cat", "blur, drawing")
    values = dict(recalling.values(recall_text(text + second.format("photo of a dog"), maker.server)))
    assert (values["styles"], values["prompt"], values["hires/prompt"]) == (["Photo"], "a cat", "a dog")
    values = dict(recalling.values(recall_text(text + second.format("a dog"), maker.server)))
    assert (values["styles"], values["prompt"], values["hires/prompt"]) == ([], "photo of a cat", "a dog")
