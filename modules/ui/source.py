"""What tabs share that paint over a picture: its fields, its size in the form, and how a request comes of them."""

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

import gradio as gr
from PIL import Image

from modules.errors import BadRequest, EaselError
from modules.library.pictures import PictureRow
from modules.request import InitImage, Request
from modules.tasks import make_interrogate
from modules.ui import pieces
from modules.ui.fields import Form
from modules.ui.listeners import AS_TYPED, QUEUED, QUIET
from modules.ui.maker import Maker
from modules.ui.opened import when_opened
from modules.ui.page_words import explain, sentence
from modules.ui.painter import Painter
from modules.ui.waiting import awaited
from modules.ui.well import Well

# What the brush offers; the first is in use.
COLOURS = ("#e03131", "#f08c00", "#f5d90a", "#2f9e44", "#1c7ed6", "#9c36b5", "#8d5524", "#111111", "#ffffff")
RESIZE = MappingProxyType(
    {"stretch": "resize_stretch", "crop": "resize_crop", "fill": "resize_fill", "latent": "resize_latent"}
)
STEP = 8  # pixels that sides divide by
LARGER = 1.5  # times the checkpoint's own area; a picture beyond that is proposed to be made smaller


class SourceMaker(Maker):
    """A tab that paints over a picture: `build` makes `well`, where it lies, and `painter`."""

    well: Well
    painter: Painter

    def strength(self, form: Form) -> None:
        """Build the field that says how much of the picture changes."""
        self._sliding(form, "init/denoising_strength", "denoising_strength", InitImage, 0.01)

    def describing(self) -> None:
        """Build the button that has the picture described, and the choice by whom; they are there when somebody can."""
        names = self.server.captioners()
        self.captioner = gr.Dropdown(
            names,
            value=names[0] if names else "",
            label=self.words("captioner"),
            elem_id=f"{self.name}_captioner",
            visible=len(names) > 1,
            min_width=0,
        )
        name = f"{self.name}_interrogate"
        self.describe = gr.Button(self.words("interrogate"), elem_id=name, elem_classes="wide", visible=bool(names))

    def resizing(self, form: Form, latent: bool) -> None:
        """Build the fields of how a picture comes to the size that is made."""
        modes = [(self.words(label), mode) for mode, label in RESIZE.items() if latent or mode != "latent"]
        box = gr.Dropdown(
            modes,
            value="stretch",
            label=self.words("resize_mode"),
            elem_id=f"{self.name}_init_resize_mode",
            min_width=0,
        )
        form.add("init/resize_mode", box)
        with gr.Row(elem_classes="line two"):
            by = gr.Number(0, label=self.words("scale_by"), elem_id=f"{self.name}_scale_by", step=0.05, min_width=0)
            form.add("scale_by", by)
            paper = gr.ColorPicker(
                "#ffffff", label=self.words("background"), elem_id=f"{self.name}_init_background", min_width=0
            )
            form.add("init/background", paper)
        correct = gr.Checkbox(
            False, label=self.words("color_correction"), elem_id=f"{self.name}_init_color_correction", min_width=0
        )
        form.add("init/color_correction", correct)

    def details(self, form: Form) -> None:
        """Build the fields of the noise over a picture and of what a mask hides of it, in a closed accordion."""
        with gr.Accordion(self.words("init_details"), open=False, elem_classes="part"):
            self._box(form, "noise_multiplier", self.words("noise_multiplier"))
            self._box(form, "mask_weight", self.words("mask_weight"))

    def _box(self, form: Form, name: str, label: Any) -> None:
        usual = InitImage.model_fields[name].default
        made = gr.Number(usual, label=label, elem_id=f"{self.name}_init_{name}", step=0.01, min_width=0)
        form.add(f"init/{name}", made)

    def opened(self, name: str) -> Image.Image:
        """Return the picture of that name; raise `BadRequest` when none was given."""
        if not name:
            raise BadRequest("no_picture")
        return self.server.inputs.open(name)

    def number(self, form: Mapping[str, Any], field: str, least: float, most: float) -> float:
        """Return the number in a field that is none of the request's; raise `BadRequest` when it is not allowed."""
        value = form.get(field)
        try:
            number = float(value or 0)
        except (TypeError, ValueError):
            number = float("nan")
        if not least <= number <= most:
            raise BadRequest("number", field=field, value=str(value)[:60], least=least, most=most)
        return number

    def with_more(self, form: Mapping[str, Any], more: Mapping[str, Any]) -> Request:
        """Return the request that the values of the form mean, with those of `more` in place of the form's."""
        known = {name: value for name, value in form.items() if name not in ("scale_by", "painted")}
        return self.request({**known, **more})

    def taken(self, row: PictureRow) -> Iterator[tuple[str, Any]]:
        """Fill in the picture itself and what it was made with."""
        yield from super().taken(row)
        yield "init/image", self.server.inputs.put(row.path.read_bytes())
        sides = row.width, row.height
        if not row.id or row.recipe.postprocessing:  # it may be of any size
            sides = suiting(*sides, self.studio.native_size(""))
        yield from zip(("width", "height"), sides, strict=True)

    def asking(self) -> Iterator[Callable[..., Any]]:
        """Yield the events that ask for pictures: after each, the last stroke is waited for."""
        for event in super().asking():
            yield self.painter.settled(event, self.well.field).then

    def connect(self) -> None:
        """Connect the picture too: it is shown, one can paint on it, and the size in the form follows it."""
        super().connect()
        parts: dict[str, Any] = dict(self.form.components)
        self.well.connect(self.keeper("init/image"))
        self.painter.connect(self.well.field, self.keeper("painted"))
        sides = [parts["width"], parts["height"]]
        # Only what a person puts there: a form that is restored has the size it had.
        prompt = parts["prompt"]
        asked = [self.well.field, self.captioner]
        self.describe.click(self.interrogate, asked, prompt, **AS_TYPED, **QUEUED)
        when_opened(self.can_describe, [self.captioner, self.describe])
        self.well.panel.put(self.fit, parts["model"], sides, **QUIET)

    def can_describe(self) -> Any:
        """Show the button where there is a captioner by now, and the choice where there are several."""
        names = self.server.captioners()
        chosen = gr.update(choices=names, value=names[0] if names else "", visible=len(names) > 1)
        return chosen, gr.update(visible=bool(names))

    def interrogate(self, image: str, captioner: str, request: gr.Request) -> Any:
        """Have the picture described, wait for it, and return the words for the prompt."""
        words = self.words.heard(request)
        try:
            if not image:
                raise BadRequest("no_picture")
            job = self.server.submit_interrogate(make_interrogate({"image": image, "captioner": captioner or ""}))
            found = awaited(self.server, job)
            if caption := self.server.captioned(job):
                self.save(prompt=caption)
                return caption
            error = found.error if found is not None else None
            over = found is not None and found.status == "done"
            waits = words.say("ui.caption_nothing" if over else "ui.caption_waits")
            said = sentence(error.key, error.values, words) if error else waits
        except EaselError as refused:
            said = explain(refused, words)
        gr.Warning(pieces.plain(said))
        return gr.skip()

    def fit(self, model: str, event: gr.EventData) -> Any:
        """Return the width and height that suit a picture that was just put there, and keep them."""
        try:
            image = self.opened(str(dict(event._data or {}).get("name", "")))
        except BadRequest:
            return gr.skip()
        width, height = suiting(image.width, image.height, self.studio.native_size(model or ""))
        self.save(width=width, height=height)
        return [width, height]


def suiting(width: int, height: int, native: int) -> tuple[int, int]:
    """Return the picture's own size in steps of 8, or one of its shape near the `native` area if it is far larger."""
    factor = 1.0
    if width * height > LARGER * native * native:
        factor = (native * native / (width * height)) ** 0.5
    wide, high = (max(64, round(side * factor / STEP) * STEP) for side in (width, height))
    return min(wide, 2048), min(high, 2048)
