"""What `pyproject.toml` asks for, and whether it is there; read with the standard library alone."""

import hashlib
import importlib.metadata
import json
import re
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

Installed = Callable[[str], str | None]
"""The version of a distribution by its name, or None."""


@dataclass(frozen=True)
class Project:
    """What `pyproject.toml` asks for; the requirements by extra, "" being the ones that are always needed."""

    python: str
    requirements: Mapping[str, tuple[str, ...]]

    def fingerprint(self, extra: str) -> str:
        """Return a name for exactly these requirements under this range of Pythons."""
        text = json.dumps([self.python, sorted(self.requirements[extra])])
        return hashlib.sha256(text.encode()).hexdigest()

    def satisfied(self, extras: Iterable[str], installed: Installed) -> bool:
        """Tell whether everything asked for by `extras` is `installed` (name -> version or None)."""
        return all(_is_met(each, installed) for extra in extras for each in self.requirements[extra])


def read_project(file: Path) -> Project:
    """Read the requirements out of a `pyproject.toml`."""
    about = tomllib.loads(file.read_text(encoding="utf-8"))["project"]
    extras = {name: tuple(asked) for name, asked in about.get("optional-dependencies", {}).items()}
    return Project(about["requires-python"], {"": tuple(about["dependencies"])} | extras)


def meets(version: str, specifier: str) -> bool:
    """Compare a version with one or more of `>=1.2`, `>1`, `<=2`, `<2`, `==1.2`, `==1.2.*`, `!=1.3`, by release number.

    Raises ValueError for any other form. See the version specifiers of the Python packaging guide.
    """
    return all(_meets_one(version, part.strip()) for part in specifier.split(",") if part.strip())


def _meets_one(version: str, condition: str) -> bool:
    form = re.fullmatch(r"(>=|<=|==|!=|>|<)\s*(\d+(?:\.\d+)*)(\.\*)?", condition)
    if form is None:
        raise ValueError(f"not a version condition: {condition}")
    sign, limit, series = form.groups()
    wanted, found = _release(limit), _release(version)
    if series:
        found = found[: len(wanted)]
    length = max(len(wanted), len(found))
    a, b = (release + (0,) * (length - len(release)) for release in (found, wanted))
    return {">=": a >= b, "<=": a <= b, "==": a == b, "!=": a != b, ">": a > b, "<": a < b}[sign]


def _release(version: str) -> tuple[int, ...]:
    number = re.match(r"\d+(?:\.\d+)*", version)
    return tuple(int(part) for part in number.group().split(".")) if number else ()


def _is_met(requirement: str, installed: Installed) -> bool:
    form = re.fullmatch(r"([\w.-]+)(?:\[[^]]*\])?\s*(.*)", requirement)
    if form is None:
        raise ValueError(f"not a requirement: {requirement}")
    version = installed(form[1])
    return version is not None and meets(version, form[2])


def installed_here(name: str) -> str | None:
    """Return the version of a distribution in the Python at work, or None."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None
