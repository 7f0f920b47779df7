"""The fields of a second pass and of a refiner, and the button that makes a finished picture larger."""

import json
from types import SimpleNamespace
from typing import Any, cast

import gradio as gr
from PIL import Image

from modules.images.infotext import write
from modules.result import Picture, Recipe
from modules.server.server import Server
from modules.ui import result_panel
from modules.ui.fields import Form
from modules.ui.page_words import PageWords
from modules.ui.refiner import build_refiner
from modules.ui.tab import Page
from modules.ui.tabs.img2img import Img2img
from modules.ui.tabs.txt2img import Txt2img
from modules.words import load_words
from tests.ui.conftest import put_picture

VISIT = cast(gr.Request, SimpleNamespace(headers={}))


def form_of(maker: Any, **values: Any) -> dict[str, Any]:
    return {**maker.form.defaults(), "model": "starter", **values}


def seen(picture: int) -> str:
    return json.dumps({"picture": picture})


def settings_of(maker: Txt2img, **values: Any) -> dict[str, Any]:
    kept = {name: each for name, each in maker.form.defaults().items() if name.startswith("hires/")}
    return {**kept, **values}


def jobs(server: Server) -> list[Any]:
    return [job.request for job in server.jobs.queue()]


def test_a_second_pass_has_checkpoint_prompts_and_guidance_of_its_own(page: Page) -> None:
    with page.blocks:
        maker = Txt2img(page, "txt2img")
    asked = {"hires/model": "dreams", "hires/prompt": "more", "hires/negative_prompt": "less", "hires/cfg_scale": 4}
    (request,) = maker.asked(form_of(maker, hires_on=True, **asked))
    assert request.hires is not None
    assert request.hires.model_dump(include={"model", "prompt", "negative_prompt", "cfg_scale"}) == {
        name.removeprefix("hires/"): value for name, value in asked.items()
    }
    (plain,) = maker.asked(form_of(maker, hires_on=True))
    assert plain.hires is not None and (plain.hires.model, plain.hires.prompt, plain.hires.cfg_scale) == ("", "", 0)
    assert plain.refiner is None


def test_a_refiner_is_asked_for_where_one_is_chosen(page: Page) -> None:
    with page.blocks:
        makers = [Txt2img(page, "txt2img"), Img2img(page, "img2img")]
    picture = page.server.inputs.keep(Image.new("RGB", (64, 64)))
    for maker in makers:
        more = {"init/image": picture} if isinstance(maker, Img2img) else {}
        values = form_of(maker, **more, **{"refiner/model": "dreams", "refiner/switch_at": 0.6})
        (request,) = maker.asked(values)
        assert request.refiner is not None
        assert (request.refiner.model, request.refiner.switch_at) == ("dreams", 0.6)
        assert ("refiner/passes" in values) == isinstance(maker, Txt2img)


def test_its_part_is_closed_and_offers_the_checkpoints_there_are(server: Server) -> None:
    form = Form("txt2img")
    with gr.Blocks() as blocks:
        build_refiner(form, server, PageWords(), twice=True)
    (part,) = (each for each in blocks.blocks.values() if isinstance(each, gr.Accordion))
    assert not part.open
    box: Any = form.components["refiner/model"]
    assert [value for _, value in box.choices] == ["", "dreams", "starter"]
    assert form.defaults()["refiner/model"] == "" and form.defaults()["refiner/switch_at"] == 0.8


def test_a_checkpoint_that_is_gone_is_not_asked_for_by_a_page_that_is_opened(page: Page) -> None:
    with page.blocks:
        maker = Txt2img(page, "txt2img")
    kept = {**maker.form.defaults(), "refiner/model": "gone", "hires/model": "dreams"}
    maker._forget_what_is_gone(kept)
    assert (kept["refiner/model"], kept["hires/model"]) == ("", "dreams")


def test_the_picture_that_is_shown_becomes_larger_by_the_settings_of_the_form(page: Page, toasts: list[str]) -> None:
    with page.blocks:
        maker = Txt2img(page, "txt2img")
    row = put_picture(page.server, seed=9, prompt="a blue boat")
    values = settings_of(maker, **{"hires/scale": 1.5, "hires/upscaler": "Lanczos", "hires/prompt": "a large boat"})
    maker.larger("{}", seen(row.id), VISIT, **values)
    (request,) = jobs(page.server)
    assert toasts == []
    assert (request.prompt, request.seed, request.images, request.steps) == ("a blue boat", 9, 1, 4)
    assert (request.width, request.height) == (64, 64)
    assert (request.hires.scale, request.hires.upscaler, request.hires.prompt) == (1.5, "Lanczos", "a large boat")
    assert page.server.inputs.open(request.hires.image).getpixel((0, 0)) == (200, 0, 0)


def test_why_it_cannot_is_said_and_nothing_is_queued(page: Page, toasts: list[str]) -> None:
    with page.blocks:
        maker = Txt2img(page, "txt2img")
    row = put_picture(page.server)
    wide = Recipe(width=2400, height=64, prompt="a", model="starter", steps=2, sampler="Euler", schedule="Karras")
    path = page.server.files.save(Picture(Image.new("RGB", (2400, 64)), wide))
    large = page.server.library.add(path, wide, write(wide), "local", (2400, 64))
    maker.larger("{}", seen(0), VISIT, **settings_of(maker))
    maker.larger("{}", seen(large.id), VISIT, **settings_of(maker))
    maker.larger("{}", seen(row.id), VISIT, **settings_of(maker, **{"hires/scale": 9}))
    row.path.unlink()
    maker.larger("{}", seen(row.id), VISIT, **settings_of(maker))
    assert [text.partition(".")[0] for text in toasts] == [
        "There is no picture here to make larger",
        "The picture is 2400×64 pixels",
        "Times as large is 9",
        f"The picture {row.path.name.partition('.')[0]}",
    ]
    assert jobs(page.server) == []


def test_the_button_lies_beneath_the_picture_and_says_what_it_does(server: Server) -> None:
    for language in ("en", "ko"):
        words = load_words(language)
        panel = result_panel.parameters(put_picture(server), words)
        assert 'data-press="txt2img_larger"' in panel and f'aria-label="{words.say("ui.larger")}"' in panel
    assert result_panel.parameters(None, words) == ""
