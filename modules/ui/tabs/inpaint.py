"""The tab that paints over a part of a picture, and beyond its edges."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import gradio as gr
from PIL import Image, ImageChops

from modules.errors import BadRequest
from modules.hooks import hookimpl
from modules.images.mask import read_mask
from modules.images.outpaint import MOST, Margins, extended
from modules.images.paint import painted_over, where_painted
from modules.images.resize import flattened
from modules.request import Mask, Request, Soft
from modules.ui.fields import Form
from modules.ui.painter import Painter, layer_of
from modules.ui.shapes import Shapes
from modules.ui.source import COLOURS, SourceMaker, suiting
from modules.ui.tab import Page, Tab
from modules.ui.well import Well

NAME = "inpaint"
CONTEXT, MOST_PADDING = 64, 256  # pixels of the old picture that are seen when it is painted on
PAINTS = ("#ff4fa3", *COLOURS)  # the first one is in few pictures
SIDES = ("left", "right", "up", "down")
FILLS = MappingProxyType(
    {"fill": "fill_fill", "original": "fill_original", "noise": "fill_noise", "nothing": "fill_nothing"}
)
OWN = ("painted", "uploaded_mask", "keep_paint", "soft", *(f"outpaint_{side}" for side in SIDES))  # not the request's


@hookimpl
def tabs() -> Sequence[Tab]:
    """Offer this tab."""
    return [Tab(NAME, 30, build)]


def build(page: Page) -> None:
    """Build the tab: components first, then what happens when they are used."""
    Inpaint(page, NAME).connect()


class Inpaint(SourceMaker):
    """The tab: a picture, the mask on it, and what becomes of what is masked."""

    def build(self, form: Form) -> None:
        """Build the picture, the editor, the mask's fields, soft inpainting and outpainting."""
        self.well = Well(self.server, self.words, form, "init/image", "init_picture")
        self.describing()
        self.painter = Painter(self.server, self.words, form, "mask_hint", PAINTS)
        self.shapes = Shapes(self.words, NAME, self.painter, self.words("mask_numbers"), PAINTS)
        self._switch(form, "keep_paint", "keep_paint")
        self.strength(form)
        with gr.Row(elem_classes="line two"):
            self._choice(form, "mask/fill", "fill", [(self.words(label), fill) for fill, label in FILLS.items()])
            areas = [(self.words("area_whole"), "whole"), (self.words("area_masked"), "masked")]
            self._choice(form, "mask/area", "area", areas)
        self._sliding(form, "mask/blur", "mask_blur", Mask, 1)
        self._sliding(form, "mask/padding", "padding", Mask, 4)
        self._switch(form, "mask/invert", "mask_invert")
        with gr.Accordion(self.words("upload_mask"), open=False, elem_classes="part"):
            self.uploaded = Well(self.server, self.words, form, "uploaded_mask", "uploaded_mask")
        with gr.Accordion(self.words("soft"), open=False, elem_classes="part"):
            self._switch(form, "soft", "soft_on")
            for name, info in Soft.model_fields.items():
                self._sliding(form, f"mask/soft/{name}", name, Soft, 1 if info.default >= 4 else 0.05)
        self.details(form)
        with gr.Accordion(self.words("outpaint"), open=False, elem_classes="part"), gr.Row(elem_classes="line four"):
            for side in SIDES:
                label = self.words(f"outpaint_{side}")
                box = gr.Number(0, label=label, elem_id=f"{NAME}_outpaint_{side}", step=8, min_width=0)
                form.add(f"outpaint_{side}", box)

    def asked(self, values: Mapping[str, Any]) -> list[Request]:
        """Return the request: a picture, its mask, and what is wanted there."""
        form = dict(values)
        own = {name: form.pop(name, None) for name in OWN}
        name = form.get("init/image") or ""
        image = self.opened(name)
        margins = Margins(*(round(self.number(own, f"outpaint_{side}", 0, MOST)) for side in SIDES))
        more: dict[str, Any] = {}
        if not own["soft"]:
            form = {each: value for each, value in form.items() if not each.startswith("mask/soft/")}
        layer = layer_of(self.server, own["painted"] or "", name)
        if layer is not None and own["keep_paint"]:
            image = painted_over(flattened(image, "#ffffff"), layer)
            name = self.server.inputs.keep(image)
        mask = self._mask(image, layer, own["uploaded_mask"] or "", bool(own["keep_paint"]))
        if margins:
            whole, new = extended(flattened(image, "#ffffff"), margins)
            if mask is not None:
                new.paste(ImageChops.lighter(new.crop(_within(margins, mask)), mask), (margins.left, margins.up))
            name, mask = self.server.inputs.keep(whole), new
            # What is new is made at a size the checkpoint was made for, with as much of the old around it.
            width, height = suiting(image.width, image.height, self.studio.native_size(form.get("model") or ""))
            padding = min(max(margins.left, margins.right, margins.up, margins.down, CONTEXT), MOST_PADDING)
            more = {"width": width, "height": height, "mask/area": "masked", "mask/padding": padding}
            more |= {"mask/invert": False}
        if mask is None:
            raise BadRequest("no_mask")
        return [self.with_more({**form, "init/image": name, "mask/image": self.server.inputs.keep(mask)}, more)]

    def _mask(self, image: Image.Image, layer: Image.Image | None, uploaded: str, grown: bool) -> Image.Image | None:
        """Return what is painted and what was given as a mask, together; None when there is neither."""
        masks = [] if layer is None else [where_painted(layer, image.size, grown)]
        if uploaded:
            masks.append(read_mask(self.server.inputs.open(uploaded), image.size, rounded=False))
        if not masks:
            return None
        return ImageChops.lighter(*masks) if len(masks) == 2 else masks[0]

    def connect(self) -> None:
        """Connect the components."""
        super().connect()
        self.uploaded.connect(self.keeper("uploaded_mask"))
        self.shapes.connect(self.well.field, self.keeper("painted"))

    def _switch(self, form: Form, field: str, label: str) -> None:
        form.add(field, gr.Checkbox(False, label=self.words(label), elem_id=_id(field), min_width=0))

    def _choice(self, form: Form, field: str, label: str, choices: list[Any]) -> None:
        default = Mask.model_fields[field.rpartition("/")[2]].default
        box = gr.Dropdown(choices, value=default, label=self.words(label), elem_id=_id(field), min_width=0)
        form.add(field, box)


def _id(field: str) -> str:
    return f"{NAME}_{field.replace('/', '_')}"


def _within(margins: Margins, mask: Image.Image) -> tuple[int, int, int, int]:
    return margins.left, margins.up, margins.left + mask.width, margins.up + mask.height
