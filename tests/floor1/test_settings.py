"""Where a setting comes from, and which source wins."""

import json
from pathlib import Path

import pytest
from pydantic import ValidationError

from modules.settings import ROOT, Settings


def test_defaults_lie_in_the_project() -> None:
    settings = Settings()
    assert (settings.models, settings.outputs, settings.extensions) == (
        ROOT / "models",
        ROOT / "outputs",
        ROOT / "extensions",
    )
    assert (settings.host, settings.port) == ("127.0.0.1", 7860)


def test_data_dir_moves_everything(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path)
    assert settings.models == tmp_path / "models"
    assert settings.state == tmp_path / ".easel"
    assert settings.database_url == f"sqlite:///{tmp_path / '.easel' / 'easel.db'}"


def test_command_line_wins_over_environment_wins_over_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".easel").mkdir()
    (tmp_path / ".easel" / "settings.json").write_text(json.dumps({"port": 1, "theme": "dark", "dtype": "bf16"}))
    monkeypatch.setenv("EASEL_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("EASEL_PORT", "2")
    monkeypatch.setenv("EASEL_DTYPE", "fp16")
    settings = Settings(port=3)
    assert (settings.port, settings.dtype, settings.theme) == (3, "fp16", "dark")


def test_extensions_can_be_switched_off(tmp_path: Path) -> None:
    assert Settings(extensions_dir=tmp_path).extensions == tmp_path
    assert Settings(extensions_dir=tmp_path, disable_all_extensions=True).extensions is None


def test_settings_are_frozen_and_bounded() -> None:
    with pytest.raises(ValidationError):
        Settings().port = 1
    with pytest.raises(ValidationError):
        Settings(port=70_000)
