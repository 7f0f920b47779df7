"""A checkpoint in another form, with the same weights: one file in the original layout, or a diffusers folder."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

from modules.errors import SaveError
from modules.families.family import Entry, Header
from modules.families.unet.layout import original
from modules.families.unet.layout_metadata import stating
from modules.families.unet.writing import Outgoing, read_entry, read_stored, write_tensors
from modules.model_manager.catalog import Catalog
from modules.model_manager.file_tasks import chosen, target
from modules.model_manager.header import read_header
from modules.prompts.tokenizer_files import write_tokenizer
from modules.tasks import Convert

# Component -> (library, class, weights file), as diffusers' own folders have them.
PARTS = MappingProxyType(
    {
        "unet": ("diffusers", "UNet2DConditionModel", "diffusion_pytorch_model.safetensors"),
        "vae": ("diffusers", "AutoencoderKL", "diffusion_pytorch_model.safetensors"),
        "text_encoder": ("transformers", "CLIPTextModel", "model.safetensors"),
        "text_encoder_2": ("transformers", "CLIPTextModelWithProjection", "model.safetensors"),
    }
)
OPEN_CLIP_PAD = "!"  # token 0


def convert(task: Convert, catalog: Catalog, done: Callable[[int, int], None]) -> Path:
    """Make the file or folder of a settled `task` and return where it is; `done` hears (tensors written, all).

    Raises `BrokenFile` when the checkpoint cannot be read, `SaveError` when there is no room, and what `done` raises;
    then nothing is left.
    """
    header = read_header(chosen(task, catalog)[0].path)
    place = target(task, catalog)
    if task.form == "safetensors":
        tensors = [
            Outgoing(each.key, _kind(each.dtype, task.half), each.shape, partial(read_stored, each))
            for each in original(header)
        ]
        write_tensors(place, tensors, _said(header), done)
        return place
    temporary = place.with_name(f".{place.name}.part")
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        _write_folder(header, temporary, task.half, done)
        temporary.replace(place)
    except OSError as error:
        raise SaveError("file_write", file=place.name, folder=str(place.parent), reason=error.strerror or "") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return place


def _write_folder(header: Header, folder: Path, half: bool, done: Callable[[int, int], None]) -> None:
    parts = {name: header.part(name) for name in PARTS if header.part(name)}
    steps, before = sum(len(part) for part in parts.values()), 0
    for name, entries in parts.items():
        library, kind, file = PARTS[name]
        config = {key: value for key, value in header.configs[name].items() if not key.startswith("_")}
        config |= {"_class_name": kind} if library == "diffusers" else {"architectures": [kind]}
        _write_json(folder / name / "config.json", config)
        write_tensors(
            folder / name / file,
            list(_outgoing(entries, half)),
            {"format": "pt"},
            lambda step, _, before=before: done(before + step, steps),  # type: ignore[misc]
        )
        before += len(entries)
        if library == "transformers":
            pads_with_nothing = name == "text_encoder_2" or config.get("hidden_act") == "gelu"
            write_tokenizer(
                folder / name.replace("text_encoder", "tokenizer"), *([OPEN_CLIP_PAD] if pads_with_nothing else [])
            )
    scheduler = dict(header.configs.get("scheduler", {}))
    _write_json(folder / "scheduler" / "scheduler_config.json", {"_class_name": "EulerDiscreteScheduler", **scheduler})
    _write_json(folder / "model_index.json", _index(parts))
    if "easel" in header.configs:
        _write_json(folder / "easel.json", header.configs["easel"])


def _outgoing(entries: Mapping[str, Entry], half: bool) -> Iterator[Outgoing]:
    for key, entry in entries.items():
        if not key.endswith("position_ids"):
            yield Outgoing(key, _kind(entry.dtype, half), entry.shape, partial(read_entry, entry))


def _index(parts: Mapping[str, object]) -> dict[str, Any]:
    pipeline = "StableDiffusionXLPipeline" if "text_encoder_2" in parts else "StableDiffusionPipeline"
    index: dict[str, Any] = {"_class_name": pipeline, "scheduler": ["diffusers", "EulerDiscreteScheduler"]}
    for name in parts:
        index[name] = list(PARTS[name][:2])
        if PARTS[name][0] == "transformers":
            index[name.replace("text_encoder", "tokenizer")] = ["transformers", "CLIPTokenizer"]
    if "text_encoder_2" in parts:
        return {**index, "force_zeros_for_empty_prompt": True}
    return {**index, "safety_checker": [None, None], "feature_extractor": [None, None]}


def _said(header: Header) -> dict[str, str]:
    """Return the file's metadata: what the source says, and what only a folder can say otherwise."""
    return {"format": "pt", **header.metadata, **stating(header)}


def _kind(dtype: str, half: bool) -> str:
    return "F16" if half and dtype == "F32" else dtype


def _write_json(path: Path, value: Mapping[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(dict(value), indent=2) + "\n", encoding="utf-8")
