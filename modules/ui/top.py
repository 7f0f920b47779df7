"""The row on top of the page: the checkpoint, what else the settings put beside it, and how the workers are."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import gradio as gr
from gradio.components import Component

from modules.model_manager.autoencoders import AUTOMATIC, OWN
from modules.model_manager.catalog import Catalog
from modules.request import Request
from modules.server.server import Server
from modules.ui.markup import Html, element
from modules.ui.page_words import PageWords
from modules.ui.panel import panel
from modules.words import Words

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
    """The components of the row; `fields` are keyed by the request field they fill."""

    model: gr.Dropdown
    refresh: gr.Button
    fields: Mapping[str, Component]
    health: gr.HTML


def build_top(server: Server, words: PageWords) -> Top:
    """Build the row. The checkpoint is always there, VAE, clip skip and emphasis where `quicksettings` names them."""
    with gr.Row(elem_id="top"):
        gr.HTML(_brand(), apply_default_css=False, js_on_load=None, elem_classes="brand")
        with gr.Row(elem_classes="quick"):
            fields: dict[str, Component] = {}
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
            fields["model"] = model
            for name in server.settings.quicksettings:
                if name == "sd_vae":
                    fields["vae"] = gr.Dropdown(
                        vaes(server.catalog, words.heard(None)),
                        value=Request.model_fields["vae"].default,
                        label=words("vae"),
                        elem_id="txt2img_vae",
                        allow_custom_value=True,
                        min_width=0,
                    )
                elif name == "CLIP_stop_at_last_layers":
                    first = Request.model_fields["clip_skip"].default
                    fields["clip_skip"] = gr.Number(
                        first, label=words("clip_skip"), elem_id="txt2img_clip_skip", step=1, min_width=0
                    )
                elif name == "emphasis":
                    fields["emphasis"] = gr.Dropdown(
                        [(words.heard(None).say(f"ui.{key}"), value) for value, key in EMPHASES.items()],
                        value=Request.model_fields["emphasis"].default,
                        label=words("emphasis"),
                        elem_id="txt2img_emphasis",
                        allow_custom_value=True,
                        min_width=0,
                    )
        # Of keys.js: shortcuts, and what happens in this browser when pictures are done.
        gr.Button(words.say("keys.title"), elem_id="open_keys", elem_classes="tool", min_width=0)
        health = panel("health")
    return Top(model, refresh, fields, health)


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
