"""What a text or a picture leaves as it is when it fills a form, and what the page's scripts go by."""

from pathlib import Path
from typing import Any

import pytest

from modules.errors import BadRequest
from modules.images.entries import fields_of
from modules.model_manager.model_file import Details, ModelFile
from modules.server.recall import recall_text
from modules.server.server import Server
from modules.settings import Settings
from modules.ui.maker import Maker
from modules.ui.networks_panel import Card, cards
from modules.ui.networks_view import View
from modules.ui.page_settings import page_settings
from modules.ui.tab import Page
from modules.ui.tabs.controlnet import ControlNet
from modules.ui.tabs.img2img import Img2img
from modules.ui.tabs.txt2img import Txt2img
from modules.words import load_words
from tests.ui.conftest import put_picture
from tests.ui.test_pnginfo import named

TEXT = (
    "a cat\nSteps: 7, Sampler: Euler a, CFG scale: 5, Seed: 12, Size: 128x64, Model: dreams, Clip skip: 2, "
    'ControlNet 0: "Module: canny, Model: None, Weight: 0.5"'
)


def filled(maker: Maker, **options: object) -> dict[str, Any]:
    maker.server.options.apply(options)
    return dict(maker.recalling.values(recall_text(TEXT, maker.server)))


def test_entries_that_are_to_be_skipped_leave_the_form_as_it_is(page: Page) -> None:
    with page.blocks:
        maker = ControlNet(page, "controlnet")
    usual = filled(maker)
    assert (usual["seed"], usual["width"], usual["clip_skip"], usual["unit_0/weight"]) == ("12", 128, 2, 0.5)
    left = filled(maker, infotext_skip_pasting="Seed, Size,Sampler , ControlNet 0, Nonsense")
    gone = usual.keys() - left.keys()
    assert {"seed", "width", "height", "sampler", "unit_0/weight", "unit_0/enabled"} <= gone
    assert not gone & {"steps", "cfg_scale", "schedule", "clip_skip", "prompt", "model"}


def test_the_chosen_checkpoint_may_stay(page: Page) -> None:
    with page.blocks:
        maker = Txt2img(page, "txt2img")
    assert filled(maker)["model"] == "dreams"
    assert "model" not in filled(maker, disable_weights_auto_swap=True)


@pytest.mark.parametrize(
    ("entry", "fields"),
    [
        ("Size", {"width", "height"}),
        ("Hires resize", {"hires/width", "hires/height"}),
        ("Denoising strength", {"init/denoising_strength", "hires/denoising_strength"}),
        ("Clip skip SDXL", {"encoding/clip_l_skip"}),
        ("Mask mode", {"mask/invert"}),
        ("ControlNet 2", {"unit_2"}),
        ("Version", set()),
    ],
)
def test_which_fields_an_entry_fills(entry: str, fields: set[str]) -> None:
    assert fields_of(entry) == fields


@pytest.mark.parametrize("kind", [Txt2img, Img2img])
def test_a_sent_picture_may_leave_seed_and_size_there(page: Page, kind: type[Maker]) -> None:
    with page.blocks:
        maker = kind(page, "tab")
    row = put_picture(page.server, seed=5)
    came = named(maker, maker.arrive(f"{row.id}:1"))
    assert (came["seed"], came["width"], came["height"]) == ("5", 64, 64)
    page.server.options.apply({"send_seed": False})
    assert named(maker, maker.arrive(f"{row.id}:2")).keys() == came.keys() - {"seed"}
    page.server.options.apply({"send_seed": True, "send_size": False})
    assert named(maker, maker.arrive(f"{row.id}:3")).keys() == came.keys() - {"width", "height"}


def test_the_scripts_find_what_they_go_by() -> None:
    usual = page_settings(Settings())
    assert (usual["step"], usual["tag_step"], usual["moves"], usual["separator"]) == (0.1, 0.05, True, " ")
    assert {*usual["stops"]} == {*".,\\/!?%^*;:{}=`~() \t\r\n[]<>|"}
    assert usual["alerts"] == {"sound": False, "volume": 60, "awake": True} and usual["weight"] == "1"
    own = Settings(keyedit_delimiters="-", keyedit_delimiters_whitespace="Tab", extra_networks_default_multiplier=0.7)
    assert {*page_settings(own)["stops"]} == {*"-\t []<>|"} and page_settings(own)["weight"] == "0.7"


def test_a_list_of_the_reference_becomes_names_with_commas(server: Server) -> None:
    server.options.apply({"keyedit_delimiters_whitespace": ["Tab", "Line Feed"], "infotext_skip_pasting": ["Seed"]})
    assert server.options.get("keyedit_delimiters_whitespace").value == "Tab, Line Feed"
    assert server.options.get("infotext_skip_pasting").value == "Seed"
    with pytest.raises(BadRequest, match="any of Tab, Carriage Return, Line Feed"):
        server.options.apply({"keyedit_delimiters_whitespace": "Tab, Bell"})


def test_a_card_says_the_weight_and_the_name_that_are_wanted() -> None:
    file = ModelFile("wash", Path("wash.safetensors"), "lora", "sd1", alias="aquarelle")
    english = load_words("en")

    def shown(card: Card) -> str:
        return cards(View("lora"), [card], 1, "", "models/Lora", english)

    usual = shown(Card(file, Details(), 0.6))
    assert 'data-name="wash"' in usual and 'data-alias="aquarelle"' in usual and 'data-weight="0.6"' in usual
    own = shown(Card(file, Details(preferred_weight=0.8), 0.6, "aquarelle"))
    assert 'data-name="aquarelle"' in own and 'data-alias="wash"' in own and 'data-weight="0.8"' in own
