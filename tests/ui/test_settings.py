"""The Settings tab: what it shows, what it changes, the forms' defaults, and options in the row on top."""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import gradio as gr
import pytest
from gradio.components import Component
from starlette.datastructures import Headers

from modules.model_manager.autoencoders import OWN
from modules.options import OPTIONS
from modules.server.server import Server
from modules.settings import Settings as Values
from modules.ui import settings_panel
from modules.ui.page_words import PageWords
from modules.ui.tab import Page
from modules.ui.tabs.img2img import Img2img
from modules.ui.tabs.settings import Settings
from modules.ui.tabs.txt2img import Txt2img
from modules.ui.top import build_top
from modules.ui.watch import OWNER
from tests.ui.drawing import drawing_server

NASTY = "<script>alert(1)</script>"


class Visitor:
    """As much of a request as the page looks at."""

    def __init__(self, language: str = "en") -> None:
        self.headers = Headers({"accept-language": language})


VISITOR: Any = Visitor()


@pytest.fixture
def toasts(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    said: list[str] = []
    for kind in ("Info", "Warning"):
        monkeypatch.setattr(gr, kind, lambda text, *_: said.append(str(text)))
    return said


@pytest.fixture
def page(server: Server) -> Page:
    return _page(server)


def _page(server: Server) -> Page:
    words = PageWords()
    with gr.Blocks() as blocks:
        top = build_top(server, words)
        return Page(server, words, blocks, top.model, top.health, top)


@pytest.fixture
def tab(page: Page) -> Settings:
    with page.blocks:
        for kind, name in ((Txt2img, "txt2img"), (Img2img, "img2img")):
            kind(page, name)
        return Settings(page)


def act(shown: Settings, name: str, language: str = "en", **values: object) -> str:
    event = cast(gr.EventData, SimpleNamespace(_data={"act": name, **values}))
    visitor: Any = Visitor(language)
    return str(shown.act(event, visitor))


def apply(tab: Settings, **values: object) -> str:
    return act(tab, "apply", values=json.dumps(values))


def row(html: str, key: str) -> str:
    found = re.search(
        rf'<div class="option[^"]*" data-key="{key}".*?(?=<div class="option|</section>)', html, re.DOTALL
    )
    assert found is not None, key
    return found[0]


def test_every_option_is_there_with_its_words_its_default_and_when_it_holds(tab: Settings) -> None:
    html = act(tab, "open")
    for option in OPTIONS:
        assert f'data-key="{option.key}"' in html
    shown = row(html, "preview_every")
    for part in ("Steps between previews", "show_progress_every_n_steps", "Default: 1", "holds at once", 'max="150"'):
        assert part in shown
    assert "holds when the workers have been restarted" in row(html, "dtype")
    assert "holds when Easel is started again" in row(html, "theme")
    assert "미리보기 간격" in act(tab, "open", "ko")


def test_a_search_finds_an_option_in_either_language_and_by_both_names(tab: Settings) -> None:
    found = re.search(r'data-find="([^"]*)"', row(act(tab, "open"), "upscale_tile"))
    assert found is not None
    for word in ("upscale_tile", "esrgan_tile", "tile of upscalers", "업스케일러 타일"):
        assert word in found[1]


def test_what_is_applied_is_kept_and_said(tab: Settings, toasts: list[str]) -> None:
    html = apply(tab, preview_every=3, theme="dark", quicksettings=["emphasis", "sd_model_checkpoint"])
    assert tab.server.options.now.preview_every == 3
    assert toasts and "Settings changed: 3." in toasts[0] and "started again" in toasts[0]
    assert 'value="3"' in row(html, "preview_every") and "Reset to default" in row(html, "preview_every")
    assert "changed, does not hold yet" in row(html, "theme") and "waits" not in row(html, "preview_every")
    order = re.findall(r'type="checkbox" value="(\w+)"( checked)?', row(html, "quicksettings"))
    assert order[:2] == [("emphasis", " checked"), ("sd_model_checkpoint", " checked")]
    assert "checked" not in order[2][1]
    assert "Reset to default" not in row(apply(tab, preview_every=None), "preview_every")
    assert tab.server.options.now.preview_every == 1


@pytest.mark.parametrize("values", ["", "[]", "{", "[" * 9000, "1" * 30_000, '{"theme": "blue"}', '{"host": "::"}'])
def test_what_is_refused_is_said_and_changes_nothing(tab: Settings, toasts: list[str], values: str) -> None:
    act(tab, "apply", values=values)
    assert len(toasts) == 1 and not (tab.server.settings.state / "settings.json").exists()


def test_no_secret_and_no_folder_reaches_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EASEL_CIVITAI_TOKEN", "very-secret")
    server = drawing_server(tmp_path)
    languages = PageWords().languages
    html = settings_panel.page(server.options, {}, languages["en"], languages)
    assert "very-secret" not in html and str(tmp_path) not in html
    assert "civitai_token (set by the environment)" in html and "huggingface_token (not set)" in html
    server.stop()


def test_what_the_environment_says_cannot_be_changed_on_the_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EASEL_MAX_DEATHS", "4")
    server = drawing_server(tmp_path)
    languages = PageWords().languages
    shown = row(settings_panel.page(server.options, {}, languages["en"], languages), "max_deaths")
    assert "disabled" in shown and 'value="4"' in shown and "environment variable" in shown
    server.stop()


def test_a_file_that_was_set_aside_is_named(tab: Settings, toasts: list[str]) -> None:
    file = tab.server.settings.state / "settings.json"
    file.write_text("{broken")
    html = apply(tab, theme="dark")
    assert "could not be read" in toasts[0] and "settings-broken-" in toasts[0]
    assert re.search(r"set aside and lies in the folder .easel as: settings-broken-[\d-]+\.json", html)


def test_an_import_reports_what_became_of_everything(tab: Settings) -> None:
    text = json.dumps(
        {
            "ESRGAN_tile": 192,
            "CLIP_stop_at_last_layers": 2,
            "sd_vae": OWN,
            "ESRGAN_tile_overlap": 9000,
            "outdir_samples": "/x",
            NASTY: 1,
            "txt2img/Sampling steps/value": 30,
        }
    )
    html = act(tab, "import", text=text)
    assert NASTY not in html and "&lt;script&gt;" in html
    said = re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", html))
    assert "Taken: 4. Not possible: 1. Without a counterpart: 2." in said
    assert "ESRGAN_tile 192 Tile of upscalers: 192" in said
    assert "txt2img/Sampling steps/value 30 Text to picture, Sampling steps: 30" in said
    assert "Overlap of tiles is 9000. It must be a whole number from 0 to 256." in said
    assert tab.server.forms.load(OWNER, "txt2img") == {"clip_skip": 2, "vae": "None", "steps": 30}


@pytest.mark.parametrize("text", ["", "[" * 200_000, "x" * 1_000_001])
def test_an_import_that_cannot_be_read_is_answered_with_a_sentence(tab: Settings, toasts: list[str], text: str) -> None:
    act(tab, "import", text=text)
    assert len(toasts) == 1


def fresh(tab: Settings, name: str) -> Mapping[str, Any]:
    form = tab.page.forms[name]
    return form.restored(tab.server.forms.load(OWNER, name))


def test_a_form_becomes_its_default_and_goes_back_to_it(tab: Settings, toasts: list[str]) -> None:
    forms = tab.server.forms
    forms.update(OWNER, "img2img", {"steps": 33, "prompt": "a cat", "init/image": "f" * 64})
    act(tab, "keep", tab="img2img")
    assert toasts == ["The form is the default now."]
    kept = forms.defaults(OWNER, "img2img")
    assert (kept["steps"], kept["prompt"]) == (33, "a cat") and "init/image" not in kept and "painted" not in kept
    forms.update(OWNER, "img2img", {"steps": 5, "cfg_scale": 3.0})
    assert "data-again" in act(tab, "back", tab="img2img")
    shown = fresh(tab, "img2img")
    assert (shown["steps"], shown["cfg_scale"], shown["init/image"]) == (33, 7, "f" * 64)
    assert "has defaults of your own" in act(tab, "open")
    assert "data-again" in act(tab, "own", tab="img2img")
    assert fresh(tab, "img2img")["steps"] == 20 and "has defaults of your own" not in act(tab, "open")


def test_defaults_fill_a_form_that_was_never_filled_in(tab: Settings) -> None:
    tab.server.forms.keep_defaults(OWNER, "txt2img", {"steps": 41, "sampler": "Euler"})
    assert (fresh(tab, "txt2img")["steps"], fresh(tab, "txt2img")["sampler"]) == (41, "Euler")
    tab.server.forms.update(OWNER, "txt2img", {"steps": 7})
    assert (fresh(tab, "txt2img")["steps"], fresh(tab, "txt2img")["sampler"]) == (7, "Euler")


@pytest.mark.parametrize("name", ["pnginfo", "nothing", "../x", ""])
def test_only_a_form_that_makes_pictures_has_defaults(tab: Settings, toasts: list[str], name: str) -> None:
    act(tab, "keep", tab=name)
    assert "txt2img, img2img" in toasts[0]


@pytest.fixture
def rowed(tmp_path: Path) -> Iterator[Server]:
    names = ("randn_source", "preview_every", "sd_model_checkpoint", "theme", "hashing", "eta_noise_seed_delta")
    made = drawing_server(tmp_path, quicksettings=names)
    yield made
    made.stop()


def test_the_row_on_top_has_its_order_and_its_fields_count_on_every_tab(rowed: Server) -> None:
    page = _page(rowed)
    with page.blocks:
        forms = [kind(page, name).form for kind, name in ((Txt2img, "txt2img"), (Img2img, "img2img"))]
    assert list(page.top.fields) == ["noise_source", "model", "seed_delta"]
    assert list(page.top.quick.options) == ["preview_every", "theme", "hashing"]
    for form in forms:
        assert form.components["noise_source"] is page.top.fields["noise_source"]
        assert form.components["seed_delta"] is page.top.fields["seed_delta"]
        assert "clip_skip" not in form.components
    kinds = [type(each) for each in page.top.quick.options.values()]
    assert kinds == [gr.Number, gr.Dropdown, gr.Checkbox]


def test_an_option_in_the_row_changes_it_at_once(rowed: Server, toasts: list[str]) -> None:
    quick = _page(rowed).top.quick
    quick.change("preview_every", 9, VISITOR)
    assert rowed.options.now.preview_every == 9 and toasts == ["Settings changed: 1."]
    values: dict[Component, Any] = quick.load()
    assert values[quick.options["preview_every"]] == 9
    assert quick.change("preview_every", 1000, VISITOR) == 9 and "0 to 150" in toasts[1]
    quick.change("preview_every", None, VISITOR)
    assert len(toasts) == 2 and rowed.options.now.preview_every == 9
    quick.change("theme", "dark", VISITOR)
    assert rowed.options.get("theme").value == "dark" and "started again" in toasts[2]
    assert Values(data_dir=rowed.settings.data_dir).theme == "dark"
