"""The flags, and the settings they become."""

import subprocess
import sys
from pathlib import Path

import pytest

from modules.cli import main
from modules.commands.arguments import parse
from modules.commands.rooms import builtins, settings_of
from modules.errors import SetupError
from modules.settings import Settings
from modules.words import load_words
from tests.floors import ROOT

WORDS = load_words()


def settings(*argv: str) -> Settings:
    return settings_of(parse(argv, WORDS))


def test_flags_become_settings(tmp_path: Path) -> None:
    made = settings("--data-dir", str(tmp_path), "--listen", "--port", "0", "--no-half", "--theme", "dark")
    assert (made.host, made.port, made.dtype, made.theme, made.data_dir) == ("0.0.0.0", 0, "fp32", "dark", tmp_path)
    assert settings("--device-id", "0,2").device == "cuda:0,cuda:2"
    assert settings("--use-cpu").device == settings("--use-cpu", "all").device == "cpu"
    assert settings("--ckpt-dir", "a", "--ckpt-dir", "b").ckpt_dir == (Path("a"), Path("b"))
    assert settings("--server-name", "::1", "--preview-every", "5", "--start-paused").preview_every == 5
    assert (settings("--medvram").offload, settings("--lowvram").offload, settings().offload) == (
        "medvram",
        "lowvram",
        "auto",
    )
    assert settings("--disable-all-extensions").extensions is None


def test_flags_may_stand_on_either_side_of_the_command(tmp_path: Path) -> None:
    for argv in (["--data-dir", str(tmp_path), "doctor"], ["doctor", "--data-dir", str(tmp_path)]):
        assert settings(*argv).data_dir == tmp_path


def test_flags_win_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EASEL_PORT", "9000")
    assert settings().port == 9000
    assert settings("--port", "9001").port == 9001


@pytest.mark.parametrize("port", ["70000", "-1", "many"])
def test_port_must_be_one(port: str) -> None:
    with pytest.raises(SetupError, match="The setting port is"):
        settings("--port", port)


def test_a_broken_settings_file_is_set_aside_and_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / ".easel").mkdir()
    (tmp_path / ".easel" / "settings.json").write_text("{")
    main(["doctor", "--data-dir", str(tmp_path)])
    assert "It was set aside as settings-broken-" in capsys.readouterr().err
    (aside,) = (tmp_path / ".easel").glob("settings-broken-*.json")
    assert aside.read_text() == "{" and not (tmp_path / ".easel" / "settings.json").exists()


def test_a_setting_that_cannot_be_used_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / ".easel").mkdir()
    (tmp_path / ".easel" / "settings.json").write_text('{"quicksettings": ["everything"]}')
    assert main(["doctor", "--data-dir", str(tmp_path)]) == 1
    assert "quicksettings" in capsys.readouterr().err and (tmp_path / ".easel" / "settings.json").exists()


def test_what_the_command_line_gave_is_remembered(tmp_path: Path) -> None:
    made = settings("--data-dir", str(tmp_path), "--listen", "--preview-every", "5")
    assert made.given == {"data_dir", "host", "preview_every"}
    assert made.model_copy(update={"device": "cpu"}).given == made.given


@pytest.mark.parametrize("argv", [["--nothing"], ["serve"], ["generate", "--lis"], ["--theme", "green"]])
def test_unknown_flags_end_with_two(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(argv)
    assert ended.value.code == 2
    assert "error:" in capsys.readouterr().err


@pytest.mark.parametrize("language", ["en", "ko"])
@pytest.mark.parametrize("argv", [["--help"], ["generate", "--help"], ["doctor", "-h"]])
def test_help_is_complete(argv: list[str], language: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parse(argv, load_words(language))
    assert ended.value.code == 0
    assert "cli.help" not in capsys.readouterr().out


def test_help_needs_nothing_installed() -> None:
    """`-S` leaves site-packages out: this is a fresh machine."""
    ran = subprocess.run(
        [sys.executable, "-S", "-E", str(ROOT / "webui.py"), "--help"], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    assert "--listen" in ran.stdout


def test_builtins_are_found_by_where_they_lie() -> None:
    assert "modules.sampling.euler" in builtins("engine") and "modules.families.sd1" in builtins("engine")
    assert "modules.ui.tabs.txt2img" in builtins("ui") and "modules.ui.tabs.txt2img" not in builtins("engine")
    assert "modules.sampling.noise" not in builtins("ui")
