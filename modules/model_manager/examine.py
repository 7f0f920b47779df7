"""What a file is, by its header alone: its family, what its trainer called it, or why it cannot be used."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from modules.controls.control import Control
from modules.errors import BrokenFile, ModelError
from modules.families.family import Defaults, Entry, Family, Header
from modules.model_manager.control_kinds import built_in_controls, control_family, control_of
from modules.model_manager.embedding_picture import SUFFIXES, carries_embedding
from modules.model_manager.embeddings import read_embedding
from modules.model_manager.hashing import NETWORK_DIGITS
from modules.model_manager.header import is_folder_model, read_header
from modules.model_manager.hypernetwork_file import read_hypernetwork
from modules.model_manager.identify import identify
from modules.model_manager.lora_family import lora_family
from modules.model_manager.lora_keys import is_lora
from modules.model_manager.peek import peek, refuse, tensors_of
from modules.model_manager.scan import bad_name
from modules.model_manager.torch_file import read_torch

RULES = 4  # raised when files must be examined again, because more is known of them
ORDINARY = "ordinary_picture"  # not a problem of the file: it is no model at all, and not listed
LONGEST_ALIAS = 200
_DIGITS = str.maketrans("", "", "0123456789")


@dataclass(frozen=True)
class Facts:
    """What a file says of itself, kept until it changes."""

    family: str = ""
    native_size: int = 0
    alias: str = ""
    network_hash: str = ""
    problem: str = ""
    values: Mapping[str, Any] = field(default_factory=dict)
    defaults: Defaults | None = None


class Examiner:
    """Reads headers. What a LoRA's table of tensors says is remembered: trainers write the same one into many files."""

    def __init__(self, families: Mapping[str, Family]) -> None:
        self._families = families
        self._controls: Mapping[str, Control] = {}
        self._tables: dict[int, _Lora] = {}  # by the table's hash

    def examine(self, path: Path, kind: str) -> Facts:
        """Return what the file at `path` is; what is wrong with it comes back as a problem."""
        try:
            return _READERS.get(kind, Examiner._other)(self, path)
        except ModelError as error:
            return Facts(problem=error.key, values={name: str(value) for name, value in error.values.items()})
        except OSError as error:
            return Facts(problem="unreadable", values={"file": path.name, "reason": error.strerror or ""})

    def _checkpoint(self, path: Path) -> Facts:
        header = read_header(path)
        family = identify(header, self._families)
        size, special = family.native_size(header), family.defaults_for(header)
        ordinary = replace(special, native_size=family.defaults.native_size) == family.defaults
        return Facts(family.name, size, defaults=None if ordinary else special)

    def _lora(self, path: Path) -> Facts:
        if path.suffix.lower() != ".safetensors":
            header = read_header(path)
            if not is_lora(header):
                raise BrokenFile("not_this_kind", file=path.name, kind="Lora")
            return Facts(lora_family(header))
        seen = peek(path)
        digest = hash(seen.table)
        lora = self._tables.get(digest)
        if lora is None:
            lora = self._tables[digest] = _lora_of(path, seen.table)
        if lora.filled != seen.room:
            refuse(path)
        if lora.family is None:
            raise BrokenFile("not_this_kind", file=path.name, kind="Lora")
        return Facts(
            lora.family or lora_family(Header(path, {}, metadata=seen.text)),
            alias=_alias(seen.text.get("ss_output_name", "")),
            network_hash=_digits(seen.text.get("sshs_model_hash", "")),
        )

    def _embedding(self, path: Path) -> Facts:
        if path.suffix.lower() in SUFFIXES and not carries_embedding(path):
            return Facts(problem=ORDINARY)
        return Facts(read_embedding(path).family)

    def _hypernetwork(self, path: Path) -> Facts:
        return Facts(read_hypernetwork(path).family)

    def _control(self, path: Path) -> Facts:
        self._controls = self._controls or built_in_controls()
        header = read_header(path)
        kind = control_of(header, self._controls)
        return Facts(control_family(header, kind, self._families))

    def _vae(self, path: Path) -> Facts:
        if not any(key.startswith("vae.") for key in read_header(path).entries):
            raise BrokenFile("not_this_kind", file=path.name, kind="VAE")
        return Facts()

    def _other(self, path: Path) -> Facts:
        """Only see to it that the file is whole, and holds nothing but data."""
        if path.suffix.lower() == ".safetensors":
            refuse(path)
        else:
            read_torch(path)
        return Facts()


def weights_of(path: Path, families: Mapping[str, Family]) -> Path:
    """Return the file whose SHA-256 identifies a model: itself, or one of a folder's. Raises `ModelError`."""
    if not path.is_dir():
        return path
    header = read_header(path)
    if not is_folder_model(path) and header.entries:
        return next(iter(header.entries.values())).file  # a single network
    return identify(header, families).weights(header)


@dataclass(frozen=True)
class _Lora:
    """What a LoRA's table says: the family as far as keys and shapes tell, None for no LoRA; bytes of its tensors."""

    family: str | None
    filled: int


def _lora_of(path: Path, table: str) -> _Lora:
    tensors = tensors_of(table)
    # Layers whose names differ in numbers only are alike, but for those of the second attention and encoder.
    alike: dict[str, str] = {}
    for key in tensors.shapes:
        alike.setdefault(key.replace("attn2", "attn-").replace("te2_", "te-").translate(_DIGITS), key)
    every = [_header(path, tensors.shapes, keys) for keys in (alike.values(), tensors.shapes)]
    family = lora_family(every[0]) or (lora_family(every[1]) if is_lora(every[1]) else None)
    return _Lora(family, tensors.filled)


def _header(path: Path, shapes: Mapping[str, tuple[int, ...]], keys: Iterable[str]) -> Header:
    return Header(path, {key: Entry(path, "", shapes[key], 0, 0) for key in keys})


def _alias(text: str) -> str:
    text = text.strip()
    return "" if len(text) > LONGEST_ALIAS or bad_name(text) or "/" in text or ":" in text else text


def _digits(text: str) -> str:
    text = text.strip().lower()
    return text[:NETWORK_DIGITS] if len(text) == 64 and not text.strip("0123456789abcdef") else ""


_READERS: Mapping[str, Callable[[Examiner, Path], Facts]] = MappingProxyType(
    {
        "checkpoint": Examiner._checkpoint,
        "lora": Examiner._lora,
        "embedding": Examiner._embedding,
        "hypernetwork": Examiner._hypernetwork,
        "vae": Examiner._vae,
        "controlnet": Examiner._control,
    }
)
