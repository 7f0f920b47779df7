"""Masks and sketches by numbers: what is painted on the picture, what the editor shows, and what is refused."""

import json
import re
from types import SimpleNamespace
from typing import Any, cast

import gradio as gr
import pytest
from PIL import Image

from modules.ui.painter import layer_of
from modules.ui.tab import Page
from modules.ui.tabs.img2img import Img2img
from modules.ui.tabs.inpaint import Inpaint

VISIT = cast(gr.Request, SimpleNamespace(headers={}))
HALF: dict[str, Any] = {"shape_left": 0, "shape_top": 0, "shape_width": 50, "shape_height": 100}
HALF |= {"shape": "rectangle", "colour": "#e03131"}


def asked(maker: Any, **values: Any) -> Any:
    (request,) = maker.asked({**maker.form.defaults(), "model": "starter", **values})
    return request


def test_a_mask_by_numbers_masks_that_part(page: Page) -> None:
    with page.blocks:
        maker = Inpaint(page, "inpaint")
        maker.connect()
    inputs = page.server.inputs
    name = inputs.keep(Image.new("RGB", (3000, 1500), "blue"))
    painted, shown, said = maker.shapes.paint(name, "", VISIT, **HALF)
    assert "50.0 % of the picture is painted" in said
    (seen,) = re.findall(r"/easel/inputs/768/([0-9a-f]{64})\.webp", said)
    assert [inputs.open(seen).getpixel((across, 100)) for across in (100, 900)] == [(224, 49, 49), (0, 0, 255)]
    assert shown["background"].size == (1024, 512) and shown["layers"] == []
    assert [shown["background"].getpixel((across, 100)) for across in (100, 900)] == [(224, 49, 49), (0, 0, 255)]
    layer = layer_of(page.server, painted, name)
    assert layer is not None and layer.getpixel((100, 100)) == (224, 49, 49, 255)
    request = asked(maker, **{"init/image": name, "painted": painted})
    mask = inputs.open(request.mask.image).convert("L")
    assert mask.size == (3000, 1500)
    assert (mask.getpixel((1480, 700)), mask.getpixel((1520, 700))) == (255, 0)
    fewer, _, said = maker.shapes.wipe(name, painted, VISIT, **HALF | {"shape_width": 25, "shape_height": 50})
    assert "37.5 %" in said
    nothing, shown, said = maker.shapes.wipe(name, fewer, VISIT, **HALF)
    assert "0.0 %" in said and json.loads(nothing) == {"on": name, "layer": "", "base": ""}
    assert shown["background"].getpixel((100, 100)) == (0, 0, 255)


def test_a_sketch_by_numbers_is_part_of_the_picture(page: Page) -> None:
    with page.blocks:
        maker = Img2img(page, "img2img")
        maker.connect()
    name = page.server.inputs.keep(Image.new("RGB", (64, 64), "blue"))
    painted = maker.shapes.paint(name, "", VISIT, **HALF)[0]
    right = {"shape_left": 60, "shape_width": 40, "colour": "#ffffff"}
    more = maker.shapes.paint(name, painted, VISIT, **HALF | right)[0]
    image = page.server.inputs.open(asked(maker, **{"init/image": name, "painted": more}).init.image)
    assert [image.getpixel((across, 30)) for across in (10, 35, 50)] == [(224, 49, 49), (0, 0, 255), (255, 255, 255)]


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"shape_left": 101}, "From the left, % is 101. It must be a number from 0.0 to 100.0."),
        ({"shape_width": 0}, "Width, % is 0. It must be a number from 0.1 to 100.0."),
        ({"shape_height": None}, "Height, % is . It must be a number from 0.1"),
        ({"shape_top": "x"}, "From the top, % is x."),
    ],
)
def test_numbers_that_are_none_are_refused(
    page: Page, monkeypatch: pytest.MonkeyPatch, values: dict[str, Any], said: str
) -> None:
    told: list[str] = []
    monkeypatch.setattr("modules.ui.shapes.gr.Warning", told.append)
    with page.blocks:
        maker = Inpaint(page, "inpaint")
    name = page.server.inputs.keep(Image.new("RGB", (64, 64), "blue"))
    assert maker.shapes.paint(name, "", VISIT, **HALF | values) == (gr.skip(),) * 3
    assert maker.shapes.paint("", "", VISIT, **HALF) == (gr.skip(),) * 3
    assert said in told[0] and "There is no picture yet" in told[1]
