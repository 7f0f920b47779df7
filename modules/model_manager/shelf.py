"""The files of one kind as last seen: what is on disk, joined with what is known of it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path

from modules.families.family import Defaults, Family
from modules.library.models import ModelIndex, StoredModel
from modules.model_manager.examine import ORDINARY, RULES, Examiner
from modules.model_manager.kinds import PICTURES, Kind
from modules.model_manager.model_file import DIGITS, ModelFile, stem_of
from modules.model_manager.scan import Found, Place, Scan, mark_of, scan, shown
from modules.model_manager.searching import Line

_UNNAMEABLE = frozenset({"none", "addams", ""})  # names A1111 never takes for a network's alias


class Shelf:
    """Not for several threads at once: the catalog holds its lock around every call."""

    def __init__(self, kind: Kind, families: Mapping[str, Family], index: ModelIndex | None) -> None:
        self.kind = kind
        self._examiner = Examiner(families)
        self._index = index
        self._rules = ",".join([str(RULES), *families])[:255]
        self._known = {} if index is None else index.all(kind.name)
        self._scan = Scan()
        self._found: dict[str, Found] = {}
        self._names: dict[str, str] = {}  # path -> name
        self._twice: dict[str, str] = {}  # path of a file whose name is taken -> path of the file that has it
        self._files: dict[str, ModelFile] = {}
        self._lookup: dict[str, str] | None = None
        self.version = 0  # grows when anything about a file is different

    def look(self, places: Collection[Place], allowed: Collection[str]) -> bool:
        """Look at the disk again; return whether anything is different."""
        seen = scan(places, allowed)
        before, self._scan = self._scan, seen
        if seen.found == before.found:
            return False
        self._found = {each.path: each for each in seen.found}
        self._name()
        self._files.clear()
        self._lookup = None
        self.version += 1
        return True

    def stale(self) -> bool:
        """Return whether something was added, removed or renamed since the last look."""
        return self._scan.stale()

    def changed(self, path: str) -> bool:
        """Return whether the file at `path` is not what it was at the last look."""
        found = self._found[path]
        return bool(found.mark) and mark_of(path) != found.mark

    def has(self, path: str) -> bool:
        """Return whether there was a file at `path` at the last look."""
        return path in self._found

    def files(self) -> list[ModelFile]:
        """Return every file as far as it is known, in the order in which they were found."""
        return [file for path in self._found if (file := self.file(path)).problem != ORDINARY]

    def lines(self) -> list[Line]:
        """Return every file in short, as far as it is known: thousands of them in a moment."""
        lines = []
        for path, found in self._found.items():
            known = self._known.get(path)
            if known is None or known.mark != found.mark:
                known = StoredModel(self.kind.name, path, found.mark)
            problem = found.problem or ("same_name" if path in self._twice else known.problem)
            if problem != ORDINARY:
                about = known.alias, known.sha256, known.family, problem
                times = found.size, found.modified, found.created
                lines.append(Line(self._names[path], shown(found.folder), shown(found.file), *about, *times, path))
        return lines

    def file(self, path: str) -> ModelFile:
        """Return one file as far as it is known."""
        return self._files.get(path) or self._files.setdefault(path, self._describe(self._found[path]))

    def waiting(self) -> Iterator[str]:
        """Yield the files that were not examined yet."""
        return (path for path, found in self._found.items() if found.mark and not self._current(found))

    def examine(self, paths: Collection[str]) -> None:
        """Read the headers of some files, and keep what they say."""
        self.keep([self.read(path) for path in paths])

    def read(self, path: str) -> StoredModel:
        """Return what the header of a file says. This one needs no lock: it may take its time."""
        found = self._found.get(path, Found(path, "", ""))
        facts = self._examiner.examine(Path(path), self.kind.name)
        return StoredModel(
            self.kind.name,
            path,
            found.mark,
            self._rules,
            facts.family,
            facts.native_size,
            network_hash=facts.network_hash,
            alias=facts.alias,
            problem=facts.problem,
            problem_values=json.dumps(dict(facts.values)) if facts.values else "",
            defaults="" if facts.defaults is None else json.dumps(asdict(facts.defaults)),
        )

    def examined(self, path: str) -> ModelFile:
        """Return one file, examined."""
        if self._found[path].mark and not self._current(self._found[path]):
            self.examine([path])
        return self.file(path)

    def keep(self, read: Collection[StoredModel]) -> None:
        """Keep what was found out about files that are still what they were then."""
        kept = []
        for each in read:
            found, before = self._found.get(each.path), self._known.get(each.path)
            if found is None or found.mark != each.mark:
                continue
            if before is not None and before.mark == each.mark:
                hashes = (each.sha256 or before.sha256, each.network_hash or before.network_hash)
                each = each._replace(sha256=hashes[0], network_hash=hashes[1])
            self._known[each.path] = each
            self._forget_view(each.path)
            kept.append(each)
        if self._index is not None:
            self._index.keep(kept)

    def known(self, path: str) -> StoredModel | None:
        """Return what is known of the file at `path` as it was at the last look, by any process."""
        found = self._found.get(path)
        if found is None:
            return None
        stored = self._known.get(path)
        if self._index is not None and (stored is None or stored.mark != found.mark or not stored.sha256):
            shared = self._index.get(self.kind.name, path)
            if shared is not None and shared.mark == found.mark:
                stored = self._known[path] = shared
                self._forget_view(path)
        return stored if stored is not None and stored.mark == found.mark else None

    def unhashed(self) -> Iterator[str]:
        """Yield the files that can be loaded and have no hash yet."""
        for path, found in self._found.items():
            known = self._known.get(path)
            if found.mark and known and known.mark == found.mark and not (known.sha256 or known.problem):
                yield path

    @property
    def folders(self) -> Collection[str]:
        """The folders that were looked into."""
        return self._scan.folders.keys()

    def find(self, name: str) -> str | None:
        """Return the path of the file of that name, title, file name, alias or hash."""
        if self._lookup is None:
            self._lookup = self._make_lookup()
        lower = name.strip().lower()
        bare, bracket, digits = lower.removesuffix("]").rpartition(" [")
        tries = [f"={name.strip()}", lower]
        tries += [bare, digits] if bracket and lower.endswith("]") else []
        return next((self._lookup[each] for each in tries if each in self._lookup), None)

    def _current(self, found: Found) -> bool:
        known = self._known.get(found.path)
        return known is not None and known.mark == found.mark and known.rules == self._rules

    def _forget_view(self, path: str) -> None:
        self._files.pop(path, None)
        self._lookup = None
        self.version += 1

    def _name(self) -> None:
        """Give every file a name of its own; one that would have the name of another is told apart by its folder."""
        taken: dict[str, str] = {}
        rest: list[Found] = []
        # A picture may carry an embedding, but few do: one that does not takes nobody's name away.
        for found in sorted(self._found.values(), key=lambda found: found.file.lower().endswith(PICTURES)):
            name = shown(self.kind.named(found.folder, found.file))
            if taken.setdefault(name, found.path) != found.path:
                rest.append(found)
        self._twice = {}
        for found in rest:
            name = shown(self.kind.named(found.folder, found.file))
            longer = f"{shown(found.folder)}/{name}" if found.folder and self.kind.named("a", "b") != "a/b" else name
            if taken.setdefault(longer, found.path) != found.path:
                self._twice[found.path] = taken[longer]
                number = 2
                while taken.setdefault(f"{longer} ({number})", found.path) != found.path:
                    number += 1
        self._names = {path: name for name, path in taken.items()}

    def _describe(self, found: Found) -> ModelFile:
        known = self._known.get(found.path)
        if known is None or known.mark != found.mark:
            known = StoredModel(self.kind.name, found.path, found.mark)
        problem, values = known.problem, json.loads(known.problem_values) if known.problem_values else {}
        if found.path in self._twice:
            problem, values = "same_name", {"file": found.file, "other": shown(self._twice[found.path])}
        if found.problem:
            problem, values = found.problem, dict(found.values)
        return ModelFile(
            name=self._names[found.path],
            path=Path(found.path),
            kind=self.kind.name,
            family=known.family,
            hash=known.sha256[:DIGITS],
            native_size=known.native_size,
            sha256=known.sha256,
            size=found.size,
            modified=found.modified / 1e9,
            created=found.created / 1e9,
            folder=shown(found.folder),
            problem=problem,
            problem_values=values,
            preview=found.preview,
            alias=known.alias,
            defaults=_defaults(known),
            network_hash=known.network_hash,
        )

    def _make_lookup(self) -> dict[str, str]:
        """Return everything a file may be called, the surest first: a name beats an alias of another file."""
        found = self.files()
        aliases = Counter(file.alias.lower() for file in found)
        ways = (
            lambda file: [f"={file.name}"],
            lambda file: [file.name.lower()],
            lambda file: [file.title.lower()],
            lambda file: [file.path.name.lower(), f"{file.folder}/{file.path.name}".lower()],
            lambda file: [stem_of(file.path.name).lower(), f"{file.folder}/{stem_of(file.path.name)}".lower()],
            lambda file: [file.alias.lower()] if aliases[file.alias.lower()] == 1 else [],
            lambda file: [file.hash, file.sha256, file.network_hash],
        )
        lookup: dict[str, str] = {}
        for way in ways:
            for file in found:
                for name in way(file):
                    if name and (name not in _UNNAMEABLE or name == file.name.lower()):
                        lookup.setdefault(name, str(file.path))
        return lookup


def _defaults(known: StoredModel) -> Defaults | None:
    try:
        return Defaults(**json.loads(known.defaults)) if known.defaults else None
    except TypeError:  # kept by another version of Easel
        return None
