"""What a batch had come to when a person wanted no more of it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from modules.engine.timeline import step_of
from modules.engine.watched import Part
from modules.sampling.sampler import Denoise


class Last:
    """The last guess of the pictures of a batch, and how many steps had led to it, in all passes."""

    def __init__(self) -> None:
        self.steps = 0
        self._guess: Tensor | None = None
        self._part = Part()

    def noting(self, denoise: Denoise, sigmas: Sequence[float], part: Part) -> Denoise:
        """Return `denoise` whose answers are remembered, the last one of them; it is a `part` of the work."""
        place, steps = step_of(sigmas), len(sigmas) - 1

        def step(x: Tensor, sigma: float) -> Tensor:
            answer = denoise(x, sigma)
            self._guess, self._part = answer, part
            self.steps = part.before + part.place * steps + place(sigma)
            return answer

        return step

    def latents(self) -> Tensor | None:
        """Return the clean latents (B, C, h, w) as they were guessed last; None where there was no sound guess."""
        if self._guess is None or not bool(torch.isfinite(self._guess).all()):
            return None
        return self._part.whole(self._guess)
