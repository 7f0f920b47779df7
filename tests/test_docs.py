"""The documents say what is so: their flags exist, their files exist, their examples load."""

import re
import shlex
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

import pytest

from modules.commands.arguments import parse
from modules.commands.rooms import builtins
from modules.engine.engine import Engine
from modules.model_manager.catalog import Catalog
from modules.plugins import make_plugins
from modules.request import make_request
from modules.settings import Settings
from modules.words import load_words
from tests.fake_models import checkpoints, make_sd1
from tests.fakes import RecordingReport
from tests.floors import FLOORS, ROOT

PAGES = {name: (ROOT / name).read_text(encoding="utf-8") for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")}
DYNAMIC = (ROOT / "extensions" / "dynamic-prompts" / "README.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```python\n# extensions/(\w+\.py)\n(.*?)```", PAGES["CONTRIBUTING.md"], re.DOTALL)


def help_text(*argv: str) -> str:
    """Return what `--help` prints."""
    said = StringIO()
    with redirect_stdout(said), pytest.raises(SystemExit):
        parse([*argv, "--help"], load_words())
    return said.getvalue()


def test_every_flag_of_the_readme_exists() -> None:
    known = help_text() + help_text("generate")
    table = re.findall(r"^\| (`--.*?) \|", PAGES["README.md"], re.MULTILINE)
    flags = {flag for row in table for flag in re.findall(r"--[\w-]+", row)}
    assert len(flags) > 15
    assert not [flag for flag in flags if not re.search(rf"{flag}\b", known)]


def test_every_flag_of_the_page_is_in_the_readme() -> None:
    flags = set(re.findall(r"--[\w-]+", help_text())) - {"--help", "--version"}
    assert not [flag for flag in flags if flag not in PAGES["README.md"]]


@pytest.mark.parametrize("page", [*PAGES.values(), DYNAMIC], ids=[*PAGES, "dynamic-prompts"])
def test_every_command_can_be_read(page: str) -> None:
    commands = re.findall(r"^python webui\.py ?(.*)$", page, re.MULTILINE)
    for command in commands:
        argv = shlex.split(command)
        if argv[:1] != ["test"]:
            parse(argv, load_words())


@pytest.mark.parametrize("page", PAGES)
def test_every_link_leads_somewhere(page: str) -> None:
    for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", PAGES[page]):
        assert (ROOT / target).exists(), target


def test_every_room_is_on_the_floors_of_the_documents() -> None:
    rooms = {path.name for path in (ROOT / "modules").iterdir() if (path / "__init__.py").is_file()}
    assert rooms <= set(FLOORS)
    for page in ("README.md", "CONTRIBUTING.md"):
        assert not [room for room in rooms if f"{room}/" not in PAGES[page]], page


def test_there_are_examples_and_nine_recipes() -> None:
    assert len(EXAMPLES) >= 2
    assert re.findall(r"^### (\d)\. ", PAGES["CONTRIBUTING.md"], re.MULTILINE) == list("123456789")


@pytest.mark.parametrize(("name", "text"), EXAMPLES, ids=[name for name, _ in EXAMPLES])
def test_examples_load_as_extensions(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8")
    plugins = make_plugins("engine", builtins("engine"), tmp_path)
    assert [each.problem for each in plugins.extensions] == [""]
    plugins.offered("samplers", object)


def test_examples_work(tmp_path: Path) -> None:
    make_sd1(checkpoints(tmp_path) / "tiny", seed=1)
    (tmp_path / "extensions").mkdir()
    for name, text in EXAMPLES:
        (tmp_path / "extensions" / name).write_text(text, encoding="utf-8")
    settings = Settings(data_dir=tmp_path, device="cpu")
    engine = Engine(settings, make_plugins("engine", builtins("engine"), settings.extensions), Catalog(settings))

    def drawn(sampler: str, strength: float) -> bytes:
        values = {"sampler": sampler, "seed": 1, "steps": 2, "extras": {"warmth": {"strength": strength}}}
        ((picture, _),) = engine.generate(make_request(values), RecordingReport(), lambda picture: None)
        return picture.image.tobytes()

    assert drawn("Euler", 0) != drawn("Straight", 0) != drawn("Straight", 1)
