"""The row on top of the page: the checkpoint, what else the settings put beside it, and how the workers are."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import gradio as gr
from gradio.components import Component

from modules.model_manager.autoencoders import AUTOMATIC, OWN
from modules.model_manager.catalog import Catalog
from modules.options import SHARED
from modules.request import Request
from modules.server.server import Server
from modules.ui.markup import Html, element
from modules.ui.page_words import PageWords
from modules.ui.panel import panel
from modules.ui.quick import Quick
from modules.words import Words

NOISES = MappingProxyType({"CPU": "noise_cpu", "GPU": "noise_gpu", "NV": "noise_nv"})
# What the request calls the ways to read emphasis -> how the page does.
EMPHASES = MappingProxyType(
    {
        "Original": "emphasis_original",
        "None": "emphasis_none",
        "Ignore": "emphasis_ignore",
        "No norm": "emphasis_no_norm",
    }
)


@dataclass(frozen=True)
class Top:
    """The components of the row; `fields` are keyed by the request field they fill, `quick` has the options."""

    model: gr.Dropdown
    refresh: gr.Button
    fields: Mapping[str, Component]
    health: gr.HTML
    quick: Quick


def build_top(server: Server, words: PageWords) -> Top:
    """Build the row: what `quicksettings` names, in its order. The checkpoint is always there, first if not named.

    What is a field of a request fills every form; an option of the settings is built by `modules.ui.quick`.
    """
    names = server.settings.quicksettings
    if "sd_model_checkpoint" not in names:
        names = ("sd_model_checkpoint", *names)
    fields: dict[str, Component] = {}
    quick = Quick(server, words)
    with gr.Row(elem_id="top"):
        gr.HTML(_brand(), apply_default_css=False, js_on_load=None, elem_classes="brand")
        with gr.Row(elem_classes="quick"):
            for name in names:
                if name == "sd_model_checkpoint":
                    model, refresh = _checkpoint(server, words)
                    fields["model"] = model
                elif name in SHARED:
                    fields[SHARED[name]] = _shared(SHARED[name], server, words)
                else:
                    quick.add(name)
        # Of keys.js: shortcuts, and what happens in this browser when pictures are done.
        gr.Button(words.say("keys.title"), elem_id="open_keys", elem_classes="tool", min_width=0)
        health = panel("health")
    return Top(model, refresh, fields, health, quick)


def _checkpoint(server: Server, words: PageWords) -> tuple[gr.Dropdown, gr.Button]:
    with gr.Row(elem_classes="checkpoint"):
        # A name that is not in the list reaches the server all the same, which answers with the allowed ones.
        model = gr.Dropdown(
            checkpoints(server.catalog),
            value=_first(server.catalog),
            label=words("model"),
            elem_id="txt2img_model",
            allow_custom_value=True,
            min_width=0,
        )
        refresh = gr.Button(words("refresh_models"), elem_id="refresh_models", elem_classes="tool", min_width=0)
    return model, refresh


def _shared(field: str, server: Server, words: PageWords) -> Component:
    """Build the field of a request that every tab shares."""
    heard = words.heard(None)
    own: dict[str, Any] = {
        "value": Request.model_fields[field].default,
        "label": words(field),
        "elem_id": f"txt2img_{field}",
        "min_width": 0,
    }
    if field == "vae":
        return gr.Dropdown(vaes(server.catalog, heard), allow_custom_value=True, **own)
    names = {"emphasis": EMPHASES, "noise_source": NOISES}.get(field)
    if names is None:
        return gr.Number(step=1, **own)
    choices = [(heard.say(f"ui.{key}"), value) for value, key in names.items()]
    return gr.Dropdown(choices, allow_custom_value=True, **own)


def checkpoints(catalog: Catalog) -> list[tuple[str, str]]:
    """Return what the checkpoint selector offers, as (title, name); what cannot be loaded is left out."""
    return [(each.title, each.name) for each in catalog.checkpoints() if not each.problem]


def vaes(catalog: Catalog, words: Words) -> list[tuple[str, str]]:
    """Return what the VAE selector offers, as (label, value)."""
    files: Sequence[str] = [each.name for each in catalog.files("vae") if not each.problem]
    special = [(words.say("ui.vae_automatic"), AUTOMATIC), (words.say("ui.vae_none"), OWN)]
    return [*special, *[(name, name) for name in files if name not in (AUTOMATIC, OWN)]]


def _first(catalog: Catalog) -> str | None:
    return catalog.find("").name if checkpoints(catalog) else None


def _brand() -> Html:
    drawing = Html(
        '<svg viewBox="0 0 24 24" aria-hidden="true" fill="none" stroke="currentColor" stroke-width="1.700" '
        'stroke-linecap="round" stroke-linejoin="round"><path d="M12 2.500v2.500M4.500 5h15v10.500h-15zM3 15.500h18'
        'M8 15.500l-3 6M16 15.500l3 6M12 15.500v4"/><circle cx="12" cy="10.200" r="2.600" fill="currentColor" '
        'stroke="none"/></svg>'
    )
    return element("h1", drawing, element("span", "Easel"))
