"""What is on the device: one model at a time, kept until another is asked for."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import torch

from modules.families.family import Family, Header, Model
from modules.model_manager.catalog import ModelFile, Stamp, stamp_of
from modules.model_manager.header import read_header
from modules.model_manager.identify import identify


class ModelManager:
    """Owns the weights of one worker.

    `dtype_for` says what a checkpoint is computed in on `device`. A model that is borrowed stays; asking for another
    one meanwhile loads that one beside it, and it goes when its borrower is done.
    """

    def __init__(
        self, families: Mapping[str, Family], device: torch.device, dtype_for: Callable[[Header], torch.dtype]
    ) -> None:
        self.device = device
        self._families = families
        self._dtype_for = dtype_for
        self._kept: tuple[Path, Stamp, Model] | None = None
        self._lent = 0

    def holds(self, file: ModelFile) -> bool:
        """Return whether `file`, as it is on disk now, is loaded."""
        return self._kept is not None and self._kept[:2] == (file.path, stamp_of(file.path))

    @contextmanager
    def borrow(self, file: ModelFile) -> Iterator[Model]:
        """Lend the model of `file` until the `with` is left; load it first where needed.

        Raises `BrokenFile`, `UnsafeFile` or `WrongFamily` when it cannot be loaded; then nothing is kept.
        """
        if self._lent and not self.holds(file):
            yield self._load(file)
            return
        if not self.holds(file):
            self.release()
            stamp = stamp_of(file.path)
            self._kept = (file.path, stamp, self._load(file))
        assert self._kept is not None
        self._lent += 1
        try:
            yield self._kept[2]
        finally:
            self._lent -= 1

    def release(self) -> None:
        """Let go of the kept model and give its memory back to the device."""
        self._kept = None
        gc.collect()
        if self.device.type == "cuda":
            torch.cuda.empty_cache()

    def _load(self, file: ModelFile) -> Model:
        header = read_header(file.path)
        return identify(header, self._families).load(header, self.device, self._dtype_for(header))
