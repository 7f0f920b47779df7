"""The row on top of the page."""

from dataclasses import replace
from pathlib import Path
from typing import cast

import gradio as gr
import pytest
from pydantic import ValidationError

from modules.model_manager.catalog import Catalog
from modules.model_manager.model_file import ModelFile
from modules.settings import Settings
from modules.ui.page_words import PageWords
from modules.ui.top import build_top, checkpoints, vaes
from modules.words import load_words
from tests.fake_catalog import FakeCatalog
from tests.ui.drawing import drawing_server

VAE = ModelFile("bright.safetensors", Path("bright.safetensors"), "vae")
PLAIN = ModelFile("plain", Path("plain"), hash="0123456789")


def catalog(*files: ModelFile) -> Catalog:
    return cast(Catalog, FakeCatalog(files))


def test_what_cannot_be_loaded_is_not_offered() -> None:
    broken = replace(PLAIN, name="broken", problem="unreadable")
    assert checkpoints(catalog(PLAIN, broken)) == [("plain [0123456789]", "plain")]
    assert [name for _, name in vaes(catalog(VAE, replace(VAE, name="half", problem="cut")), load_words())] == [
        "Automatic",
        "None",
        "bright.safetensors",
    ]


def test_the_two_that_are_no_files_are_said_in_the_visitors_language() -> None:
    assert [label for label, _ in vaes(catalog(VAE), load_words("ko"))] == ["자동", "없음", "bright.safetensors"]


@pytest.mark.parametrize(
    ("chosen", "fields"),
    [
        (("sd_model_checkpoint",), ["model"]),
        (("CLIP_stop_at_last_layers", "sd_vae"), ["model", "clip_skip", "vae"]),
        (("sd_vae",), ["model", "vae"]),
        (("emphasis",), ["model", "emphasis"]),
    ],
)
def test_the_settings_say_what_stands_beside_the_checkpoint(
    tmp_path: Path, chosen: tuple[str, ...], fields: list[str]
) -> None:
    server = drawing_server(tmp_path, quicksettings=chosen)
    with gr.Blocks():
        top = build_top(server, PageWords())
    assert list(top.fields) == fields
    server.stop()


def test_a_setting_there_is_none_of_is_refused() -> None:
    with pytest.raises(ValidationError, match="quicksettings"):
        Settings(quicksettings=("sd_everything",))
