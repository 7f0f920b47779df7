"""What the catalog says of a file: short on a card, in full in a dialog."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from modules.errors import BrokenFile, ModelError, UnsafeFile, WrongFamily
from modules.families.family import Defaults

DIGITS = 10  # of SHA-256, as A1111 shows it
WRONG_FAMILY = frozenset({"unknown_family", "control_unknown", "control_unsupported"})  # problems of a good file
ENDINGS = frozenset({"safetensors", "ckpt", "pt", "pth", "bin", "png", "webp", "avif", "jxl"})


def stem_of(name: str) -> str:
    """Return a file name without the ending of a model file; a folder's name may have a dot in it."""
    stem, _, ending = name.rpartition(".")
    return stem if stem and ending.lower() in ENDINGS else name


@dataclass(frozen=True)
class ModelFile:
    """A model on disk, a file or a diffusers folder.

    `family` is empty when none knows it, the hashes until they were worked out. With a `problem` (a key of
    errors.json, with `problem_values`) it can be looked at, but not be loaded.
    """

    name: str  # unique within its kind, and what requests and tags say
    path: Path
    kind: str = "checkpoint"
    family: str = ""
    hash: str = ""  # the first ten digits of `sha256`
    native_size: int = 0  # pixels
    sha256: str = ""
    size: int = 0  # bytes
    modified: float = 0.0  # seconds since 1970
    created: float = 0.0  # seconds since 1970
    folder: str = ""  # below the folder of its kind, with forward slashes
    problem: str = ""
    problem_values: Mapping[str, Any] = field(default_factory=dict, hash=False)
    preview: bool = False  # whether there is a picture beside it
    alias: str = ""  # what its trainer called it
    defaults: Defaults | None = None  # what it is best used with, where it says so
    network_hash: str = ""  # of a LoRA: the first twelve digits of SHA-256 of its tensors, as A1111 writes it

    @property
    def title(self) -> str:
        """The name with the hash, as A1111 shows it: "model.safetensors [0123456789]"."""
        return f"{self.name} [{self.hash}]" if self.hash else self.name

    @property
    def file(self) -> str:
        """The file's own name."""
        return self.path.name

    @property
    def stem(self) -> str:
        """The file's name without its folder and ending."""
        return stem_of(self.path.name)

    def fault(self) -> ModelError | None:
        """Return the error that loading it would end with, or None."""
        if not self.problem:
            return None
        if self.problem.startswith("pickle"):
            return UnsafeFile(self.problem, **self.problem_values)
        if self.problem in WRONG_FAMILY:
            return WrongFamily(self.problem, **self.problem_values)
        return BrokenFile(self.problem, **self.problem_values)


@dataclass(frozen=True)
class Page:
    """Some of the files that were looked for, and how many there are in all."""

    files: list[ModelFile]
    total: int


@dataclass(frozen=True)
class Details:
    """What a model's file says of itself, and what a person wrote down beside it. All of it is untrusted text."""

    metadata: dict[str, str] = field(default_factory=dict)
    description: str = ""
    notes: str = ""
    trigger_words: str = ""
    negative_text: str = ""
    preferred_weight: float = 0.0  # 0: none was written down
    sd_version: str = ""
    tags: list[tuple[str, int]] = field(default_factory=list)  # what it was trained on, most frequent first
    preview: Path | None = None
    vae: str = ""  # of a checkpoint: the VAE a person prefers with it
