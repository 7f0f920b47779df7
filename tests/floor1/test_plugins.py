"""The doors: offers, rings, extensions of both halves, and what becomes of broken ones."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from modules.errors import BadRequest, ExtensionError
from modules.hooks import Ring, hookimpl
from modules.plugins import Plugins, folder_modules, make_plugins, onion
from modules.request import Request, make_request

OFFERS = ("samplers", "schedules", "families", "controls", "preprocessors", "upscalers", "scripts", "tabs")


def plugins_with(**parts: object) -> Plugins:
    plugins = make_plugins("engine", [], None)
    for name, part in parts.items():
        plugins.manager.register(part, name)
    return plugins


def offering(hook: str, *names: str) -> object:
    """Return an extension that offers named things through one hook."""
    return SimpleNamespace(**{hook: hookimpl(lambda: [SimpleNamespace(name=name) for name in names])})


@pytest.mark.parametrize("hook", OFFERS)
def test_offers_come_by_name_in_order(hook: str) -> None:
    plugins = plugins_with(one=offering(hook, "b", "a"), two=offering(hook, "c"))
    assert list(plugins.offered(hook, SimpleNamespace)) == ["b", "a", "c"]


@pytest.mark.parametrize("hook", OFFERS)
def test_name_can_be_offered_once(hook: str) -> None:
    with pytest.raises(ExtensionError, match=r"two offers a through .*, but that name is taken"):
        plugins_with(one=offering(hook, "a"), two=offering(hook, "a")).offered(hook, SimpleNamespace)


def test_offer_must_be_of_its_kind() -> None:
    with pytest.raises(ExtensionError, match="one offers something through samplers that is not a Path"):
        plugins_with(one=offering("samplers", "a")).offered("samplers", Path)


def test_failing_offer_is_named() -> None:
    class Failing:
        @hookimpl
        def upscalers(self) -> list[object]:
            raise OSError("no file")

    plugins = plugins_with(fog=Failing())
    for ask in (lambda: plugins.offered("upscalers", object), lambda: plugins.origins("upscalers")):
        with pytest.raises(ExtensionError, match="The extension fog failed: OSError: no file"):
            ask()


def test_fields_are_asked_for_a_tab() -> None:
    class Extension:
        @hookimpl
        def fields(self, tab: str) -> list[SimpleNamespace]:
            return [SimpleNamespace(name=f"mine.{tab}")]

    assert list(plugins_with(one=Extension()).offered("fields", SimpleNamespace, tab="txt2img")) == ["mine.txt2img"]


def test_routes_are_given_the_server() -> None:
    class Extension:
        @hookimpl
        def routes(self, server: object) -> list[object]:
            return [server]

    assert plugins_with(one=Extension()).origins("routes", server="it") == [("it", "")]


def adding(text: str) -> Ring:
    def ring(inner: Callable[[str], str]) -> Callable[[str], str]:
        return lambda value: f"{text}({inner(value)})"

    return ring


class Around:
    def __init__(self, text: str) -> None:
        self.text = text

    @hookimpl
    def around_plan(self, request: Request) -> Ring | None:
        return adding(self.text) if request.prompt != "out" else None


def test_rings_wrap_in_order_of_registration() -> None:
    rings = plugins_with(a=Around("a"), b=Around("b")).rings("around_plan", make_request({}))
    assert onion(str.upper, rings)("x") == "b(a(X))"


def test_ring_may_stay_out() -> None:
    assert plugins_with(a=Around("a")).rings("around_plan", make_request({"prompt": "out"})) == []


@pytest.mark.parametrize("stage", ["asked", "wrapping", "called"])
def test_failing_ring_is_named(stage: str) -> None:
    def fail(at: str) -> None:
        if at == stage:
            raise ValueError("oh no")

    class Failing:
        @hookimpl
        def around_save(self, job: object) -> Ring:
            fail("asked")

            def ring(inner: Any) -> Any:
                fail("wrapping")

                def outer(value: str) -> str:
                    fail("called")
                    return str(inner(value))

                return outer

            return ring

    with pytest.raises(ExtensionError, match="The extension fog failed: ValueError: oh no"):
        onion(str.upper, plugins_with(fog=Failing()).rings("around_save", object()))("x")


def test_own_errors_pass_through_a_ring_unchanged() -> None:
    def failing(value: str) -> str:
        raise BadRequest("bad_value", field="x", value=value)

    rings = plugins_with(a=Around("a")).rings("around_plan", make_request({}))
    with pytest.raises(BadRequest):
        onion(failing, rings)("x")


def test_folder_modules_are_the_files_of_a_package() -> None:
    names = folder_modules("modules.sampling")
    assert "modules.sampling.euler" in names and "modules.sampling" not in names
    assert "modules.families.unet" not in folder_modules("modules.families")


TOML = 'name = "{name}"\nversion = "1.2"\ndescription = "D"\n'
ENGINE = "from modules.hooks import hookimpl\n@hookimpl\ndef samplers():\n    return ['engine of {name}']\n"
UI = "from modules.hooks import hookimpl\n@hookimpl\ndef tabs():\n    return ['ui of {name}']\n"


def extension(folder: Path, name: str, engine: str = ENGINE, ui: str = UI, toml: str = TOML) -> None:
    (folder / name).mkdir(parents=True)
    (folder / name / "extension.toml").write_text(toml.format(name=name))
    for half, text in (("engine", engine), ("ui", ui)):
        if text:
            (folder / name / f"{half}.py").write_text(text.replace("{name}", name))


def test_each_process_loads_its_half(tmp_path: Path) -> None:
    extension(tmp_path, "one")
    engine, page = (make_plugins(side, [], tmp_path) for side in ("engine", "ui"))
    assert [(each.name, each.version, each.description) for each in engine.extensions] == [("one", "1.2", "D")]
    assert list(engine.offered("samplers", str)) == ["engine of one"] and engine.offered("tabs", str) == {}
    assert list(page.offered("tabs", str)) == ["ui of one"] and page.offered("samplers", str) == {}


def test_single_file_is_an_engine_extension(tmp_path: Path) -> None:
    (tmp_path / "small.py").write_text(ENGINE)
    assert list(make_plugins("engine", [], tmp_path).offered("samplers", str)) == ["engine of {name}"]
    page = make_plugins("ui", [], tmp_path)
    assert [each.name for each in page.extensions] == ["small"] and page.offered("samplers", str) == {}


def test_what_is_no_extension_is_not_loaded(tmp_path: Path) -> None:
    for name in (".hidden.py", "_draft.py"):
        (tmp_path / name).write_text("1 / 0")
    (tmp_path / "notes").mkdir()
    (tmp_path / "read.txt").touch()
    assert make_plugins("engine", [], tmp_path).extensions == []
    assert make_plugins("engine", [], tmp_path / "absent").extensions == []


@pytest.mark.parametrize(
    ("engine", "toml", "reason"),
    [
        ("1 / 0", TOML, "ZeroDivisionError"),
        ("def broken(:", TOML, "SyntaxError"),
        ("import nothing_of_that_name", TOML, "ModuleNotFoundError"),
        ("raise SystemError('odd')", TOML, "SystemError"),
        (ENGINE.replace("samplers", "sampelrs"), TOML, "unknown hook 'sampelrs'"),
        (ENGINE.replace("samplers()", "samplers(job)"), TOML, "can not be found in the hookspec"),
        (ENGINE, "not toml", "TOMLDecodeError"),
    ],
)
def test_broken_extension_is_left_out_with_its_traceback(tmp_path: Path, engine: str, toml: str, reason: str) -> None:
    extension(tmp_path, "broken", engine, toml=toml)
    extension(tmp_path, "sound")
    plugins = make_plugins("engine", [], tmp_path)
    broken, sound = plugins.extensions
    assert reason in broken.problem and sound.problem == ""
    assert list(plugins.offered("samplers", str)) == ["engine of sound"]


def test_two_extensions_of_one_name_do_not_mix(tmp_path: Path) -> None:
    extension(tmp_path, "one")
    extension(tmp_path, "two", toml='name = "one"\n')
    plugins = make_plugins("engine", [], tmp_path)
    first, second = plugins.extensions
    assert first.problem == "" and "already registered" in second.problem
    assert list(plugins.offered("samplers", str)) == ["engine of one"]


def test_processes_do_not_share_plugins(tmp_path: Path) -> None:
    first, second = make_plugins("engine", [], None), make_plugins("engine", [], None)
    first.manager.register(offering("samplers", "a"), "a")
    assert second.offered("samplers", SimpleNamespace) == {}


def test_broken_built_in_is_an_error() -> None:
    with pytest.raises(ModuleNotFoundError):
        make_plugins("engine", ["modules.nothing"], None)
