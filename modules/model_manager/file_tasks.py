"""What a new checkpoint file is made of and called: what needs no weight is asked before it is queued."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from types import MappingProxyType

from modules.errors import BadRequest
from modules.model_manager.catalog import Catalog
from modules.model_manager.model_file import ModelFile, stem_of
from modules.tasks import Convert, FileTask, Merge

FORBIDDEN = '/ \\ : * ? " < > |'
_ODD = re.compile(r'[\x00-\x1f/\\:*?"<>|]')
NEEDS = MappingProxyType({"none": 1, "sum": 2, "difference": 3})  # checkpoints


def settled_file_task(task: FileTask, catalog: Catalog) -> FileTask:
    """Return `task` with the catalog's names and the name of the file it will make.

    Raises `UnknownModel` for a checkpoint that is not there, its own error for one that cannot be loaded, and
    `BadRequest` when they do not go together, or the name cannot be used or is taken.
    """
    files = chosen(task, catalog)
    changes: dict[str, str] = {"model": files[0].name}
    if isinstance(task, Merge):
        _check(task, files)
        changes |= dict(zip(("second", "third"), (each.name for each in files[1:]), strict=False))
        if task.vae:
            changes["vae"] = catalog.find(task.vae, "vae").name
    changes["name"] = task.name.strip() or _made_up(task, files)
    settled = task.model_copy(update=changes)
    place = target(settled, catalog)
    if place.exists():
        raise BadRequest("file_exists", name=place.name)
    return settled


def chosen(task: FileTask, catalog: Catalog) -> list[ModelFile]:
    """Return the checkpoints that `task` reads, A first."""
    names = [task.model]
    if isinstance(task, Merge):
        names += [task.second, task.third][: NEEDS[task.method] - 1]
        given = sum(bool(name) for name in names)
        if given < NEEDS[task.method]:
            raise BadRequest("merge_needs", needs=NEEDS[task.method], given=given)
    return [catalog.find(name) for name in names]


def target(task: FileTask, catalog: Catalog) -> Path:
    """Return where the file (or folder) of a settled task goes; raise `BadRequest` for a name that is no file name."""
    name = task.name
    if not name or _ODD.search(name) or name.startswith(".") or name.endswith((".", " ")) or len(name.encode()) > 200:
        raise BadRequest("file_name", value=name[:60], forbidden=FORBIDDEN)
    ending = "" if isinstance(task, Convert) and task.form == "diffusers" else ".safetensors"
    return catalog.home("checkpoint") / (name.removesuffix(ending) + ending if ending else name)


def _check(task: Merge, files: Sequence[ModelFile]) -> None:
    for other in files[1:]:
        if other.family != files[0].family:
            raise BadRequest(
                "merge_families",
                first=files[0].name,
                first_family=files[0].family,
                second=other.name,
                second_family=other.family,
            )
    try:
        re.compile(task.discard)
    except re.error as error:
        raise BadRequest("merge_pattern", value=task.discard[:60], reason=str(error)) from error


def _made_up(task: FileTask, files: Sequence[ModelFile]) -> str:
    """Return the name A1111 would give it, or one that says what became of the file."""
    a, b, c = ([stem_of(each.path.name) for each in files] + ["", ""])[:3]
    if isinstance(task, Convert):
        return f"{a}-{task.form}" if task.form == "diffusers" or files[0].path.is_file() else a
    m = round(task.multiplier, 2)
    if task.method == "sum":
        return f"{round(1 - m, 2)}({a}) + {m}({b})"
    return f"{a} + {m}({b} - {c})" if task.method == "difference" else a
