"""The application: our routes, and the Gradio page on them."""

import json
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import gradio as gr
from fastapi import APIRouter, FastAPI
from fastapi.middleware.cors import CORSMiddleware

from modules.api import native
from modules.api.guard import Guard
from modules.errors import EaselError
from modules.server.server import Server
from modules.ui.fields import Form
from modules.ui.markup import Html, element
from modules.ui.page_words import PageWords
from modules.ui.panel import panel
from modules.ui.tab import Page, Tab
from modules.ui.theme import make_theme

HERE = Path(__file__).parent
SHOWN_VERSIONS = ("gradio", "torch", "diffusers")


def build_app(server: Server) -> FastAPI:
    """Return the application for a server; it answers as soon as it is served, whatever the workers are at.

    Raises `ExtensionError` when an extension offers something that is not a tab, a field or a router.
    """
    words = PageWords()
    blocks, forms = _build_page(server, words)
    app = FastAPI(title="Easel", docs_url=None, redoc_url=None, openapi_url=None)
    app.add_exception_handler(EaselError, native.refusal)
    app.include_router(native.router(server, {tab: frozenset(form.components) for tab, form in forms.items()}))
    for router in server.plugins.offered("routes", APIRouter, server=server).values():
        app.include_router(router)
    # With a CORS policy on the parent, Gradio leaves its own, wider one out.
    app.add_middleware(CORSMiddleware, allow_origins=[])
    gr.mount_gradio_app(
        app,
        blocks,
        path="",
        server_name=server.settings.host,
        footer_links=[],
        run_history=False,
        show_error=False,
        ssr_mode=False,
        enable_monitoring=False,
        pwa=False,
        mcp_server=False,
        i18n=words.table(),
        theme=make_theme(),
        head=_head(words, forms, server.settings.theme),
        max_file_size="64mb",
    )
    app.add_middleware(Guard, host=server.settings.host)
    return app


def _build_page(server: Server, words: PageWords) -> tuple[gr.Blocks, dict[str, Form]]:
    with gr.Blocks(title="Easel", analytics_enabled=False, fill_width=True) as blocks:
        with gr.Row(elem_id="top"):
            gr.HTML(_brand(), apply_default_css=False, js_on_load=None, elem_classes="brand")
            checkpoints = server.catalog.checkpoints()
            # A name that is not in the list reaches the server all the same, which answers with the allowed ones.
            model = gr.Dropdown(
                [(each.title or each.name, each.name) for each in checkpoints],
                value=server.catalog.find("").name if checkpoints else None,
                label=words("model"),
                elem_id="txt2img_model",
                allow_custom_value=True,
                min_width=0,
            )
            health = panel("health")
        page = Page(server, words, blocks, model, health)
        offered = sorted(server.plugins.offered("tabs", Tab).values(), key=lambda tab: (tab.order, tab.name))
        with gr.Tabs(elem_id="tabs"):
            for tab in offered:
                label = words.of(**tab.label) if tab.label else words(f"tab_{tab.name}")
                with gr.Tab(label, id=tab.name, elem_id=f"tab_{tab.name}"):
                    tab.build(page)
        gr.HTML(_footer(), apply_default_css=False, js_on_load=None, elem_id="footer")
    return blocks, page.forms


def _brand() -> Html:
    drawing = Html(
        '<svg viewBox="0 0 24 24" aria-hidden="true" fill="none" stroke="currentColor" stroke-width="1.700" '
        'stroke-linecap="round" stroke-linejoin="round"><path d="M12 2.500v2.500M4.500 5h15v10.500h-15zM3 15.500h18'
        'M8 15.500l-3 6M16 15.500l3 6M12 15.500v4"/><circle cx="12" cy="10.200" r="2.600" fill="currentColor" '
        'stroke="none"/></svg>'
    )
    return element("h1", drawing, element("span", "Easel"))


def _footer() -> Html:
    parts = [f"Easel {_version('easel-studio')}", f"Python {platform.python_version()}"]
    parts += [f"{name} {_version(name)}" for name in SHOWN_VERSIONS if _version(name)]
    return element("p", " · ".join(parts))


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def _head(words: PageWords, forms: dict[str, Form], theme: str) -> str:
    """Return what the page needs before Gradio starts: its script, with the fields and words it uses."""
    fields = {tab: sorted(name for name in form.components if name != "model") for tab, form in forms.items()}
    said = {tag: {"close": each.say("ui.close")} for tag, each in words.languages.items()}
    data = "".join(
        f'<script type="application/json" id="{name}">{json.dumps(value).replace("<", chr(92) + "u003c")}</script>'
        for name, value in (("easel-forms", fields), ("easel-words", said), ("easel-theme", theme))
    )
    style, script = ((HERE / name).read_text(encoding="utf-8") for name in ("style.css", "page.js"))
    return f"<style>{style}</style>{data}<script>{script}</script>"
