"""The virtual environment beside `webui.py`, and the stamp that says what it was made for.

The stamp is written last and holds a fingerprint of what was asked: no stamp means a set-up that was interrupted,
another fingerprint means that the project's needs have changed.
"""

import json
import os
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from modules.setup.requirements import Project


@dataclass(frozen=True)
class Environment:
    """The virtual environment in `folder`, which may be absent, half-made or complete."""

    folder: Path

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return self.folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")

    @property
    def stamp(self) -> Path:
        """The file that says what was installed; written last."""
        return self.folder / "easel-stamp.json"

    @property
    def is_here(self) -> bool:
        """Whether the Python at work is this one."""
        return Path(sys.prefix).resolve() == self.folder.resolve()

    def stamped(self) -> Mapping[str, str]:
        """Return the fingerprints of what was installed, by extra; nothing when there is no readable stamp."""
        try:
            stamp = json.loads(self.stamp.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return stamp if isinstance(stamp, dict) else {}

    def complete(self, project: Project, extras: Iterable[str]) -> bool:
        """Tell whether it was set up for exactly what `project` asks now, and its interpreter is still there."""
        stamp = self.stamped()
        return all(stamp.get(each) == project.fingerprint(each) for each in extras) and self.python.exists()

    def write_stamp(self, project: Project, extras: Iterable[str]) -> None:
        """Write down that the set-up is complete."""
        beside = self.stamp.with_suffix(".new")
        beside.write_text(json.dumps({each: project.fingerprint(each) for each in extras}), encoding="utf-8")
        os.replace(beside, self.stamp)

    def records(self) -> list[Path]:
        """Return the folder of every package's record in it."""
        places = (*self.folder.glob("lib/python*/site-packages"), self.folder / "Lib" / "site-packages")
        return [record for place in places for record in place.glob("*.dist-info")]

    def torn(self) -> list[Path]:
        """Return the records of packages whose installation was cut short.

        pip writes a package's INSTALLER file when all its other files are in place; a record without it would make
        pip take the package for installed.
        """
        return [each for each in self.records() if not (each / "INSTALLER").exists()]
