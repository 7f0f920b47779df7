"""What of a form becomes part of a request: pictures, masks, paint, and the units of ControlNet."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import gradio as gr
import pytest
from PIL import Image, ImageColor, ImageDraw

from modules.errors import BadRequest
from modules.offers import PreprocessorOffer, Slider
from modules.server.server import Server
from modules.ui.fields import as_request
from modules.ui.page_words import PageWords, explain
from modules.ui.painter import layer_of
from modules.ui.source import suiting
from modules.ui.tab import Page
from modules.ui.tabs.controlnet import ControlNet
from modules.ui.tabs.img2img import Img2img
from modules.ui.tabs.inpaint import Inpaint
from modules.ui.tabs.txt2img import Txt2img
from modules.ui.top import build_top
from modules.ui.units import controls_of, options_of
from modules.ui.well import well
from modules.words import load_words
from tests.fake_captioners import put_blip, put_tagger
from tests.serving import running
from tests.ui.conftest import put_picture

VISIT = cast(gr.Request, SimpleNamespace(headers={}))


def form_of(maker: Any, **values: Any) -> dict[str, Any]:
    return {**maker.form.defaults(), "model": "starter", **values}


def paint(size: tuple[int, int] = (64, 64)) -> Image.Image:
    layer = Image.new("RGBA", size)
    ImageDraw.Draw(layer).rectangle((0, 0, 15, 15), fill=(255, 0, 0, 255))
    return layer


def painted_on(page: Page, name: str) -> str:
    """Return what the field says when `paint` lies on the picture of that name."""
    return json.dumps({"on": name, "layer": page.server.inputs.keep(paint())})


def test_parts_of_a_request_are_nested() -> None:
    values = {"prompt": "a", "init/image": "x", "mask/soft/schedule_bias": 2, "wild.on": True, "seed": " "}
    assert as_request(values) == {
        "prompt": "a",
        "init": {"image": "x"},
        "mask": {"soft": {"schedule_bias": 2}},
        "extras": {"wild": {"on": True}},
    }


@pytest.mark.parametrize(
    ("size", "native", "found"),
    [
        ((504, 300), 512, (504, 304)),
        ((4000, 3000), 512, (592, 440)),
        ((128, 128), 128, (128, 128)),
        ((30, 9000), 512, (64, 2048)),
    ],
)
def test_a_size_is_proposed_that_suits_picture_and_checkpoint(
    size: tuple[int, int], native: int, found: tuple[int, int]
) -> None:
    assert suiting(*size, native) == found


def test_the_editor_is_no_input_of_a_listener_of_the_server(page: Page) -> None:
    """Gradio would have it send all it holds whenever the server answers anything."""
    with page.blocks:
        makers = [Img2img(page, "img2img"), Inpaint(page, "inpaint")]
        for maker in makers:
            maker.connect()
    editors = {maker.painter.editor._id for maker in makers}
    listeners = [each for each in page.blocks.config["dependencies"] if editors & {*each["inputs"]}]
    assert listeners and not any(each["backend_fn"] for each in listeners)
    assert all(each["show_progress_on"] == [] for each in page.blocks.config["dependencies"])


def test_a_picture_becomes_a_request_and_paint_on_it_is_part_of_it(page: Page) -> None:
    with page.blocks:
        maker = Img2img(page, "img2img")
    with pytest.raises(BadRequest, match="no picture yet"):
        maker.asked(form_of(maker))
    name = page.server.inputs.keep(Image.new("RGB", (64, 64), "blue"))
    (request,) = maker.asked(form_of(maker, **{"init/image": name, "init/denoising_strength": 0.3, "scale_by": 2}))
    assert request.init is not None and (request.init.image, request.init.denoising_strength) == (name, 0.3)
    assert (request.width, request.height) == (128, 128)
    (painted,) = maker.asked(form_of(maker, **{"init/image": name, "painted": painted_on(page, name)}))
    assert painted.init is not None
    image = page.server.inputs.open(painted.init.image)
    assert (image.getpixel((3, 3)), image.getpixel((40, 40))) == ((255, 0, 0), (0, 0, 255))
    with pytest.raises(BadRequest, match=r"from 0\.0 to 4\.0"):
        maker.asked(form_of(maker, **{"init/image": name, "scale_by": 9}))


def test_a_picture_is_made_larger_in_tiles_of_width_and_height_when_asked_to(page: Page) -> None:
    with page.blocks:
        maker = Img2img(page, "img2img")
    name = page.server.inputs.keep(Image.new("RGB", (64, 64), "blue"))
    form = form_of(maker, **{"init/image": name, "scale_by": 2, "width": 96, "height": 64, "tiles/overlap": 16})
    (plain,) = maker.asked(form)
    assert plain.tiles is None and plain.width == 128
    (request,) = maker.asked({**form, "in_tiles": True, "tiles/scale": 3, "tiles/joined": "step"})
    assert request.tiles is not None and (request.width, request.height) == (96, 64)
    assert (request.tiles.scale, request.tiles.overlap, request.tiles.joined) == (3, 16, "step")
    with pytest.raises(BadRequest) as refused:
        maker.asked({**form, "in_tiles": True, "tiles/scale": 9})
    assert "Times as large is 9" in explain(refused.value, load_words())


def test_many_pictures_are_a_job_each(page: Page) -> None:
    with page.blocks:
        maker = Img2img(page, "img2img")
    names = [page.server.inputs.keep(Image.new("RGB", (64, 64), colour)) for colour in ("red", "blue")]
    many = json.dumps([[name, "folder/x"] for name in names])
    asked = maker.asked(form_of(maker, many=many, painted=painted_on(page, names[0])))
    assert [each.init.image for each in asked if each.init is not None] == names


def test_what_is_painted_is_the_mask_and_colours_count_only_when_kept(page: Page) -> None:
    with page.blocks:
        maker = Inpaint(page, "inpaint")
    inputs = page.server.inputs
    name = inputs.keep(Image.new("RGB", (64, 64), "blue"))
    with pytest.raises(BadRequest, match="Nothing is masked yet"):
        maker.asked(form_of(maker, **{"init/image": name}))
    painted = painted_on(page, name)
    (request,) = maker.asked(form_of(maker, **{"init/image": name, "painted": painted}))
    assert request.init is not None and request.mask is not None and request.init.image == name
    assert request.mask.soft is None
    mask = inputs.open(request.mask.image)
    assert (mask.getpixel((3, 3)), mask.getpixel((40, 40))) == ((255,) * 3, (0,) * 3)
    (kept,) = maker.asked(form_of(maker, **{"init/image": name, "painted": painted, "keep_paint": True, "soft": True}))
    assert kept.init is not None and inputs.open(kept.init.image).getpixel((3, 3)) == (255, 0, 0)
    assert kept.mask is not None and kept.mask.soft is not None


def test_painting_beyond_an_edge_makes_the_picture_larger_and_masks_what_is_new(page: Page) -> None:
    with page.blocks:
        maker = Inpaint(page, "inpaint")
    inputs = page.server.inputs
    name = inputs.keep(Image.new("RGB", (64, 64), "blue"))
    (request,) = maker.asked(form_of(maker, **{"init/image": name, "outpaint_down": 32, "mask/area": "whole"}))
    assert request.init is not None and inputs.open(request.init.image).size == (64, 96)
    assert request.mask is not None and (request.mask.area, request.mask.padding) == ("masked", 64)
    assert (request.width, request.height) == (64, 64)
    mask = inputs.open(request.mask.image)
    assert (mask.getpixel((30, 10)), mask.getpixel((30, 90))) == ((0,) * 3, (255,) * 3)


def test_paint_that_was_kept_counts_for_its_picture_only(server: Server) -> None:
    layer = server.inputs.keep(paint())
    text = json.dumps({"on": "a", "layer": layer})
    assert layer_of(server, text, "a") is not None
    for other in ("", "nonsense", "[]", json.dumps({"on": "b", "layer": layer}), json.dumps({"on": "a", "layer": 5})):
        assert layer_of(server, other, "a") is None


def test_a_picture_is_described_in_the_prompt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr("modules.ui.source.gr.Warning", said.append)
    with running(tmp_path) as server:
        words = PageWords()
        with gr.Blocks() as blocks:
            top = build_top(server, words)
            maker = Inpaint(Page(server, words, blocks, top.model, top.health, top), "inpaint")
            maker.connect()
        name = server.inputs.keep(Image.new("RGB", (64, 64), "blue"))
        assert [each["visible"] for each in maker.can_describe()] == [False, True], "there is nobody else to choose"
        assert maker.interrogate(name, "", VISIT) == f"a picture called {name[:4]}"
        assert maker.interrogate("", "", VISIT) == gr.skip() and "There is no picture yet" in said[0]
        assert maker.interrogate("0" * 64, "", VISIT) == gr.skip() and len(said) == 2


def test_nobody_describes_pictures_where_there_is_no_captioner(page: Page) -> None:
    with page.blocks:
        maker = Img2img(page, "img2img")
        assert maker.describe.visible is False
        put_blip(page.server.settings.data_dir)
        assert [each["visible"] for each in maker.can_describe()] == [False, True], "a model was put there meanwhile"
        put_tagger(page.server.settings.data_dir)
        chosen, button = maker.can_describe()
        assert chosen["visible"] and chosen["choices"] == ["BLIP/tiny", "WD14/tiny"] and button["visible"]
        assert chosen["value"] == "BLIP/tiny"


def test_units_that_are_on_become_controls(server: Server) -> None:
    form = {
        "unit_0/enabled": True,
        "unit_0/image": "0" * 64,
        "unit_0/preprocessor": "canny",
        "unit_0/model": "edges",
        "unit_0/option_0": 50,
        "unit_0/option_1": 999,
        "unit_1/enabled": False,
        "unit_1/model": "other",
    }
    (unit,) = controls_of(server, form)
    assert (unit["model"], unit["preprocessor"], unit["image"]) == ("edges", "canny", "0" * 64)
    assert "enabled" not in unit and not any(name.startswith("option_") for name in unit)


def test_a_unit_with_many_pictures_makes_a_job_of_each(page: Page) -> None:
    """In the n-th, each unit has its n-th picture; one with a single picture keeps it, one that is off says nothing."""
    with page.blocks:
        maker = ControlNet(page, "controlnet")
    colours = ("red", "green", "blue")
    inputs = page.server.inputs
    files = [[inputs.keep(Image.new("RGB", (64, 64), colour)), colour] for colour in colours]
    alone = page.server.inputs.keep(Image.new("RGB", (64, 64), "white"))
    on = {
        "unit_0/enabled": True,
        "unit_0/model": "a",
        "unit_1/enabled": True,
        "unit_1/model": "b",
        "unit_1/image": alone,
    }
    requests = maker.asked(form_of(maker, **on, many_0=json.dumps(files), many_1=None, many_2=json.dumps(files[:2])))
    shown = [[page.server.inputs.open(unit.image).getpixel((3, 3)) for unit in each.controls] for each in requests]
    assert shown == [[ImageColor.getrgb(colour), (255, 255, 255)] for colour in colours]
    assert set(maker.besides()) == {"many_0", "many_1", "many_2"}
    (one,) = maker.asked(form_of(maker, **on | {"unit_0/image": alone}, many_0="[]"))
    assert [unit.image for unit in one.controls] == [alone, alone]
    with pytest.raises(BadRequest, match=r"different numbers of pictures \(3, 2\)"):
        maker.asked(form_of(maker, **on, many_0=json.dumps(files), many_1=json.dumps(files[:2])))


def test_the_numbers_of_a_preprocessor_go_by_its_names_within_its_bounds() -> None:
    offer = PreprocessorOffer(
        "p", "p", sliders=(Slider("low", "Low", 1, 255, 100), Slider("high", "High", 1, 255, 200))
    )
    assert options_of(offer, [50, 999]) == {"low": 50, "high": 255}
    assert options_of(offer, [None, None]) == {"low": 100, "high": 200}
    assert options_of(None, [1, 2]) == {}


def test_a_place_for_a_picture_shows_it_and_escapes_what_it_is_called() -> None:
    words = load_words("en")
    empty = well("", None, "img2img_init_image", "init_picture", words)
    assert 'type="file"' in empty and "<img" not in empty
    full = well("0" * 64, (640, 480), "img2img_init_image", "init_picture", words)
    assert "640 × 480" in full and f"/easel/inputs/768/{'0' * 64}.webp" in full


def test_a_picture_that_is_sent_fills_the_form(page: Page) -> None:
    row = put_picture(page.server, seed=9, prompt="a blue boat")
    with page.blocks:
        maker = Img2img(page, "img2img")
    filled = dict(maker.taken(row))
    assert (filled["prompt"], filled["seed"], filled["width"]) == ("a blue boat", "9", 64)
    assert page.server.inputs.open(filled["init/image"]).size == (64, 64)
    assert isinstance(maker.arrive("nonsense"), dict)


def test_a_second_pass_is_asked_for_only_when_it_is_switched_on(page: Page) -> None:
    with page.blocks:
        maker = Txt2img(page, "txt2img")
    (plain,) = maker.asked(form_of(maker))
    assert plain.hires is None
    (twice,) = maker.asked(form_of(maker, hires_on=True, **{"hires/scale": 1.5, "hires/upscaler": "Latent (nearest)"}))
    assert twice.hires is not None and (twice.hires.scale, twice.hires.upscaler) == (1.5, "Latent (nearest)")
    with pytest.raises(BadRequest, match="from 1"):
        maker.asked(form_of(maker, hires_on=True, **{"hires/scale": 9}))


def test_paint_that_was_kept_is_seen_and_the_next_stroke_is_laid_on_it(page: Page) -> None:
    with page.blocks:
        maker = Inpaint(page, "inpaint")
    name = page.server.inputs.keep(Image.new("RGB", (64, 64), "blue"))
    shown, told = maker.painter.begin(name, painted_on(page, name))
    assert (shown["background"].getpixel((3, 3)), shown["background"].getpixel((40, 40))) == ((255, 0, 0), (0, 0, 255))
    stroke = Image.new("RGBA", (64, 64))
    ImageDraw.Draw(stroke).rectangle((40, 40, 50, 50), fill=(0, 255, 0, 255))
    after = json.dumps({**json.loads(told), "layer": page.server.inputs.keep(stroke)})
    both = layer_of(page.server, after, name)
    assert both is not None
    assert [both.getpixel(at) for at in ((3, 3), (45, 45), (30, 30))] == [(255, 0, 0, 255), (0, 255, 0, 255), (0,) * 4]
    other = page.server.inputs.keep(Image.new("RGB", (64, 64), "white"))
    assert maker.painter.begin(other, after)[0]["background"].getpixel((3, 3)) == (255, 255, 255)
