"""`generate`: pictures without the page, and a sentence for everything that cannot be one."""

import io
import re
import sys
from pathlib import Path

import pytest
from PIL import Image

from modules.cli import main
from modules.commands import target
from modules.images import metadata
from modules.images.files import save_as
from modules.result import Picture
from modules.settings import ROOT
from tests.cli.conftest import Command

QUICK = ("--steps", "2", "--width", "64", "--height", "64")


def files(folder: Path) -> list[str]:
    return sorted(str(each.relative_to(folder)) for each in folder.rglob("*") if each.suffix == ".png")


def prompt_of(file: Path) -> str | None:
    found = metadata.read(file)
    return found[1].prompt if found and found[1] else None


def test_picture_goes_where_it_was_asked_to(run: Command, tmp_path: Path) -> None:
    ran = run("generate", "a red circle", "--seed", "1", "-o", "made/a.png", *QUICK)
    assert (ran.code, ran.out) == (0, "made/a.png\n")
    text, recipe, size = metadata.read(tmp_path / "made" / "a.png") or ("", None, (0, 0))
    assert size == (64, 64) and text.startswith("a red circle\nSteps: 2,")
    assert recipe is not None and (recipe.seed, recipe.model, recipe.prompt) == (1, "tiny", "a red circle")
    assert [each.name for each in (tmp_path / "made").iterdir()] == ["a.png"]


def test_pictures_go_to_the_outputs_folder_by_themselves(run: Command, tmp_path: Path) -> None:
    ran = run("generate", "a", "--seed", "7", "--batch-count", "2", *QUICK)
    assert ran.code == 0
    assert [Path(line).name for line in ran.out.splitlines()] == ["00001-7.png", "00002-8.png"]
    assert re.fullmatch(r"outputs/txt2img-images/\d{4}-\d\d-\d\d/00001-7.png", files(tmp_path)[0])


def test_batches_lie_beside_each_other(run: Command, tmp_path: Path) -> None:
    ran = run("generate", "a", "--seed", "3", "--batch-size", "2", "--batch-count", "2", "-o", "a.png", *QUICK)
    assert ran.code == 0
    assert files(tmp_path) == ["a-2.png", "a-3.png", "a-4.png", "a.png"]


def test_folder_is_made_and_filled(run: Command, tmp_path: Path) -> None:
    ran = run("generate", "a", "--seed", "3", "--batch-count", "2", "-o", "new/folder", *QUICK)
    assert ran.code == 0
    assert files(tmp_path) == ["new/folder/00001-3.png", "new/folder/00002-4.png"]


def test_same_seed_makes_the_same_picture(run: Command, tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        assert run("generate", "a", "--seed", "5", "-o", name, *QUICK).code == 0
    a, b = (Image.open(tmp_path / name).tobytes() for name in ("a.png", "b.png"))
    assert a == b


@pytest.mark.parametrize("prompt", ["", "🌙 달 月 🦊", 'a \\ b "c"\nsecond line'])
def test_every_text_is_a_prompt(run: Command, tmp_path: Path, prompt: str) -> None:
    ran = run("generate", prompt, "--seed", "1", "-o", "a.png", *QUICK)
    assert ran.code == 0
    assert prompt_of(tmp_path / "a.png") == prompt


def test_prompt_can_be_left_out_or_read_from_a_file(
    run: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "prompt.txt").write_text("a fox 🦊\n", encoding="utf-8-sig")
    assert run("generate", "--seed", "1", "-o", "none.png", *QUICK).code == 0
    assert run("generate", "--prompt-file", "prompt.txt", "--seed", "1", "-o", "a.png", *QUICK).code == 0
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"a hen\n")))
    assert run("generate", "--prompt-file", "-", "--seed", "1", "-o", "b.png", *QUICK).code == 0
    prompts = [
        found[1].prompt for name in ("a", "b") if (found := metadata.read(tmp_path / f"{name}.png")) and found[1]
    ]
    assert prompts == ["a fox 🦊", "a hen"]


@pytest.mark.parametrize(
    ("argv", "allowed"),
    [
        (["--width", "0"], "from 64 to 2048 that divides by 8"),
        (["--width", "17"], "from 64 to 2048 that divides by 8"),
        (["--height", "100000"], "from 64 to 2048 that divides by 8"),
        (["--width", "64.5"], "whole number of pixels"),
        (["--steps", "0"], "whole number from 1 to 150"),
        (["--steps", "-1"], "whole number from 1 to 150"),
        (["--steps", str(10**9)], "whole number from 1 to 150"),
        (["--steps", "many"], "whole number from 1 to 150"),
        (["--cfg-scale", "nan"], "number from 1.0 to 30.0"),
        (["--cfg-scale", "1e99"], "number from 1.0 to 30.0"),
        (["--seed", str(2**70)], f"from 0 to {2**64 - 1}"),
        (["--seed", "-2"], f"from 0 to {2**64 - 1}"),
        (["--seed", "abc"], f"from 0 to {2**64 - 1}"),
        (["--batch-count", "0"], "whole number from 1 to 100"),
        (["--batch-size", "9"], "whole number from 1 to 8"),
        (["--sampler", "Oiler"], "Allowed are: DDIM,"),
        (["--schedule", "never"], "Allowed are: Automatic,"),
        (["--model", "dreams"], "Found are: tiny."),
        (["--model", "../../etc/passwd"], "Found are: tiny."),
        (["--set", "nobody.enabled=true"], "There is no extension named nobody."),
        (["--set", "enabled"], "EXTENSION.FIELD=VALUE"),
        (["-o", "picture.jpg"], "ends with .png"),
        (["--prompt-file", "missing.txt"], "two prompts"),
    ],
)
def test_bad_requests_say_what_is_allowed_and_make_nothing(
    run: Command, tmp_path: Path, argv: list[str], allowed: str
) -> None:
    ran = run("generate", "a", *argv)
    assert ran.code == 2
    assert allowed in ran.err
    assert ran.out == "" and len(ran.err.strip().splitlines()) == 1
    assert files(tmp_path) == []


@pytest.mark.parametrize(
    ("content", "allowed"),
    [
        (b"one " * 10_000, "At most 10000 characters"),
        (b"a\0b", "Any other text, emoji included, is allowed"),
        (b"\xff\xfe\xff", "UTF-8"),
    ],
)
def test_bad_prompt_files(run: Command, tmp_path: Path, content: bytes, allowed: str) -> None:
    (tmp_path / "prompt.txt").write_bytes(content)
    ran = run("generate", "--prompt-file", "prompt.txt")
    assert ran.code == 2 and allowed in ran.err
    assert files(tmp_path) == []


def test_half_of_a_surrogate_pair_is_no_prompt(run: Command, tmp_path: Path) -> None:
    """This is how bytes that are not UTF-8 arrive from a terminal."""
    ran = run("generate", "a \udcff b")
    assert ran.code == 2 and "emoji included" in ran.err
    assert files(tmp_path) == []


def test_missing_prompt_file(run: Command) -> None:
    ran = run("generate", "--prompt-file", "missing.txt")
    assert ran.code == 2 and "missing.txt" in ran.err


def test_sentences_come_in_korean_too(run: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LANG", "ko_KR.UTF-8")
    ran = run("generate", "a", "--steps", "0")
    assert ran.code == 2 and "정수여야 합니다" in ran.err


def test_folder_that_cannot_be_written_is_no_traceback(run: Command, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    ran = run("generate", "a", "--seed", "1", "-o", "file/inside.png", *QUICK)
    assert ran.code == 1
    assert "Traceback" not in ran.err and "file" in ran.err


def test_interrupt_keeps_what_was_finished(run: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    saved: list[Path] = []

    def interrupting(picture: Picture, path: Path) -> Path:
        if saved:
            raise KeyboardInterrupt
        saved.append(save_as(picture, path))
        return path

    monkeypatch.setattr(target, "save_as", interrupting)
    ran = run("generate", "a", "--seed", "1", "--batch-count", "3", "-o", "a.png", *QUICK)
    assert ran.code == 130
    assert "are kept" in ran.err and files(tmp_path) == ["a.png"]


def test_broken_extension_is_named_and_left_out(run: Command, tmp_path: Path) -> None:
    (tmp_path / "extensions").mkdir()
    (tmp_path / "extensions" / "broken.py").write_text("1 / 0")
    ran = run("generate", "a", "--seed", "1", "-o", "a.png", *QUICK)
    assert ran.code == 0 and "broken" in ran.err


def test_starter_draws_what_the_words_say(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The promise of the README: a red circle on a blue background shows one."""
    models = ("--data-dir", str(tmp_path), "--models-dir", str(ROOT / "models"))
    assert (
        main(["generate", "a red circle on a blue background", "--seed", "1", "-o", str(tmp_path / "a.png"), *models])
        == 0
    )
    with Image.open(tmp_path / "a.png") as image:
        assert image.size == (128, 128)
        middle = image.convert("RGB").crop((52, 52, 76, 76)).resize((1, 1), Image.Resampling.BOX).getpixel((0, 0))
        corners = [image.convert("RGB").getpixel(each) for each in ((6, 6), (121, 6), (6, 121), (121, 121))]
    assert isinstance(middle, tuple)
    assert middle[0] > 1.5 * max(middle[1], middle[2]), f"the middle is {middle}"
    blue = [each for each in corners if isinstance(each, tuple) and each[2] > 1.2 * each[0]]
    assert len(blue) >= 3, f"the corners are {corners}"
