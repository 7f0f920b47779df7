"""The vectors of learned words, read when a prompt first needs them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType

import torch
from torch import Tensor

from modules.families.family import Entry, Model
from modules.model_manager.embeddings import Source
from modules.model_manager.learned import Vocabulary
from modules.model_manager.tensors import read_tensor


class LearnedVectors(Mapping[str, Mapping[str, Tensor]]):
    """Every learned word of a vocabulary: by text encoder, its vectors (n, width), float32 on the CPU."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary
        self._read: dict[str, Mapping[str, Tensor]] = {}

    def __getitem__(self, name: str) -> Mapping[str, Tensor]:
        if name not in self._read:
            sources = self._vocabulary.sources(name) if name in self._vocabulary else None
            if sources is None:
                raise KeyError(name)
            self._read[name] = MappingProxyType({part: read_vectors(source) for part, source in sources.items()})
        return self._read[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._vocabulary)

    def __len__(self) -> int:
        return len(self._vocabulary)


def read_vectors(source: Source) -> Tensor:
    """Return the vectors at `source` as rows, float32."""
    if isinstance(source, Entry):
        return read_tensor(source).reshape(-1, source.shape[-1])
    return torch.frombuffer(bytearray(source.values), dtype=torch.float32).reshape(source.shape)


def encoder_widths(model: Model) -> dict[str, int]:
    """Return how wide the vectors are that the text encoders of `model` read, by component."""
    widths = {}
    for part, module in model.parts.items():
        table = getattr(module, "get_input_embeddings", None)
        if part.startswith("text_encoder") and table is not None:
            widths[part] = int(table().weight.shape[1])
    return widths
