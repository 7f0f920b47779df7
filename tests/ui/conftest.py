"""A server on a folder of the test's own whose workers are never started: what it holds, the test put there."""

from collections.abc import Iterator
from pathlib import Path

import gradio as gr
import pytest
from PIL import Image

from modules.images.infotext import write
from modules.library.pictures import PictureRow
from modules.request import make_request
from modules.result import Picture, Recipe
from modules.server.server import Server
from modules.ui.page_words import PageWords
from modules.ui.tab import Page
from modules.ui.top import build_top
from tests.ui.drawing import drawing_server


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    made = drawing_server(tmp_path)
    yield made
    made.stop()


def put_picture(
    server: Server, seed: int = 5, prompt: str = "a red circle", job: str = "", index: int = 0
) -> PictureRow:
    """Put a finished picture on disk and on record."""
    recipe = Recipe(
        prompt=prompt,
        model="starter",
        model_hash="0123456789",
        family="sd1",
        sampler="Euler",
        schedule="Karras",
        steps=4,
        width=64,
        height=64,
        cfg_scale=7,
        seed=seed,
        device="cpu",
        dtype="fp32",
        job=job,
        index=index,
    )
    path = server.files.save(Picture(Image.new("RGB", (64, 64), (200, 0, 0)), recipe))
    return server.library.add(path, recipe, write(recipe), "local")


def put_job(server: Server, prompt: str = "a red circle", **values: object) -> str:
    """Queue a job; nothing will run it."""
    return server.submit(make_request({"prompt": prompt, **values}), "local", "Chrome on Linux")


@pytest.fixture
def page(server: Server) -> Page:
    """A page with the row on top, and no tab yet."""
    words = PageWords()
    with gr.Blocks() as blocks:
        top = build_top(server, words)
        return Page(server, words, blocks, top.model, top.health, top)


@pytest.fixture
def toasts(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the page would say in passing."""
    said: list[str] = []
    for kind in ("Info", "Warning"):
        monkeypatch.setattr(gr, kind, lambda text, **_: said.append(text))
    return said
