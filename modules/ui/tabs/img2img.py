"""The tab that paints over a picture, or over a sketch of one."""

from collections.abc import Mapping, Sequence
from typing import Any

import gradio as gr
from gradio.components import Component
from PIL import Image

from modules.hooks import hookimpl
from modules.images.paint import painted_over
from modules.images.resize import flattened, scaled_size
from modules.request import SIZE, Request
from modules.ui.fields import Form
from modules.ui.painter import Painter, layer_of
from modules.ui.source import COLOURS, SourceMaker
from modules.ui.tab import Page, Tab
from modules.ui.uploads import uploaded
from modules.ui.well import Well

NAME = "img2img"


@hookimpl
def tabs() -> Sequence[Tab]:
    """Offer this tab."""
    return [Tab(NAME, 20, build)]


def build(page: Page) -> None:
    """Build the tab: components first, then what happens when they are used."""
    Img2img(page, NAME).connect()


class Img2img(SourceMaker):
    """The tab: a picture, how much of it changes, and a sketch on it."""

    def build(self, form: Form) -> None:
        """Build the picture, its fields, the sketch, and the place for many pictures."""
        self.well = Well(self.server, self.words, form, "init/image", "init_picture")
        self.strength(form)
        self.resizing(form, latent=True)
        with gr.Accordion(self.words("sketch"), open=False, elem_classes="part"):
            self.painter = Painter(self.server, self.words, form, "sketch_hint", COLOURS)
        with gr.Accordion(self.words("many_pictures"), open=False, elem_classes="part"):
            self.many = gr.File(
                file_count="multiple",
                file_types=["image"],
                label=self.words("many_pictures_hint"),
                elem_id=f"{NAME}_many",
                height=140,
            )

    def besides(self) -> dict[str, Component]:
        """Return the files of a batch."""
        return {"many": self.many}

    def asked(self, values: Mapping[str, Any]) -> list[Request]:
        """Return one request for the picture, or one for each picture of a batch."""
        form = dict(values)
        painted, many = form.pop("painted", ""), form.pop("many", None) or []
        names = [self.server.inputs.put(data) for data in uploaded(many)] or [form.get("init/image") or ""]
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
        if not factor:
            return {}
        width, height = scaled_size(image.width, image.height, factor, *SIZE)
        return {"width": width, "height": height}
