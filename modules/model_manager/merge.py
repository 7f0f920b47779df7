"""Checkpoints made of checkpoints, one tensor at a time: no more memory than one tensor of each takes."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor

from modules.errors import BadRequest
from modules.families.family import Header
from modules.families.unet.layout import Stored, original
from modules.families.unet.layout_metadata import stating
from modules.families.unet.writing import Outgoing, read_stored, write_tensors
from modules.model_manager.catalog import Catalog
from modules.model_manager.file_tasks import chosen, target
from modules.model_manager.header import read_header
from modules.model_manager.model_file import ModelFile
from modules.tasks import Merge

PLAIN = 4  # input channels of an ordinary checkpoint
VAE_PREFIX = "first_stage_model."
# As A1111 writes them.
METHODS = MappingProxyType({"none": "No interpolation", "sum": "Weighted sum", "difference": "Add difference"})
FLOATS = frozenset({"F64", "F32", "F16", "BF16", "F8_E4M3", "F8_E5M2"})

Table = Mapping[str, Stored]


def merge(task: Merge, catalog: Catalog, done: Callable[[int, int], None]) -> Path:
    """Make the file of a settled `task` and return where it is; `done` hears (tensors written, all).

    Raises `BadRequest` when the checkpoints do not fit together, `BrokenFile` when one cannot be read, `SaveError`
    when there is no room, and what `done` raises; then there is no file.
    """
    files = [catalog.hashed(each) for each in chosen(task, catalog)]
    headers = [read_header(each.path) for each in files]
    tables = [{stored.key: stored for stored in original(header)} for header in headers]
    combine = _Combine(task, files, tables)
    planned = {key: combine.outgoing(stored) for key, stored in tables[0].items()}
    if task.vae:
        planned |= _baked(read_header(catalog.find(task.vae, "vae").path))
    pattern = re.compile(task.discard) if task.discard else None
    kept = [each for key, each in planned.items() if pattern is None or not pattern.search(key)]
    place = target(task, catalog)
    write_tensors(place, [_halved(each) if task.half else each for each in kept], _metadata(task, files, headers), done)
    _copy_yaml(task, files, place)
    return place


class _Combine:
    """How each tensor of A changes."""

    def __init__(self, task: Merge, files: Sequence[ModelFile], tables: Sequence[Table]) -> None:
        self._method = task.method
        self._multiplier = task.multiplier
        self._files = files
        self._second = tables[1] if len(tables) > 1 else {}
        self._third = tables[2] if len(tables) > 2 else {}

    def outgoing(self, a: Stored) -> Outgoing:
        """Return the tensor `a` with what B and C do to it; raise `BadRequest` when their shapes do not fit."""
        b = self._second.get(a.key) if a.dtype in FLOATS else None
        if b is None:
            return Outgoing(a.key, a.dtype, a.shape, partial(read_stored, a))
        c = self._third.get(a.key)
        self._compare(a, b, 1)
        if c is not None:
            self._compare(a, c, 2)
        mix = partial(self._difference, a, b, c) if self._method == "difference" else partial(self._sum, a, b)
        return Outgoing(a.key, a.dtype, a.shape, mix)

    def _compare(self, a: Stored, other: Stored, which: int) -> None:
        if a.shape == other.shape:
            return
        convolution = len(a.shape) == len(other.shape) == 4
        if convolution and (a.shape[0], *a.shape[2:]) == (other.shape[0], *other.shape[2:]):
            if other.shape[1] == PLAIN < a.shape[1]:  # inpainting or instruct-pix2pix with an ordinary one
                return
            if a.shape[1] == PLAIN < other.shape[1]:
                raise BadRequest("merge_inpaint")
        raise BadRequest(
            "merge_shape",
            first=self._files[0].name,
            second=self._files[which].name,
            tensor=a.key,
            shape=list(a.shape),
            other=list(other.shape),
        )

    def _sum(self, a: Stored, b: Stored) -> Tensor:
        first, second = read_stored(a).float(), read_stored(b).float()
        m = self._multiplier
        return _on_inputs(first, second, lambda one, two: one * (1 - m) + two * m)

    def _difference(self, a: Stored, b: Stored, c: Stored | None) -> Tensor:
        first = read_stored(a).float()
        if c is None:  # as A1111 has it: what C lacks counts as no difference
            return first
        second, third = read_stored(b).float(), read_stored(c).float()
        width = min(second.shape[1], third.shape[1]) if second.ndim > 1 else None
        change = second - third if second.shape == third.shape else second[:, :width] - third[:, :width]
        return _on_inputs(first, change, lambda one, two: one + two * self._multiplier)


def _on_inputs(a: Tensor, b: Tensor, mix: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """Return `mix` of both; where `b` has fewer input channels, of A's first ones only."""
    if a.shape == b.shape:
        return mix(a, b)
    width = b.shape[1]
    return torch.cat([mix(a[:, :width], b), a[:, width:]], dim=1)


def _baked(vae: Header) -> dict[str, Outgoing]:
    """Return the tensors of a VAE file under a checkpoint's names."""
    found = {}
    for stored in original(vae):
        key = VAE_PREFIX + stored.key.removeprefix(VAE_PREFIX)
        found[key] = Outgoing(key, stored.dtype, stored.shape, partial(read_stored, stored))
    return found


def _halved(each: Outgoing) -> Outgoing:
    return Outgoing(each.key, "F16", each.shape, each.read) if each.dtype == "F32" else each


def _metadata(task: Merge, files: Sequence[ModelFile], headers: Sequence[Header]) -> dict[str, str]:
    """Return what the file says of itself: what its parents said, how it was made, and what the person adds."""
    said = {"format": "pt"}
    if task.keep_metadata:
        for header in reversed(headers):
            said |= header.metadata
    said |= stating(headers[0]) | task.metadata
    if task.add_recipe:
        said["sd_merge_recipe"] = json.dumps(_recipe(task, files), ensure_ascii=False)
        models: dict[str, Any] = {}
        for file, header in zip(files, headers, strict=True):
            models |= _parents(header)
            models[file.sha256] = {"name": file.name, "sd_merge_recipe": _loaded(header, "sd_merge_recipe")}
        said["sd_merge_models"] = json.dumps(models, ensure_ascii=False)
    return said


def _recipe(task: Merge, files: Sequence[ModelFile]) -> dict[str, Any]:
    hashes: list[str | None] = [each.sha256 for each in files]
    return {
        "type": "webui",  # the form is A1111's
        **dict(
            zip(
                ("primary_model_hash", "secondary_model_hash", "tertiary_model_hash"),
                [*hashes, None, None],
                strict=False,
            )
        ),
        "interp_method": METHODS[task.method],
        "multiplier": task.multiplier,
        "save_as_half": task.half,
        "custom_name": task.name,
        "bake_in_vae": task.vae or "None",
        "discard_weights": task.discard,
    }


def _parents(header: Header) -> dict[str, Any]:
    known = _loaded(header, "sd_merge_models")
    return known if isinstance(known, dict) else {}


def _loaded(header: Header, key: str) -> Any:
    try:
        return json.loads(header.metadata.get(key, "null"))
    except ValueError:
        return None


def _copy_yaml(task: Merge, files: Sequence[ModelFile], place: Path) -> None:
    wanted = {"any": files, "second": files[1:2], "third": files[2:3], "none": []}[task.yaml_from]
    found = next((each.path.with_suffix(".yaml") for each in wanted if each.path.with_suffix(".yaml").is_file()), None)
    if found is not None:
        shutil.copyfile(found, place.with_suffix(".yaml"))
