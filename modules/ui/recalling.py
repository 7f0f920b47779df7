"""Filling a form from what somebody brings: a text in the prompt, a picture dropped on it or sent from a tab."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from itertools import chain
from typing import Any

import gradio as gr
from gradio.components import Component

from modules.errors import BadRequest
from modules.images.entries import Left, fields_of
from modules.images.inputs import NAME as INPUT_NAME
from modules.images.metadata import Inside, inside
from modules.library.pictures import PictureRow
from modules.prompts.styles import extracted_from_all
from modules.request import Request
from modules.result import Recipe
from modules.server.recall import Recalled, recall, recall_text
from modules.server.server import Server
from modules.ui import pieces
from modules.ui.fields import Form
from modules.ui.tab import Page
from modules.ui.watch import OWNER
from modules.words import Words

LONGEST_TOAST = 1500  # characters
DEFAULTS = ("vae", "clip_skip")  # fields that need not be on the page where they are as usual


class Recalling:
    """Fills the form of one tab; what it has no field for is said."""

    def __init__(self, page: Page, form: Form) -> None:
        self.page = page
        self.server = page.server
        self.form = form

    def read(self, prompt: str, request: gr.Request) -> dict[Component, Any]:
        """Fill the form from the text in the prompt; when that is empty, with what the last picture was made with."""
        words = self.page.words.heard(request)
        if not (prompt or "").strip():
            last = next(iter(self.server.library.recent(1)), None)
            if last is None:
                gr.Info(pieces.plain(words.say("recipes.no_picture")))
                return {}
            return self.fill(of_row(last, self.server), words)
        recalled = recall_text(prompt, self.server)
        if not recalled.has_parameters:
            gr.Info(pieces.plain(words.say("recipes.no_parameters")))
            return {}
        return self.fill(recalled, words)

    def drop(self, told: str, request: gr.Request) -> dict[Component, Any]:
        """Fill the form from a picture that was dropped on the prompt; see `picture_of` for how it is told."""
        words = self.page.words.heard(request)
        refused = (told or "").removeprefix("refused:")
        if refused != (told or ""):
            gr.Warning(pieces.plain(refused[:LONGEST_TOAST]))
            return {}
        row = picture_of(told, self.server)
        if row is None:
            return {}
        recalled = of_row(row, self.server)
        if not recalled.has_parameters and not recalled.values.get("prompt"):
            gr.Info(pieces.plain(words.say("recipes.nothing")))
            return {}
        return self.fill(recalled, words)

    def fill(self, recalled: Recalled, words: Words) -> dict[Component, Any]:
        """Return an update for each field that a text says something of, keep them, and tell what was left out."""
        values = dict(self.values(recalled))
        self.keep(values)
        left = [*recalled.left, *self._elsewhere(recalled)]
        if left:
            lines = [words.say("recipes.filled_but"), *(said(each, words) for each in left)]
            gr.Warning(pieces.plain("\n".join(lines)[:LONGEST_TOAST]))
        else:
            gr.Info(pieces.plain(words.say("recipes.filled")))
        return {self.form.components[name]: value for name, value in values.items()}

    def values(self, recalled: Recalled) -> Iterator[tuple[str, Any]]:
        """Yield each field of the form with the value it gets."""
        components, skipped = self.form.components, self._skipped()
        for name, value in [*self._with_styles(recalled).items(), *_units(recalled)]:
            if name in components and name not in skipped and name.partition("/")[0] not in skipped:
                yield name, str(value) if isinstance(components[name], gr.Textbox) else value

    def _skipped(self) -> frozenset[str]:
        """Return the fields that stay as they are, whatever a text says; "unit_0" is all of a unit."""
        now = self.server.options.now
        entries = [each.strip() for each in now.infotext_skip_pasting.split(",")]
        found = [*map(fields_of, entries), frozenset(["model"] * now.disable_weights_auto_swap)]
        return frozenset[str]().union(*found)

    def _with_styles(self, recalled: Recalled) -> Mapping[str, Any]:
        """Return the values with the styles found in the prompts in place of their words, as `infotext_styles` says.

        Where a second pass had prompts of its own they must be in these, too.
        """
        how, values = self.server.options.now.infotext_styles, recalled.values
        if how == "Ignore" or not recalled.has_parameters or not {"prompt", "negative_prompt"} <= values.keys():
            return values
        prompts = ["prompt", *(["hires/prompt"] if values.get("hires/prompt") else [])]
        negatives = ["negative_prompt", *(["hires/negative_prompt"] if values.get("hires/negative_prompt") else [])]
        said = ([values[name] for name in names] for names in (prompts, negatives))
        names, *before = extracted_from_all(self.server.styles.all(), *said)
        found = {**values, **dict(zip((*prompts, *negatives), chain(*before), strict=True))}
        return {**found, "styles": names} if how == "Apply" or (how == "Apply if any" and names) else found

    def keep(self, values: Mapping[str, Any]) -> None:
        """Keep the values; those of the row on top, which every tab shares, for every tab."""
        shared = {name: value for name, value in values.items() if name in self.page.top.fields}
        for tab in self.page.forms:
            kept = {**shared, **(values if tab == self.form.tab else {})}
            if kept:
                self.server.forms.update(OWNER, tab, kept)

    def _elsewhere(self, recalled: Recalled) -> Iterator[Left]:
        """Yield what the form has no field for."""
        components, values = self.form.components, recalled.values
        if "init/denoising_strength" in values and "init/image" not in components:
            yield Left("left_init", {"strength": values["init/denoising_strength"]})
        recipe = recalled.recipe
        if recipe is not None and recipe.hires is not None and recipe.hires.asked.image:
            yield Left("left_hires_picture")
        if "mask/blur" in values and "mask/blur" not in components:
            yield Left("left_mask")
        if recalled.units and "unit_0/enabled" not in components:
            yield Left("left_units")
        for number, unit in recalled.units.items():
            offer = self.server.offers.preprocessors.get(str(unit.get("preprocessor")))
            usual = tuple(each.default for each in offer.sliders) if offer is not None else ()
            if unit["sliders"] and unit["sliders"] != usual[: len(unit["sliders"])]:
                numbers = ", ".join(f"{each:g}" for each in unit["sliders"])
                yield Left("left_sliders", {"unit": number + 1, "numbers": numbers})
        for name in DEFAULTS:
            if name not in components and values.get(name, _usual(name)) != _usual(name):
                yield Left("left_field", {"field": name, "value": values[name]})
        extensions = {name.partition(".")[0] for name in values if "." in name and name not in components}
        if extensions:
            yield Left("left_extensions", {"names": ", ".join(sorted(extensions))})


def picture_of(told: str, server: Server) -> PictureRow | None:
    """Return the picture that a page tells of as "its name:when": one on record by its id, or one somebody brought.

    A picture that was brought has the id 0; its recipe says nothing but the size. None when there is no such picture.
    """
    name = (told or "").partition(":")[0]
    if name.isascii() and name.isdigit() and len(name) < 16:
        return server.library.get(int(name))
    if not INPUT_NAME.fullmatch(name) or not server.inputs.has(name):
        return None
    found = inside(server.inputs.file(name))
    if found is None:
        return None
    try:
        width, height = server.inputs.open(name).size  # upright
    except BadRequest:
        return None
    recipe = Recipe(width=width, height=height)
    path, now = server.inputs.file(name), datetime.now(UTC)
    return PictureRow(0, "", 0, path, recipe, found.parameters, now, width, height, OWNER)


def of_row(row: PictureRow, server: Server) -> Recalled:
    """Return what the picture says of itself."""
    if row.id:
        return recall(Inside(row.infotext, row.recipe, {"parameters": row.infotext}, (row.width, row.height)), server)
    return recall(inside(row.path) or Inside(), server)


def said(left: Left, words: Words) -> str:
    """Return the sentence of what was left out; a `field` among its values is called as the page calls it."""
    named = {"field": words.say(f"ui.{left.values['field']}")} if "field" in left.values else {}
    return words.say(f"recipes.{left.key}", **{**left.values, **named})


def _units(recalled: Recalled) -> Iterator[tuple[str, Any]]:
    for number, unit in recalled.units.items():
        yield f"unit_{number}/enabled", True
        for name, value in unit.items():
            if name != "sliders":
                yield f"unit_{number}/{name}", value


def _usual(name: str) -> Any:
    return Request.model_fields[name].default
