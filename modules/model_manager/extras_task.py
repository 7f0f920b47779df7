"""What a task about finished pictures names: upscalers and face restorers, asked for before it is queued."""

from __future__ import annotations

from collections.abc import Sequence
from types import MappingProxyType

from modules.errors import BadRequest
from modules.model_manager.catalog import Catalog
from modules.model_manager.model_file import ModelFile
from modules.tasks import NO_UPSCALER, Extras

RESTORERS = MappingProxyType({"gfpgan": "GFPGAN", "codeformer": "Codeformer"})  # -> the folder of its files
_BESIDE = ("detection_", "parsing_", "alignment_")  # files that A1111 keeps in the same folder
_MOST_NAMED = 30  # upscalers that an answer to an unknown one gives


def upscaler_names(catalog: Catalog, offered: Sequence[str]) -> list[str]:
    """Return every upscaler by name: those that are `offered` through the hook, then files of models."""
    files = (file.name for file in catalog.files("upscaler") if not file.problem and file.name not in offered)
    return [*offered, *sorted(files, key=str.lower)]


def restorer_file(catalog: Catalog, which: str) -> ModelFile | None:
    """Return the file of "gfpgan" or "codeformer" to restore faces with, the newest by its name; None without one."""
    found = [
        file
        for file in catalog.files("face")
        if not file.problem
        and not file.file.lower().startswith(_BESIDE)
        and ("codeformer" in f"{file.path.parent.name}/{file.file}".lower()) == (which == "codeformer")
    ]
    return max(found, key=lambda file: (file.name.lower().startswith(which), file.name.lower()), default=None)


def settled_extras(task: Extras, catalog: Catalog, offered: Sequence[str]) -> Extras:
    """Return `task` with upscalers by their names, and without what it does not use.

    Raises `BadRequest` for an upscaler that is not there, for faces without a model to restore them, and when there
    is nothing to do; an error of its own for a file that cannot be loaded.
    """
    first = upscaler_named(task.upscaler, catalog, offered)
    second = upscaler_named(task.second, catalog, offered) if task.second_visibility else NO_UPSCALER
    if first == NO_UPSCALER:
        second = NO_UPSCALER
    for which, folder in RESTORERS.items():
        if getattr(task, which) and restorer_file(catalog, which) is None:
            raise BadRequest("face_missing", restorer=folder, folder=str(catalog.home("face").with_name(folder)))
    settled = task.model_copy(update={"upscaler": first, "second": second, "flips": tuple(dict.fromkeys(task.flips))})
    faces = settled.gfpgan or settled.codeformer
    does = (settled.enlarges, faces, settled.split, settled.flips, settled.auto_crop, settled.caption)
    if task.split is not None and not (task.width and task.height):
        raise BadRequest("split_size")
    if task.auto_crop is not None and task.auto_crop.least > task.auto_crop.most:
        raise BadRequest("auto_crop_bounds", least=task.auto_crop.least, most=task.auto_crop.most)
    if not any(does):
        raise BadRequest("extras_nothing")
    return settled


def upscaler_named(name: str, catalog: Catalog, offered: Sequence[str]) -> str:
    """Return the upscaler of that name as it is called; "" means the one that does nothing.

    Raises `BadRequest` with the names there are, and an error of its own for a file that cannot be loaded.
    """
    wanted = name.strip() or NO_UPSCALER
    known = next((each for each in offered if each.lower() == wanted.lower()), None)
    if known is not None:
        return known
    file = catalog.get(wanted, "upscaler")
    if file is None:
        names = upscaler_names(catalog, offered)
        more = ["…"] if len(names) > _MOST_NAMED else []
        raise BadRequest("unknown_upscaler", value=wanted[:60], allowed=", ".join([*names[:_MOST_NAMED], *more]))
    if (fault := file.fault()) is not None:
        raise fault
    return file.name
