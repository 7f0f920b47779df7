"""The application: our routes, and the Gradio page on them."""

import json
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import gradio as gr
from fastapi import APIRouter, FastAPI
from fastapi.middleware.cors import CORSMiddleware

from modules.api import gallery, native
from modules.api.guard import Guard
from modules.errors import EaselError
from modules.server.server import Server
from modules.settings import Settings
from modules.ui.fields import Form
from modules.ui.gallery_faces import Faces
from modules.ui.listeners import QUIET
from modules.ui.markup import Html, element
from modules.ui.page_settings import page_settings
from modules.ui.page_words import PageWords
from modules.ui.spoken import spoken
from modules.ui.tab import Page, Tab
from modules.ui.theme import make_theme
from modules.ui.top import build_top

HERE = Path(__file__).parent
SHOWN_VERSIONS = ("gradio", "torch", "diffusers")
STYLES = (
    "style.css",
    "networks.css",
    "models.css",
    "merger.css",
    "source.css",
    "gallery.css",
    "extras.css",
    "pile.css",
    "pnginfo.css",
    "settings.css",
    "styles.css",
    "keys.css",
)
SCRIPTS = ("page.js", "prompt.js", "complete.js", "forever.js", "lightbox.js", "alerts.js", "keys.js", "split.js")
LABELLED = frozenset({"model", "vae", "styles"})  # fields whose box shows a label, not the value


def build_app(server: Server) -> FastAPI:
    """Return the application for a server; it answers as soon as it is served, whatever the workers are at.

    Raises `ExtensionError` when an extension offers something that is not a tab, a field or a router.
    """
    words = PageWords()
    blocks, forms = _build_page(server, words)
    app = FastAPI(title="Easel", docs_url=None, redoc_url=None, openapi_url=None)
    app.add_exception_handler(EaselError, native.refusal)
    app.include_router(native.router(server, {tab: frozenset(form.components) for tab, form in forms.items()}))
    app.include_router(gallery.router(server, Faces(words)))
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
        head=_head(words, forms, server.settings),
        max_file_size="64mb",
    )
    app.add_middleware(Guard, host=server.settings.host)
    return app


def _build_page(server: Server, words: PageWords) -> tuple[gr.Blocks, dict[str, Form]]:
    with gr.Blocks(title="Easel", analytics_enabled=False, fill_width=True) as blocks:
        top = build_top(server, words)
        page = Page(server, words, blocks, top.model, top.health, top)
        offered = sorted(server.plugins.offered("tabs", Tab).values(), key=lambda tab: (tab.order, tab.name))
        names = [tab.name for tab in offered]
        with gr.Tabs(elem_id="tabs") as tabs:
            for tab in offered:
                label = words.of(**tab.label) if tab.label else words(f"tab_{tab.name}")
                with gr.Tab(label, id=tab.name, elem_id=f"tab_{tab.name}"):
                    tab.build(page)

        def pace(event: gr.SelectData) -> list[gr.Timer]:
            """Let only the tab in front ask what is new."""
            front = names[event.index] if isinstance(event.index, int) else ""
            return [gr.Timer(active=each == front) for each in page.timers]

        tabs.select(pace, None, [*page.timers.values()], **QUIET)
        top.quick.connect(blocks)
        gr.HTML(_footer(), apply_default_css=False, js_on_load=None, elem_id="footer")
    return blocks, page.forms


def _footer() -> Html:
    parts = [f"Easel {_version('easel-studio')}", f"Python {platform.python_version()}"]
    parts += [f"{name} {_version(name)}" for name in SHOWN_VERSIONS if _version(name)]
    return element("p", " · ".join(parts))


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def _safe(value: object) -> str:
    """Return `value` as JSON that may stand in a page."""
    return json.dumps(value).replace("<", chr(92) + "u003c")


def _head(words: PageWords, forms: dict[str, Form], settings: Settings) -> str:
    """Return what the page needs before Gradio starts: its script, with the fields and words it uses."""
    fields = {tab: sorted(form.components.keys() - LABELLED) for tab, form in forms.items()}
    said = {tag: spoken(each) for tag, each in words.languages.items()}
    told = {"forms": fields, "words": said, "theme": settings.theme, "settings": page_settings(settings)}
    data = "".join(
        f'<script type="application/json" id="easel-{name}">{_safe(value)}</script>' for name, value in told.items()
    )
    style = "".join((HERE / name).read_text(encoding="utf-8") for name in STYLES)
    scripts = "".join(f"<script>{(HERE / name).read_text(encoding='utf-8')}</script>" for name in SCRIPTS)
    return f"<style>{style}</style>{data}{scripts}"
