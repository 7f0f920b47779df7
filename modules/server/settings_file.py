"""The file with the settings that people chose, `.easel/settings.json`: read, and written whole or not at all."""

import json
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from modules.images.files import save_text

ASIDE = "settings-broken-"  # begins the name of a file that could not be read


class SettingsFile:
    """One file. What it holds besides the settings known here is left in it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def of(cls, data_dir: Path) -> "SettingsFile":
        """Return the file of a data folder."""
        return cls(data_dir / ".easel" / "settings.json")

    def read(self) -> dict[str, Any]:
        """Return what it holds; nothing when there is no such file, or when it is broken."""
        return self._read() or {}

    def mend(self) -> str:
        """Set the file aside, under a name of its own, if it cannot be read; return that name, "" otherwise.

        Raises OSError when that cannot be done.
        """
        if self._read() is not None:
            return ""
        now = datetime.now()
        names = (f"{ASIDE}{now:%Y%m%d-%H%M%S}{more}.json" for more in ("", *(f"-{each}" for each in range(2, 1000))))
        name = next(each for each in names if not self.path.with_name(each).exists())
        self.path.rename(self.path.with_name(name))
        return name

    def aside(self) -> list[str]:
        """Return the names of the files that were set aside, the newest first."""
        return sorted((each.name for each in self.path.parent.glob(f"{ASIDE}*.json")), reverse=True)

    def write(self, values: Mapping[str, Any]) -> None:
        """Put `values` (anything JSON can hold) in its place; the old file stays until the new one is on the disk.

        Raises `SaveError` when the disk is full or the folder may not be written.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        save_text(json.dumps(dict(values), ensure_ascii=False, indent=2) + "\n", self.path)

    def _read(self) -> dict[str, Any] | None:
        """Return what it holds, None if that cannot be read."""
        try:
            found = json.loads(self.path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        except (ValueError, RecursionError):
            return None
        return found if isinstance(found, dict) else None
