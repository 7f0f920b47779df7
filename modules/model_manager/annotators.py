"""The weights of preprocessors: where they lie, read as data, and fetched only where that is allowed."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from huggingface_hub import hf_hub_download
from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

from modules.errors import BrokenFile, DownloadError, UnknownModel
from modules.families.family import Entry
from modules.model_manager.configs import CONFIG, config_of
from modules.model_manager.header import TORCH, read_safetensors
from modules.model_manager.torch_file import read_torch
from modules.settings import Settings

FOLDER = "ControlNetPreprocessor"
MODEL_FILES = (("model.safetensors", "model.safetensors.index.json"), ("preprocessor_config.json",))

Fetch = Callable[[str, str, Path], None]
"""Puts the file of a name from a repository into a folder."""


def _fetch(repository: str, file: str, folder: Path) -> None:
    """Fetch a file from the model hub; raise `DownloadError` when it does not come."""
    try:
        hf_hub_download(repository, file, local_dir=folder)
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        raise DownloadError("preprocessor_fetch", file=file, folder=str(folder), reason=str(error)[:200]) from error


@dataclass(frozen=True)
class Annotators:
    """The folder `models/ControlNetPreprocessor` and those below it. `fetch` is called if `allowed` alone."""

    folder: Path
    device: torch.device
    allowed: bool = False
    fetch: Fetch = _fetch

    @classmethod
    def of(cls, settings: Settings, device: torch.device) -> Annotators:
        """Return the annotators of the settings."""
        return cls(settings.models / FOLDER, device, settings.preprocessor_downloads)

    def weights(self, file: str, repository: str = "") -> Mapping[str, Entry]:
        """Return the tensors of the weight file of that name; nothing in it is run.

        Raises what `file` raises, `BrokenFile` and `UnsafeFile`.
        """
        path = self.file(file, repository)
        return read_torch(path).entries if path.suffix.lower() in TORCH else dict(read_safetensors(path))

    def file(self, file: str, repository: str = "") -> Path:
        """Return where the file of that name lies; it is fetched where that is allowed.

        Raises `UnknownModel` with its name and where to put it, and `DownloadError`.
        """
        path = self.find(file)
        if path is None and self.allowed and repository:
            with contextlib.suppress(FileExistsError):
                self.folder.mkdir(parents=True)
            self.fetch(repository, file, self.folder)
            path = self.find(file)
        if path is None:
            raise UnknownModel("preprocessor_weights", file=file, folder=str(self.folder))
        return path

    def model(self, name: str, kind: str, classes: int) -> Path:
        """Return the folder whose config.json is of a model of transformers of that `kind` with so many `classes`.

        It may have any name. Raises `UnknownModel` with the one that such a model is published under, `name`, when
        there is none, and `BrokenFile` when what is found lacks files.
        """
        for folder, _, files in sorted(os.walk(self.folder)):
            told = config_of(Path(folder)) if CONFIG in files else {}
            labels = told.get("id2label")
            if told.get("model_type") == kind and isinstance(labels, dict) and len(labels) == classes:
                lacking = [" / ".join(some) for some in MODEL_FILES if not set(some) & set(files)]
                if lacking:
                    raise BrokenFile("preprocessor_incomplete", file=name, missing=", ".join(lacking), folder=folder)
                return Path(folder)
        raise UnknownModel("preprocessor_folder", file=name, folder=str(self.folder))

    def find(self, file: str) -> Path | None:
        """Return where the file of that name lies: in the folder, or in one below it, as other programs have it."""
        for folder, _, files in sorted(os.walk(self.folder)):
            if file in files:
                return Path(folder) / file
        return None
