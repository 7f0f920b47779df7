"""`--list`: everything that is offered, with the file that offers it."""

from pathlib import Path

from modules.settings import ROOT
from tests.cli.conftest import Command
from tests.fake_upscalers import put_upscaler

SAMPLER = """
from dataclasses import replace
from modules.hooks import hookimpl
from modules.sampling import euler

@hookimpl
def samplers():
    return [replace(euler.samplers()[0], name="Mine", aliases=())]
"""


def test_list_shows_every_offer_with_its_file(run: Command) -> None:
    ran = run("--list")
    assert ran.code == 0
    lines = [line.split() for line in ran.out.splitlines() if line.startswith("  ")]
    assert ["Heun", "modules/sampling/heun.py"] in lines
    assert ["karras", "modules/sampling/schedules.py"] in lines
    assert ["sd1", "modules/families/sd1.py"] in lines
    assert ["Lanczos", "modules/upscalers/classic.py"] in lines
    assert ["txt2img", "modules/ui/tabs/txt2img.py"] in lines
    assert ["GET", "/easel/events", "modules/api/native.py"] in lines
    assert all((ROOT / line[-1]).is_file() for line in lines)
    assert ["ControlNet", "modules/controls/controlnet.py"] in lines
    assert ["canny", "modules/controls/preprocessors/canny.py"] in lines
    for title in ("Scripts (0)",):
        assert title in ran.out


def test_list_shows_what_extensions_offer(run: Command, tmp_path: Path) -> None:
    (tmp_path / "extensions").mkdir()
    file = tmp_path / "extensions" / "mine.py"
    file.write_text(SAMPLER)
    ran = run("--list")
    assert ran.code == 0
    assert ["Mine", str(file)] in [line.split() for line in ran.out.splitlines()]


def test_list_shows_files_of_upscalers(run: Command, tmp_path: Path) -> None:
    file = put_upscaler(tmp_path, "sharp-2x")
    ran = run("--list", "--esrgan-models-path", str(file.parent))
    assert ["sharp-2x", str(file)] in [line.split() for line in ran.out.splitlines()]


def test_list_says_which_extension_is_broken(run: Command, tmp_path: Path) -> None:
    (tmp_path / "extensions").mkdir()
    (tmp_path / "extensions" / "broken.py").write_text("import nothing_of_that_name")
    ran = run("--list")
    assert ran.code == 1 and "broken" in ran.out.splitlines()[-1]
