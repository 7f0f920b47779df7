"""Keys and shapes of a checkpoint without its weights, and without running anything that is in it."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from types import MappingProxyType
from typing import Any

import yaml

from modules.errors import BrokenFile, UnsafeFile
from modules.families.family import Entry, Header
from modules.families.unet.layout import standard
from modules.model_manager.torch_file import read_torch

TORCH = frozenset({".ckpt", ".pt", ".pth", ".bin"})
PICKLES = frozenset((*TORCH, ".pkl", ".pickle"))
WEB_PAGE = b"<"
LARGEST_HEADER = 100 * 2**20  # bytes; the limit of the safetensors library
LARGEST_CONFIG, LARGEST_YAML = 2**20, 2**16
CONFIGS = MappingProxyType(
    {"scheduler": "scheduler/scheduler_config.json", "easel": "easel.json", "index": "model_index.json"}
)
CONFIG = "config.json"
NAMES = ("diffusion_pytorch_model", "model")
PICKLED_NAMES = ("diffusion_pytorch_model", "pytorch_model")
UNUSED = frozenset({"safety_checker", "feature_extractor", "image_encoder"})  # parts of a folder that are not read
BITS = MappingProxyType(
    {"F64": 64, "F32": 32, "F16": 16, "BF16": 16, "F8_E4M3": 8, "F8_E5M2": 8}
    | {"I64": 64, "I32": 32, "I16": 16, "I8": 8, "U64": 64, "U32": 32, "U16": 16, "U8": 8, "BOOL": 8}
)


def read_header(path: Path) -> Header:
    """Return the header of a diffusers folder or of one file.

    A checkpoint or an autoencoder comes in diffusers' names whatever the file calls its tensors; anything else (a LoRA,
    an embedding) in its own. The config of a folder with a single network (a ControlNet) comes as "control". Raises
    `BrokenFile` when something cannot be read as what it claims to be, `UnsafeFile` for a pickle.
    """
    if path.is_dir():
        return _read_folder(path) if is_folder_model(path) or not (path / CONFIG).is_file() else _read_network(path)
    entries, metadata = _read_file(path)
    return standard(Header(path, entries, _sidecar(path), metadata))


def is_folder_model(path: Path) -> bool:
    """Return whether `path` is a folder of diffusers' layout."""
    return (path / "model_index.json").is_file()


def read_safetensors(path: Path, metadata: dict[str, str] | None = None) -> Iterator[tuple[str, Entry]]:
    """Yield (key, entry) of a safetensors file; nothing but its header is read.

    The text it carries is put into `metadata`. Raises `BrokenFile` or, for a name that means a pickle, `UnsafeFile`.
    """
    if path.suffix.lower() in PICKLES:
        raise UnsafeFile("pickle", file=path.name)
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            length = int.from_bytes(start := file.read(8), "little")
            if start.lstrip().startswith(WEB_PAGE):
                raise BrokenFile("web_page", file=str(path))
            if not 2 <= length <= min(LARGEST_HEADER, size - 8):
                raise BrokenFile("not_safetensors", file=str(path))
            table = json.loads(file.read(length), object_pairs_hook=_once)
    except (OSError, ValueError, RecursionError) as error:
        raise BrokenFile("not_safetensors", file=str(path)) from error
    if not isinstance(table, dict):
        raise BrokenFile("not_safetensors", file=str(path))
    reached: list[tuple[int, int, str]] = []
    for key, about in table.items():
        if key != "__metadata__":
            entry = _entry(path, key, about, 8 + length, size)
            reached.append((entry.start, entry.start + entry.size, key))
            yield key, entry
        elif metadata is not None and isinstance(about, dict):
            metadata |= {name: text for name, text in about.items() if isinstance(text, str)}
    reached.sort()
    for (_, end, _), (start_of_next, _, key) in pairwise(reached):
        if start_of_next < end:  # two tensors of the same bytes: nobody writes that by accident
            raise BrokenFile("tensor_place", file=str(path), tensor=key[:80])


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Make a JSON object of pairs whose keys differ."""
    table = dict(pairs)
    if len(table) != len(pairs):
        raise ValueError("a key stands there twice")
    return table


def _entry(path: Path, key: str, about: Any, data: int, size: int) -> Entry:
    """Return one tensor's entry; its place must lie inside the file and be as large as its shape says."""
    try:
        dtype, shape, (first, last) = about["dtype"], tuple(about["shape"]), about["data_offsets"]
    except (KeyError, TypeError, ValueError) as error:
        raise BrokenFile("tensor_place", file=str(path), tensor=key[:80]) from error
    whole = isinstance(dtype, str) and all(type(each) is int and each >= 0 for each in (first, last, *shape))
    bits = BITS.get(dtype) if whole else None
    inside = whole and first <= last <= size - data
    if not inside or (bits is not None and math.prod(shape) * bits != (last - first) * 8):
        raise BrokenFile("tensor_place", file=str(path), tensor=key[:80])
    return Entry(path, dtype, shape, data + first, last - first)


def _read_file(path: Path) -> tuple[dict[str, Entry], dict[str, str]]:
    """Return the entries of one file, and the texts and numbers beside them."""
    if path.suffix.lower() in TORCH:
        read = read_torch(path)
        plain = {key: value for key, value in read.values.items() if isinstance(value, str | int | float)}
        return dict(read.entries), {key: str(value) for key, value in plain.items()}
    metadata: dict[str, str] = {}
    return dict(read_safetensors(path, metadata)), metadata


def _read_folder(folder: Path) -> Header:
    configs: dict[str, Mapping[str, Any]] = {}
    entries: dict[str, Entry] = {}
    for part in sorted(each for each in folder.iterdir() if each.is_dir()):
        if part.name not in UNUSED and (config := part / CONFIG).is_file():
            configs[part.name] = _read_config(config)
            for file in _weights_files(part):
                entries |= {f"{part.name}.{key}": entry for key, entry in _read_file(file)[0].items()}
    for name, own in CONFIGS.items():
        if (folder / own).is_file():
            configs[name] = _read_config(folder / own)
    return Header(folder, entries, configs)


def _read_network(folder: Path) -> Header:
    """Return the header of a folder with one network in it: its tensors by their own names."""
    entries: dict[str, Entry] = {}
    for file in _weights_files(folder):
        entries |= _read_file(file)[0]
    return Header(folder, entries, {"control": _read_config(folder / CONFIG)})


def _weights_files(part: Path) -> list[Path]:
    """Return the component's files: the plain one before variants such as "model.fp16", safetensors before pickles."""
    for kind, names in (("safetensors", NAMES), ("bin", PICKLED_NAMES)):
        for name in names:
            for path in (part / f"{name}.{kind}", *sorted(part.glob(f"{name}.*.{kind}"))):
                if path.is_file():
                    return [path]
            for index in (part / f"{name}.{kind}.index.json", *sorted(part.glob(f"{name}.{kind}.index.*.json"))):
                if index.is_file():
                    return _shards(index)
    raise BrokenFile("model_part_missing", file=str(part.parent), part=part.name)


def _shards(index: Path) -> list[Path]:
    """Return the files a large component was cut into, as its index names them."""
    files = _read_config(index).get("weight_map")
    names = sorted(set(map(str, files.values()))) if isinstance(files, dict) else []
    if not names or any(Path(name).name != name for name in names):  # they lie beside it, and nowhere else
        raise BrokenFile("not_json", file=str(index))
    return [index.parent / name for name in names]


def _read_config(path: Path) -> Mapping[str, Any]:
    try:
        if path.stat().st_size > LARGEST_CONFIG:
            raise BrokenFile("not_json", file=str(path))
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise BrokenFile("not_json", file=str(path)) from error
    if not isinstance(config, dict):
        raise BrokenFile("not_json", file=str(path))
    return config


def _sidecar(path: Path) -> dict[str, Mapping[str, Any]]:
    """Return what the YAML of the checkpoint's name beside it holds, as "yaml"."""
    beside = path.with_suffix(".yaml")
    if not beside.is_file():
        return {}
    try:
        if beside.stat().st_size > LARGEST_YAML:
            raise BrokenFile("not_yaml", file=str(beside))
        config = yaml.safe_load(beside.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        raise BrokenFile("not_yaml", file=str(beside)) from error
    return {"yaml": config} if isinstance(config, dict) else {}
