"""The CLIP text encoders of the U-Net families, and how each family reads words with them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers.models.clip.modeling_clip import CLIPTextModel, CLIPTextModelWithProjection

from modules.families.family import Learned
from modules.families.unet.reading import Reading
from modules.prompts.chunks import EOS, Chunk
from modules.prompts.emphasis import Apply, emphasise


@dataclass(frozen=True)
class TextEncoder:
    """One text encoder of a loaded checkpoint."""

    reading: Reading
    module: CLIPTextModel | CLIPTextModelWithProjection

    @property
    def core(self) -> CLIPTextModel:
        """The encoder without the projection some have on top."""
        module = self.module
        return module.text_model if isinstance(module, CLIPTextModelWithProjection) else module

    def __call__(
        self,
        chunks: Sequence[Chunk],
        clip_skip: int,
        learned: Learned,
        device: torch.device,
        apply: Apply = emphasise,
        first_alone: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        """Return what it says of each chunk, (N, 77, width), and of each as a whole, (N, width) or None.

        Weights of words are applied to the former; the latter always comes from the last layer.
        """
        ids = torch.tensor([self._padded(chunk.ids) for chunk in chunks], device=device)
        layer = self._layer(clip_skip, first_alone)
        with self._spliced(chunks, learned):
            said = self.module(input_ids=ids, output_hidden_states=True)
        words = said.hidden_states[-layer]
        if self.reading.normed:
            words = said.last_hidden_state if layer == 1 else self.core.final_layer_norm(words)
        pooled = said.text_embeds if self.reading.pooled else None
        return apply(words, [chunk.weights for chunk in chunks]), pooled

    def _padded(self, ids: Sequence[int]) -> list[int]:
        """Return `ids` filled up as this encoder was trained: behind the first end token, with its own padding."""
        end = ids.index(EOS) + 1
        return [*ids[:end], *(self.reading.pad for _ in ids[end:])]

    def _layer(self, clip_skip: int, first_alone: bool) -> int:
        """Return which layer's words are taken, counted from the end of those that are there (1: the last).

        Where clip skip is for the first of several encoders alone, the others are read as usual.
        """
        layers: int = self.core.config.num_hidden_layers
        wanted = max(clip_skip, self.reading.skip)
        if first_alone:
            wanted = clip_skip if self.reading.first else self.reading.skip
        return min(max(wanted - self.reading.cut, 1), layers)

    @contextmanager
    def _spliced(self, chunks: Sequence[Chunk], learned: Learned) -> Iterator[None]:
        """Put learned vectors where the chunks name them, in place of the tokens' own, until the `with` is left."""
        places = [
            (row, place, learned[name][self.reading.part][vector])
            for row, chunk in enumerate(chunks)
            for place, name, vector in chunk.learned
            if self.reading.part in learned.get(name, {})
        ]
        if not places:
            yield
            return

        def splice(module: torch.nn.Module, given: object, vectors: Tensor) -> Tensor:
            vectors = vectors.clone()
            for row, place, vector in places:
                vectors[row, place] = vector.to(vectors)
            return vectors

        handle = self.core.embeddings.token_embedding.register_forward_hook(splice)
        try:
            yield
        finally:
            handle.remove()
