"""The plug-in manager of one process: built-ins and extensions enter by the same doors, a broken extension is set out.

Made once in the composition root and handed down; nothing here is global.
"""

import importlib
import importlib.util
import pkgutil
import sys
import tomllib
import traceback
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any, Literal, TypeVar

import pluggy

from modules.errors import EaselError, ExtensionError
from modules.hooks import PROJECT, Hooks, Ring

Side = Literal["engine", "ui"]
T = TypeVar("T")


@dataclass(frozen=True)
class Extension:
    """One folder or file under `extensions/`, and what became of it."""

    name: str
    path: Path
    version: str = ""
    description: str = ""
    problem: str = ""  # the traceback, when it could not be loaded


@dataclass
class Plugins:
    """The hooks of this process and the extensions found."""

    manager: pluggy.PluginManager
    extensions: list[Extension] = field(default_factory=list)

    def offered(self, hook: str, kind: type[T], **arguments: object) -> dict[str, T]:
        """Return everything offered through `hook`, by name, in the order it was registered.

        Raises `ExtensionError` when an offer is not a `kind`, a name is offered twice, or an extension fails.
        """
        offers: dict[str, T] = {}
        for implementation in getattr(self.manager.hook, hook).get_hookimpls():
            with blamed(implementation.plugin_name):
                given = [arguments[name] for name in implementation.argnames]
                offered = list(implementation.function(*given))
            for offer in offered:
                if not isinstance(offer, kind):
                    raise ExtensionError(implementation.plugin_name, "extension_offer", hook=hook, kind=kind.__name__)
                name = str(getattr(offer, "name", offer))
                if name in offers:
                    raise ExtensionError(implementation.plugin_name, "extension_duplicate", hook=hook, offer=name)
                offers[name] = offer
        return offers

    def origins(self, hook: str, **arguments: object) -> list[tuple[str, str]]:
        """Return (name, file) of everything offered through `hook`."""
        found: list[tuple[str, str]] = []
        for implementation in getattr(self.manager.hook, hook).get_hookimpls():
            file = getattr(implementation.plugin, "__file__", "") or ""
            with blamed(implementation.plugin_name):
                given = [arguments[name] for name in implementation.argnames]
                found += [(str(getattr(offer, "name", offer)), file) for offer in implementation.function(*given)]
        return found

    def rings(self, hook: str, subject: object) -> list[Ring]:
        """Ask every implementation of a ring hook about `subject`; return rings, innermost first.

        A ring that raises fails the job by the extension's name, never silently.
        """
        rings: list[Ring] = []
        for implementation in getattr(self.manager.hook, hook).get_hookimpls():
            with blamed(implementation.plugin_name):
                ring = implementation.function(*([subject] if implementation.argnames else []))
            if ring is not None:
                rings.append(_blaming(implementation.plugin_name, ring))
        return rings


class blamed:  # noqa: N801 - reads as a word in `with blamed(name):`
    """Turn what is raised inside into an `ExtensionError` that names the extension; Easel's own errors pass."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if isinstance(error, Exception) and not isinstance(error, EaselError):
            raise ExtensionError(self.name, reason=f"{type(error).__name__}: {error}") from error


def _blaming(name: str, ring: Ring) -> Ring:
    def named(inner: Any) -> Any:
        with blamed(name):
            outer = ring(inner)

        def call(*arguments: Any, **named_arguments: Any) -> Any:
            with blamed(name):
                return outer(*arguments, **named_arguments)

        return call

    return named


def onion(core: Any, rings: Iterable[Ring]) -> Any:
    """Wrap `core` in `rings`, the first becoming the innermost."""
    for ring in rings:
        core = ring(core)
    return core


def folder_modules(package: str) -> list[str]:
    """Return the dotted names of the modules in `package`: variants are found by where they lie."""
    found = importlib.import_module(package)
    return [f"{package}.{each.name}" for each in pkgutil.iter_modules(found.__path__) if not each.ispkg]


def make_plugins(side: Side, builtins: Sequence[str], extensions: Path | None) -> Plugins:
    """Make the manager: register the modules named in `builtins`, then the extensions found in the folder.

    `side` chooses which half of an extension is loaded: `engine.py` in the worker, `ui.py` in the web process. A
    built-in that fails raises; an extension that fails is left out, with its traceback kept in `Extension.problem`.
    """
    manager = pluggy.PluginManager(PROJECT)
    manager.add_hookspecs(Hooks)
    for name in builtins:
        manager.register(importlib.import_module(name), name)
    plugins = Plugins(manager)
    if extensions is not None and extensions.is_dir():
        for path in sorted(extensions.iterdir(), key=lambda each: each.name.lower()):
            if _is_extension(path):
                plugins.extensions.append(_load(plugins.manager, path, side))
    return plugins


def _is_extension(path: Path) -> bool:
    if path.name.startswith((".", "_")):
        return False
    return (path / "extension.toml").is_file() or (path.is_file() and path.suffix == ".py")


def _load(manager: pluggy.PluginManager, path: Path, side: Side) -> Extension:
    name = path.stem if path.is_file() else path.name
    extension = Extension(name, path)
    module: ModuleType | None = None
    try:
        if path.is_dir():
            about = tomllib.loads((path / "extension.toml").read_text(encoding="utf-8"))
            name = str(about.get("name", name))
            extension = Extension(name, path, str(about.get("version", "")), str(about.get("description", "")))
            half = path / f"{side}.py"
        else:
            half = path
            if side != "engine":
                return extension
        if half.is_file():
            module = _import_file(f"easel_extensions.{path.stem.replace('-', '_')}.{side}", half)
            manager.register(module, name)
            manager.check_pending()
    except Exception:  # noqa: BLE001 - whatever an extension raises while it loads leaves only itself out
        if module is not None and manager.is_registered(module):
            manager.unregister(module)
        return Extension(name, path, extension.version, extension.description, traceback.format_exc())
    return extension


def _import_file(name: str, file: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise ImportError(f"cannot import {file.name}")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module
