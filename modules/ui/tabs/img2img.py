"""The tab that paints over a picture, or over a sketch of one."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import gradio as gr
from gradio.components import Component
from PIL import Image

from modules.hooks import hookimpl
from modules.images.paint import painted_over
from modules.images.resize import flattened, scaled_size
from modules.model_manager.extras_task import upscaler_names
from modules.request import SIZE, Request, Tiles
from modules.ui.fields import Form
from modules.ui.listeners import QUIET
from modules.ui.painter import Painter, layer_of
from modules.ui.pile import Pile, brought
from modules.ui.shapes import Shapes
from modules.ui.source import COLOURS, SourceMaker
from modules.ui.tab import Page, Tab
from modules.ui.well import Well

NAME = "img2img"
BATCH = 100  # pictures of one click
JOINED = MappingProxyType({"end": "joined_end", "step": "joined_step"})


@hookimpl
def tabs() -> Sequence[Tab]:
    """Offer this tab."""
    return [Tab(NAME, 20, build)]


def build(page: Page) -> None:
    """Build the tab: components first, then what happens when they are used."""
    Img2img(page, NAME).connect()


class Img2img(SourceMaker):
    """The tab: a picture, how much of it changes, a sketch on it, and how it becomes larger in tiles."""

    def build(self, form: Form) -> None:
        """Build the picture, its fields, the sketch, the tiles, and the place for many pictures."""
        self.pile = Pile(self.server, self.words, f"{NAME}_many", BATCH)
        self.well = Well(self.server, self.words, form, "init/image", "init_picture")
        self.describing()
        self.strength(form)
        self.resizing(form, latent=True)
        self.details(form)
        with gr.Accordion(self.words("sketch"), open=False, elem_classes="part"):
            self.painter = Painter(self.server, self.words, form, "sketch_hint", COLOURS)
            self.shapes = Shapes(self.words, NAME, self.painter, self.words("sketch_numbers"), COLOURS)
        with gr.Accordion(self.words("in_tiles"), open=False, elem_classes="part"):
            self._tiles(form)
        with gr.Accordion(self.words("many_pictures"), open=False, elem_classes="part") as self.many:
            gr.Markdown(self.words("many_pictures_hint"), elem_classes="hint")
            self.pile.build()

    def _tiles(self, form: Form) -> None:
        """Build the fields of how the picture becomes larger in tiles."""
        on = gr.Checkbox(False, label=self.words("in_tiles_on"), elem_id=f"{NAME}_in_tiles", min_width=0)
        form.add("in_tiles", on)
        with gr.Row(elem_classes="line two"):
            names = upscaler_names(self.server.catalog, self.server.offers.upscalers)
            form.add(
                "tiles/upscaler",
                gr.Dropdown(
                    names,
                    value=Tiles.model_fields["upscaler"].default,
                    label=self.words("tiles_upscaler"),
                    elem_id=f"{NAME}_tiles_upscaler",
                    allow_custom_value=True,
                    min_width=0,
                ),
            )
            ways = [(self.words(label), way) for way, label in JOINED.items()]
            box = gr.Dropdown(
                ways, value="end", label=self.words("joined"), elem_id=f"{NAME}_tiles_joined", min_width=0
            )
            form.add("tiles/joined", box)
        self._sliding(form, "tiles/scale", "tiles_scale", Tiles, 0.05)
        self._sliding(form, "tiles/overlap", "overlap", Tiles, 8)

    def besides(self) -> dict[str, Component]:
        """Return the pictures of a batch."""
        return {"many": self.pile.brought}

    def asked(self, values: Mapping[str, Any]) -> list[Request]:
        """Return one request for the picture, or one for each picture of a batch."""
        form = dict(values)
        painted, many = form.pop("painted", ""), brought(form.pop("many", None) or "")
        if not form.pop("in_tiles", False):
            form = {each: value for each, value in form.items() if not each.startswith("tiles/")}
        names = [name for name, _ in many[:BATCH]] or [form.get("init/image") or ""]
        requests = []
        for name in names:
            image = self.opened(name)
            layer = None if many else layer_of(self.server, painted, name)
            if layer is not None:
                plain = flattened(image, str(form.get("init/background") or "#ffffff"))
                name = self.server.inputs.keep(painted_over(plain, layer))
            requests.append(self.with_more({**form, "init/image": name}, self.scaled(form, image)))
        return requests

    def scaled(self, form: Mapping[str, Any], image: Image.Image) -> dict[str, Any]:
        """Return width and height where the form says by what factor the picture is scaled; 0 says by none."""
        factor = self.number(form, "scale_by", 0.0, 4.0)
        if not factor or "tiles/scale" in form:  # in tiles, width and height are those of a tile
            return {}
        width, height = scaled_size(image.width, image.height, factor, *SIZE)
        return {"width": width, "height": height}

    def connect(self) -> None:
        """Connect the components."""
        super().connect()
        self.pile.connect()
        self.shapes.connect(self.well.field, self.keeper("painted"))
        self.pile.arrival.change(lambda: gr.update(open=True), None, self.many, **QUIET)
        # The file of an upscaler may come at any time; whoever opens the list sees what is there now.
        box: Any = self.form.components["tiles/upscaler"]
        box.focus(self.upscalers, None, box, **QUIET)

    def upscalers(self) -> Any:
        """Return the upscalers there are now."""
        return gr.update(choices=upscaler_names(self.server.catalog, self.server.offers.upscalers))
