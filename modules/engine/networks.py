"""The networks that tags in a prompt ask for: LoRAs, with the learned words in them, and hypernetworks.

Tags are no words, nor are comments: they are taken out of a prompt before it is encoded, and stay in the recipe's.
Pictures of one batch whose tags differ cannot be computed together, so a batch is cut into runs of equal tags.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from itertools import groupby

from modules.engine.report import Report
from modules.errors import UnknownModel, WrongFamily
from modules.events import Note
from modules.families.family import Model
from modules.model_manager import hypernetworks
from modules.model_manager.catalog import Catalog, ModelFile
from modules.model_manager.hypernetworks import Hypernetwork, load_hypernetwork
from modules.model_manager.learned import Bundled
from modules.model_manager.lora_file import Stamp, stamp_of_file
from modules.model_manager.loras import Loras, Wanted
from modules.prompts.comments import without_comments
from modules.prompts.tags import KINDS, Tag, take_out
from modules.request import Shot

DIGITS = 12  # of SHA-256, where a file has no hash of its tensors alone


@dataclass(frozen=True)
class Run:
    """Pictures of a batch whose tags are the same: `shots` as they were asked for, `plain` words alone.

    `later_tags` and `later` are those of a second pass: what is said in it, words alone.
    """

    tags: tuple[Tag, ...]
    shots: list[Shot]
    plain: list[Shot]
    later_tags: tuple[Tag, ...] = ()
    later: list[Shot] = field(default_factory=list)

    def cut(self, most: int) -> list[Run]:
        """Return the run in pieces of at most `most` pictures; 0: as it is."""
        if not most or len(self.shots) <= most:
            return [self]
        starts = range(0, len(self.shots), most)
        lists = (self.shots, self.plain, self.later)
        cuts = ([each[at : at + most] for each in lists] for at in starts)
        return [Run(self.tags, shots, plain, self.later_tags, later) for shots, plain, later in cuts]


@dataclass(frozen=True)
class Asked:
    """What the tags of a run ask for, looked up. `hashes` are by kind and name, as a recipe keeps them."""

    loras: tuple[Wanted, ...] = ()
    hypernetworks: tuple[tuple[ModelFile, float], ...] = ()
    hashes: Mapping[str, dict[str, str]] = field(default_factory=dict, hash=False)

    def without(self, name: str) -> Asked:
        """Return the same without the networks of that name, or of a file of that name."""
        loras = tuple(each for each in self.loras if each.file.name != name)
        others = tuple(each for each in self.hypernetworks if each[0].path.stem != name)
        return replace(self, loras=loras, hypernetworks=others)


def runs(batch: Sequence[Shot], report: Report, commented: bool = True) -> list[Run]:
    """Cut `batch` into runs of neighbours with equal tags. A tag in a negative prompt is taken out and told of.

    So are comments, where prompts may be `commented`.
    """
    read: list[tuple[Shot, Shot, tuple[Tag, ...], Shot, tuple[Tag, ...]]] = []
    for shot in batch:
        said, second = _plain(shot, report, commented), _second(shot)
        read.append((shot, *said, *(said if second == shot else _plain(second, report, commented))))
    found: list[Run] = []
    for (tags, later_tags), group in groupby(read, key=lambda each: (each[2], each[4])):
        shots, plain, _, later, _ = zip(*group, strict=True)
        found.append(Run(tags, [*shots], [*plain], later_tags, [*later]))
    return found


def _second(shot: Shot) -> Shot:
    """Return what is said of a picture in a second pass: where there is nothing else, the same."""
    said = {"prompt": shot.hires_prompt, "negative_prompt": shot.hires_negative_prompt}
    return shot.model_copy(update={name: text for name, text in said.items() if text})


def _plain(shot: Shot, report: Report, commented: bool) -> tuple[Shot, tuple[Tag, ...]]:
    texts = (shot.prompt, shot.negative_prompt)
    (prompt, tags), (negative, idle) = (take_out(without_comments(each) if commented else each) for each in texts)
    for tag in idle[:1]:
        report.tell(Note(key="tag_negative", values={"kind": tag.kind, "name": tag.name}))
    return shot.model_copy(update={"prompt": prompt, "negative_prompt": negative}), tags


class Networks:
    """Looks networks up and applies them; owned by the engine."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._loras = Loras()
        self._hypernetworks: dict[Stamp, Hypernetwork] = {}  # those of the last run

    def asked(self, tags: Sequence[Tag], report: Report) -> Asked:
        """Look up what `tags` name. What is not there, or makes no sense, is told of and left out.

        Raises what is wrong with a file that cannot be used.
        """
        loras: list[Wanted] = []
        others: list[tuple[ModelFile, float]] = []
        hashes: dict[str, dict[str, str]] = {}
        for tag in tags:
            kind = KINDS.get(tag.kind)
            if kind is None:
                report.tell(Note(key="tag_unknown", values={"kind": tag.kind, "name": tag.name}))
                continue
            try:
                file = self._catalog.hashed(self._catalog.find(tag.name, kind))
                if kind == "lora":
                    loras.append(_lora(tag, file))
                else:
                    others.append((file, tag.number(0, "multiplier", 1.0)))
            except UnknownModel:
                report.tell(Note(key=f"{kind}_missing", values={"name": tag.name}))
            except ValueError:
                values = {"kind": tag.kind, "name": tag.name, "value": _arguments(tag)}
                report.tell(Note(key="tag_number", values=values))
            else:
                hashes.setdefault(kind, {})[tag.name] = short_hash(file)
        return Asked(tuple(loras), tuple(others), hashes)

    @contextmanager
    def fitting(self, model: Model, asked: Asked, report: Report) -> Iterator[Bundled]:
        """Apply what of `asked` fits `model`, like `applied`; what does not is told of.

        They were asked for with another checkpoint in mind. Raises `BrokenFile` and `UnsafeFile`.
        """
        with ExitStack() as stack:
            while True:
                try:
                    bundled = stack.enter_context(self.applied(model, asked, report))
                    break
                except WrongFamily as error:
                    name = error.values.get("name")
                    fewer = asked.without(str(name))
                    if fewer == asked:
                        raise
                    asked = fewer
                    report.tell(Note(key="network_unfit", values={"name": name}))
            yield bundled

    @contextmanager
    def applied(self, model: Model, asked: Asked, report: Report) -> Iterator[Bundled]:
        """Apply what was asked for until the `with` is left, and yield the learned words that came with it.

        Raises `WrongFamily`, `BrokenFile` and `UnsafeFile`.
        """
        files, strengths = [file for file, _ in asked.hypernetworks], [each for _, each in asked.hypernetworks]
        wanted = list(zip(self._load(files), strengths, strict=True))
        with self._loras.applied(model, asked.loras) as applied, hypernetworks.applied(model, wanted):
            for each in applied.misfits:
                values = {"name": each.name, "count": each.count, "total": each.total}
                report.tell(Note(key="lora_misfit", values=values))
            yield applied.bundled

    def aside(self, model: Model) -> int:
        """Return how many bytes of changed weights are kept for the next time `model` is used."""
        return self._loras.aside(model)

    def forget(self) -> None:
        """Let go of what is kept aside for the next time: there is no room for it."""
        self._loras.forget()
        self._hypernetworks.clear()

    def _load(self, files: Sequence[ModelFile]) -> list[Hypernetwork]:
        """Read hypernetworks; those of the last time are in memory already."""
        stamps = [stamp_of_file(file.path) for file in files]
        kept = self._hypernetworks
        self._hypernetworks = {
            stamp: kept.get(stamp) or load_hypernetwork(file.path) for stamp, file in zip(stamps, files, strict=True)
        }
        return [self._hypernetworks[stamp] for stamp in stamps]


def short_hash(file: ModelFile) -> str:
    """Return a network's hash as A1111 writes it: 12 digits, of the tensors alone where the file is a LoRA."""
    return file.network_hash or file.sha256[:DIGITS] or file.hash


def _lora(tag: Tag, file: ModelFile) -> Wanted:
    """Return what `<lora:name:te:unet:dyn>` asks for: the U-Net is changed as strongly as the words unless it says."""
    te = tag.number(0, "te", 1.0)
    unet = tag.number(1, "unet", te)
    dyn = tag.number(2, "dyn", -1)
    return Wanted(file, te, unet, None if dyn < 0 else int(dyn))


def _arguments(tag: Tag) -> str:
    return ":".join((*tag.positional, *(f"{name}={value}" for name, value in tag.named.items())))
