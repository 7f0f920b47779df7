"""Which files of a kind there are: names, sizes and times, nothing is opened."""

from __future__ import annotations

import hashlib
import os
import re
from collections import deque
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from modules.model_manager.kinds import Kind
from modules.model_manager.model_file import stem_of

PREVIEWS = (".png", ".jpg", ".jpeg", ".webp", ".gif")
_PICTURE = re.compile(r"(.*?)(?:\.preview)?\.(?:png|jpe?g|webp|gif)", re.IGNORECASE | re.DOTALL)
_FORBIDDEN = re.compile("^\\.\\.|[<>\\\\\x00-\x1f\x7f\ud800-\udfff]")

Place = tuple[Kind, Collection[Path]]  # what to look for, and the folders to look into
Stamp = tuple[tuple[str, int, int], ...]  # (file, size, time of change in ns) of everything a model consists of


class Found(NamedTuple):
    """A file that may be a model. `mark` changes when the file does; `problem` is what its name or place tells."""

    path: str
    folder: str
    file: str
    size: int = 0
    modified: int = 0  # ns since 1970
    created: int = 0
    mark: str = ""
    preview: bool = False
    problem: str = ""
    values: Mapping[str, str] = MappingProxyType({})


@dataclass
class Scan:
    """What was found, in the order in which names are given away, and when each folder was changed last (in ns)."""

    found: list[Found] = field(default_factory=list)
    folders: dict[str, int] = field(default_factory=dict)

    def stale(self) -> bool:
        """Return whether something was added, removed or renamed since. What changed in place is not noticed."""
        return any(_changed(folder) != when for folder, when in self.folders.items())


def scan(places: Collection[Place], allowed: Collection[str]) -> Scan:
    """Look for the files of a kind in its places.

    Links are followed when they lead into one of the `allowed` folders (real paths); another link is found with a
    problem and not followed. Each folder is looked into once, by its own name before a link's.
    """
    result = Scan()
    for kind, roots in places:
        seen: set[str] = set()
        for root in roots:
            waiting = deque([(str(root), os.path.realpath(root), "")])
            links: deque[tuple[str, str, str]] = deque()
            while waiting or links:
                path, real, folder = waiting.popleft() if waiting else links.popleft()
                if real in seen:
                    continue
                seen.add(real)
                for name, target in _look_into(result, kind, path, folder, allowed):
                    below = f"{folder}/{name}" if folder else name
                    if target:
                        links.append((f"{path}/{name}", target, below))
                    else:
                        waiting.append((f"{path}/{name}", f"{real}/{name}", below))
    return result


def mark_of(path: str) -> str:
    """Return what changes when the model at `path` does, empty when there is none."""
    try:
        if os.path.isdir(path):
            return _folder_mark(stamp_of(Path(path)))
        about = os.stat(path)
    except OSError:
        return ""
    return f"{about.st_size}:{about.st_mtime_ns}"


def stamp_of(path: Path) -> Stamp:
    """Return what changes when a model's files change."""
    files = [path] if path.is_file() else sorted(each for each in path.rglob("*") if each.is_file())
    return tuple((str(file), file.stat().st_size, file.stat().st_mtime_ns) for file in files)


def within(real: str, folders: Collection[str]) -> bool:
    """Return whether a real path lies in one of `folders` (real paths)."""
    return any(real == folder or real.startswith(folder.rstrip(os.sep) + os.sep) for folder in folders)


def bad_name(name: str) -> bool:
    """Return whether a name could be taken for something else on a page, in a tag or as a path."""
    return _FORBIDDEN.search(name) is not None


def shown(name: str) -> str:
    """Return a file name that can be written down: what is not text in it becomes a mark."""
    return name.encode("utf-8", "replace").decode("utf-8")


def _look_into(result: Scan, kind: Kind, path: str, folder: str, allowed: Collection[str]) -> Iterator[tuple[str, str]]:
    """Add the files of one folder to `result`; yield the folders in it: name, and where a link leads."""
    result.folders[path] = _changed(path)
    try:
        with os.scandir(path) as entries:
            here = sorted(entries, key=lambda entry: entry.name)
    except OSError:  # not ours to read, or gone by now
        return
    pictures = {entry.name: match[1] for entry in here if (match := _PICTURE.fullmatch(entry.name))}
    pictured = set(pictures.values())
    modelled = {stem_of(entry.name) for entry in here if entry.name not in pictures}
    for entry in here:
        name = entry.name
        if name.startswith(".") and not name.startswith(".."):
            continue
        linked = entry.is_symlink()
        target = os.path.realpath(entry.path) if linked else ""
        directory = os.path.isdir(target) if linked else entry.is_dir()
        if not directory and (not kind.accepts(name.lower()) or pictures.get(name) in modelled):
            continue
        if linked and not within(target, allowed):
            values = {"file": shown(name), "target": shown(target)}
            result.found.append(Found(entry.path, folder, name, problem="link_outside", values=values))
        elif not directory:
            result.found.append(_file(entry, folder, stem_of(name) in pictured))
        elif kind.index and os.path.isfile(f"{path}/{name}/{kind.index}"):
            result.folders[entry.path] = _changed(entry.path)
            result.found.append(_folder_model(entry.path, folder, name, name in pictured, allowed))
        else:
            yield name, target


def _file(entry: os.DirEntry[str], folder: str, preview: bool) -> Found:
    if bad_name(entry.name) or bad_name(folder):
        return Found(entry.path, folder, entry.name, problem="model_name", values={"file": shown(entry.name)})
    try:
        about = entry.stat()
        if not entry.is_file():
            return Found(entry.path, folder, entry.name, problem="not_a_file", values={"file": entry.name})
    except OSError as error:
        values = {"file": entry.name, "reason": error.strerror or ""}
        return Found(entry.path, folder, entry.name, problem="unreadable", values=values)
    mark = f"{about.st_size}:{about.st_mtime_ns}"
    return Found(entry.path, folder, entry.name, about.st_size, about.st_mtime_ns, about.st_ctime_ns, mark, preview)


def _folder_model(path: str, folder: str, name: str, preview: bool, allowed: Collection[str]) -> Found:
    """Return a diffusers folder as one model; what it consists of must lie in the `allowed` folders as well."""
    if bad_name(name) or bad_name(folder):
        return Found(path, folder, name, problem="model_name", values={"file": shown(name)})
    try:
        stamp = stamp_of(Path(path))
        outside = [file for file, _, _ in stamp if os.path.islink(file) and not within(os.path.realpath(file), allowed)]
        created = os.stat(path).st_ctime_ns
    except OSError as error:
        return Found(path, folder, name, problem="unreadable", values={"file": name, "reason": error.strerror or ""})
    if outside:
        values = {"file": shown(f"{name}/{os.path.relpath(outside[0], path)}")}
        values["target"] = shown(os.path.realpath(outside[0]))
        return Found(path, folder, name, problem="link_outside", values=values)
    size, modified = sum(each[1] for each in stamp), max(each[2] for each in stamp)
    return Found(path, folder, name, size, modified, created, _folder_mark(stamp), preview)


def _folder_mark(stamp: Stamp) -> str:
    return hashlib.sha256(repr(stamp).encode(errors="surrogateescape")).hexdigest()[:32]


def _changed(folder: str) -> int:
    try:
        return os.stat(folder).st_mtime_ns
    except OSError:
        return 0
