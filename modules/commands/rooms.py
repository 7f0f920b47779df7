"""What every command begins with: the settings, and the built-in variants by where they lie."""

import argparse
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_settings import SettingsError

from modules.commands.arguments import MODEL_FOLDERS
from modules.errors import SetupError
from modules.plugins import Side, folder_modules
from modules.server.launch import ROOMS
from modules.server.settings_file import SettingsFile
from modules.settings import ROOT, Settings

PAGE = (*ROOMS, "modules.ui.tabs")
NEEDS_TORCH = ("modules.sampling.noise",)  # offers nothing, and the web process must not import it


def builtins(side: Side) -> tuple[str, ...]:
    """Return the dotted names of the built-in modules that enter through the hooks of `side`."""
    rooms = ROOMS if side == "engine" else PAGE
    return tuple(name for room in rooms for name in folder_modules(room) if name not in NEEDS_TORCH)


def settings_of(asked: argparse.Namespace) -> Settings:
    """Return the settings of a command line; raise `SetupError` when one of them cannot be used.

    The value may come from the command line, from an `EASEL_*` variable or from `.easel/settings.json`.
    """
    try:
        return Settings.of_command_line(_given(vars(asked)))
    except ValidationError as error:
        fault = error.errors()[0]
        name = ".".join(map(str, fault["loc"]))
        raise SetupError("setting", name=name, value=str(fault["input"])[:60], reason=fault["msg"]) from error
    except (SettingsError, ValueError, OSError) as error:
        raise SetupError("settings_unreadable", reason=str(error)) from error


def mend_settings(asked: argparse.Namespace) -> str:
    """Set a settings file aside that cannot be read; return the name it has now, "" when there is no such file.

    Raises `SetupError` when that cannot be done.
    """
    given = _given(vars(asked))
    folder = given.get("data_dir") or os.environ.get("EASEL_DATA_DIR") or ROOT
    try:
        return SettingsFile.of(Path(folder)).mend()
    except OSError as error:
        raise SetupError("settings_unreadable", reason=error.strerror or str(error)) from error


def _given(asked: Mapping[str, Any]) -> dict[str, Any]:
    """Translate flags to settings."""
    given = {name: value for name, value in asked.items() if name in Settings.model_fields}
    for name in MODEL_FOLDERS.keys() & given.keys():
        given[name] = tuple(folder.expanduser() for folder in given[name])
    if "styles_file" in given:
        given["styles_file"] = tuple(each.expanduser().absolute() for each in given["styles_file"])
    if asked.get("listen"):
        given["host"] = "0.0.0.0"
    if "server_name" in asked:
        given["host"] = asked["server_name"]
    if "device_id" in asked:
        given["device"] = ",".join(f"cuda:{each.strip()}" for each in asked["device_id"].split(","))
    if "use_cpu" in asked:
        given["device"] = "cpu"
    if asked.get("no_half"):
        given["dtype"] = "fp32"
    for name in ("data_dir", "models_dir", "outputs_dir", "extensions_dir"):
        if name in given:
            given[name] = given[name].expanduser().absolute()
    return given
