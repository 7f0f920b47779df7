"""The example extension: its grammar, its rings, its switch, and the real route through the engine."""

import random
from collections import Counter
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from modules.commands.rooms import builtins
from modules.engine.engine import Engine
from modules.errors import ExtensionError
from modules.images import infotext
from modules.model_manager.catalog import Catalog
from modules.plugins import make_plugins
from modules.prompts.completion import Completion
from modules.request import Request, make_request
from modules.result import Picture
from modules.settings import ROOT, Settings
from modules.ui.fields import Field, Form, build_fields
from modules.ui.page_words import PageWords
from tests.fake_models import checkpoints, make_sd1
from tests.fakes import RecordingReport

EXTENSIONS = ROOT / "extensions"
ON = {"dynamic-prompts": {"enabled": True}}
WILDCARDS = {"colour": ("red", "blue"), "thing": ("__colour__ {cat|dog}",), "circle": ("__circle__",), "empty": ()}


@pytest.fixture(scope="module")
def extension() -> ModuleType:
    plugins = make_plugins("engine", [], EXTENSIONS)
    assert [(each.name, each.problem) for each in plugins.extensions] == [("dynamic-prompts", "")]
    module = plugins.manager.get_plugin("dynamic-prompts")
    assert isinstance(module, ModuleType)
    return module


def outcomes(extension: ModuleType, text: str, throws: int = 200) -> Counter[str]:
    return Counter(extension.expand(text, random.Random(each), WILDCARDS) for each in range(throws))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain", {"plain"}),
        ("", {""}),
        ("{a|b|c}", {"a", "b", "c"}),
        ("a {big |}cat", {"a big cat", "a cat"}),
        ("{a|{b|c}}", {"a", "b", "c"}),
        ("{x{1|2}|y}", {"x1", "x2", "y"}),
        ("{2$$a|b|c}", {"a, b", "b, a", "a, c", "c, a", "b, c", "c, b"}),
        ("{2$$ and $$a|b}", {"a and b", "b and a"}),
        ("{1-2$$a|b}", {"a", "b", "a, b", "b, a"}),
        ("{9$$a|b}", {"a, b", "b, a"}),
        ("{0$$a|b}", {""}),
        ("{0::a|1::b}", {"b"}),
        ("{0::a|0::b}", {"a", "b"}),
        ("__colour__ cat", {"red cat", "blue cat"}),
        ("__thing__", {"red cat", "red dog", "blue cat", "blue dog"}),
        ("{__colour__|green}", {"red", "blue", "green"}),
        (r"\{a\|b\} \__x\__", {"{a|b} __x__"}),
        ("unbalanced {a|b", {"unbalanced {a|b"}),
        ("unbalanced a|b}", {"unbalanced a|b}"}),
        ("{a|b} }{ {c", {"a }{ {c", "b }{ {c"}),
        ("snake_case __init _____", {"snake_case __init _____"}),
        ("((a:1.2)) <lora:x:0.5> [b]", {"((a:1.2)) <lora:x:0.5> [b]"}),
    ],
)
def test_grammar(extension: ModuleType, text: str, expected: set[str]) -> None:
    assert set(outcomes(extension, text)) == expected


def test_weights_count(extension: ModuleType) -> None:
    seen = outcomes(extension, "{0.7::a|0.3::b}", 2000)
    assert 1300 < seen["a"] < 1500
    seen = outcomes(extension, "{3::a|b}", 2000)
    assert 1400 < seen["a"] < 1600


def test_wildcards_that_are_not_there_say_which_are(extension: ModuleType) -> None:
    for name in ("nothing", "empty", "../../etc/passwd"):
        with pytest.raises(ValueError, match="there are: circle, colour"):
            extension.expand(f"a __{name.strip('./')}__", random.Random(0), WILDCARDS)
    with pytest.raises(ValueError, match="leads back to itself"):
        extension.expand("__circle__", random.Random(0), WILDCARDS)


def test_many_braces_take_no_time(extension: ModuleType) -> None:
    text = "{" * 10_000
    assert extension.expand(text, random.Random(0), WILDCARDS) == text


def test_files_are_read_by_name_and_the_later_folder_wins(extension: ModuleType, tmp_path: Path) -> None:
    for folder, text in (("one", "# no\n\nred \nblue"), ("two", "green")):
        (tmp_path / folder / "deep").mkdir(parents=True)
        (tmp_path / folder / "deep" / "colour.txt").write_text(text, encoding="utf-8-sig")
    one, two = tmp_path / "one", tmp_path / "two"
    assert extension.read_wildcards([one]) == {"deep/colour": ("red", "blue")}
    assert extension.read_wildcards([one, two, tmp_path / "none"]) == {"deep/colour": ("green",)}


def plan(request: Request) -> list[str]:
    (ring,) = make_plugins("engine", [], EXTENSIONS).rings("around_plan", request)
    return [shot.prompt for shot in ring(Request.shots)(request)]


def test_what_is_said_in_a_second_pass_has_choices_too() -> None:
    said = {"prompt": "a {cat|dog}", "hires": {"prompt": "a {cat|dog}, {large|huge}"}}
    (ring,) = make_plugins("engine", [], EXTENSIONS).rings(
        "around_plan", request := make_request({**said, "seed": 5, "batch_count": 4, "extras": ON})
    )
    words = [(shot.hires_prompt, shot.hires_negative_prompt) for shot in ring(Request.shots)(request)]
    assert all("{" not in prompt and prompt.endswith(("large", "huge")) and not empty for prompt, empty in words)


def test_each_picture_has_words_of_its_own_seed() -> None:
    many = make_request(
        {"prompt": "a {red|blue} __thing__", "seed": 5, "batch_count": 4, "batch_size": 2, "extras": ON}
    )
    prompts = plan(many)
    assert len({prompt.split()[1] for prompt in prompts}) == 2
    alone = [plan(many.model_copy(update={"seed": 5 + place, "batch_count": 1, "batch_size": 1})) for place in range(8)]
    assert [one for (one,) in alone] == prompts


@pytest.mark.parametrize(
    "extras", [{}, {"dynamic-prompts": {"enabled": False}}, {"dynamic-prompts": {"enabled": "yes"}}]
)
def test_it_stays_out_unless_it_is_switched_on(extras: dict[str, Any]) -> None:
    request = make_request({"prompt": "{a|b}", "extras": extras})
    assert make_plugins("engine", [], EXTENSIONS).rings("around_plan", request) == []


def test_page_has_the_switch() -> None:
    plugins = make_plugins("ui", [], EXTENSIONS)
    assert [each.problem for each in plugins.extensions] == [""]
    assert list(plugins.offered("fields", Field, tab="txt2img")) == ["dynamic-prompts.enabled"]
    assert plugins.offered("fields", Field, tab="elsewhere") == {}
    form = Form("txt2img")
    build_fields(form, plugins, PageWords())
    assert form.defaults() == {"dynamic-prompts.enabled": False}


def test_page_completes_the_names_of_wildcards(tmp_path: Path) -> None:
    plugins = make_plugins("ui", [], EXTENSIONS)
    (mark,) = plugins.offered("completions", Completion).values()
    assert (mark.before, mark.after) == ("__", "__")
    assert {"colour", "thing"} <= set(mark.names())
    page = plugins.manager.get_plugin("dynamic-prompts")
    assert isinstance(page, ModuleType)
    for name in ("one/deep/bird.txt", "two/cat.txt", "two/deep/bird.txt", "two/readme.md"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")
    assert page.names([tmp_path / "one", tmp_path / "two", tmp_path / "none"]) == ["cat", "deep/bird"]
    half = make_plugins("engine", [], EXTENSIONS).manager.get_plugin("dynamic-prompts")
    assert isinstance(half, ModuleType) and half.FOLDERS == page.FOLDERS, "both halves read the same folders"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dynamic")
    make_sd1(checkpoints(folder) / "tiny", seed=1)
    return folder


def make(data: Path, prompt: str, count: int) -> list[Picture]:
    settings = Settings(data_dir=data, device="cpu")
    engine = Engine(settings, make_plugins("engine", builtins("engine"), EXTENSIONS), Catalog(settings))
    request = make_request({"prompt": prompt, "seed": 1, "steps": 1, "batch_count": count, "extras": ON})
    return [picture for picture, _ in engine.generate(request, RecordingReport(), lambda picture: None)]


def test_real_route_draws_and_records_the_expanded_words(data: Path) -> None:
    pictures = make(data, "a {red|blue} circle", 6)
    prompts = [picture.recipe.prompt for picture in pictures]
    assert set(prompts) == {"a red circle", "a blue circle"}
    red, blue = (pictures[prompts.index(f"a {colour} circle")] for colour in ("red", "blue"))
    assert red.image.tobytes() != blue.image.tobytes()
    text = infotext.write(red.recipe)
    assert text.startswith("a red circle\n") and "Template: a {red|blue} circle" in text
    assert [picture.recipe.prompt for picture in make(data, "a {red|blue} circle", 6)] == prompts


def test_real_route_names_the_extension_when_a_wildcard_is_missing(data: Path) -> None:
    with pytest.raises(ExtensionError, match="dynamic-prompts") as caught:
        make(data, "a __nothing__", 1)
    assert "there are: colour, thing" in str(caught.value)
