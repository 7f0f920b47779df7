"""Noise, one seeded stream per image, so that a picture does not depend on the batch it was made in.

The only file of this room that imports torch: whoever lists samplers must not need it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np
import torch
import torchsde
from torch import Tensor

from modules.sampling.sampler import NoiseKind

Source = Literal["CPU", "GPU", "NV"]
Draw = Callable[[tuple[int, ...]], Tensor]

SEEDS = 2**64
PARALLEL = 0.9995  # the mean cosine beyond which there is no arc to speak of
DIGITS = 6  # what the Brownian tree resolves of a sigma


@dataclass(frozen=True)
class Turned:
    """A second noise that the first is turned towards by `strength` 0..1: one seed per image.

    `size` (h, w) is what both are drawn for when it is not the pictures' own; see `Noise`.
    """

    seeds: Sequence[int] = ()
    strength: float = 0.0
    size: tuple[int, int] | None = None


class Noise:
    """The noise of a batch: what its pictures start from and what its sampler draws at each step.

    `seeds` (0 .. 2^64 - 1) has one entry per image and `shape` is (C, h, w). `source` says whose numbers: torch's CPU
    generator, an imitation of CUDA's that gives the same on every machine ("NV"), or the generator of `device` ("GPU").
    `kind` is what the sampler wants: "brownian" noise belongs to the interval of sigma it is drawn for, comes from a
    tree on the CPU and needs the `sigmas` that will be visited; the other kinds come from the image's stream in turn.

    `turned` is what the noise at the start is mixed of; where that is drawn for another size, it lies in the middle of
    the pictures' own. `delta` is added to the seeds after the start (A1111's "eta noise seed delta").
    """

    def __init__(
        self,
        seeds: Sequence[int],
        shape: tuple[int, int, int],
        device: torch.device | str = "cpu",
        kind: NoiseKind = "ancestral",
        source: Source = "CPU",
        sigmas: Sequence[float] = (),
        turned: Turned | None = None,
        delta: int = 0,
    ) -> None:
        for seed in (*seeds, *(turned.seeds if turned else ())):
            if not 0 <= seed < SEEDS:
                raise ValueError(f"a seed lies between 0 and 2^64 - 1, not at {seed}")
        self.shape = shape
        self.device = torch.device(device)
        self.kind = kind
        self._streams = [stream(seed, source, self.device) for seed in seeds]
        # Drawn first, whether it is asked for or not: the steps of a picture must not depend on that.
        drawn = [draw(shape) for draw in self._streams]
        if turned is not None:
            fresh = partial(stream, source=source, device=self.device)
            drawn = [_turned(noise, seeds[place], place, turned, fresh) for place, noise in enumerate(drawn)]
        self._initial = torch.stack(drawn).to(self.device)
        if delta:
            self._streams = [stream((seed + delta) % SEEDS, source, self.device) for seed in seeds]
        self._trees: list[torchsde.BrownianTree] = []
        self._span = (0.0, 0.0)
        if kind == "brownian":
            positive = [sigma for sigma in sigmas if sigma > 0]
            if not positive:
                raise ValueError("Brownian noise needs the sigmas that will be visited")
            self._span = (round(min(positive), DIGITS), round(max(positive), DIGITS))
            if self._span[0] < self._span[1]:
                low, high = self._span
                self._trees = [torchsde.BrownianTree(low, torch.zeros(shape), high, entropy=seed) for seed in seeds]

    def initial(self) -> Tensor:
        """Return the unit normal noise the pictures start from: (B, C, h, w), float32, on the device."""
        return self._initial.clone()

    def __call__(self, x: Tensor, sigma: float, sigma_next: float) -> Tensor:
        """Return unit normal noise like `x` for the step from `sigma` to `sigma_next`.

        Raises `ValueError` when the sampler was declared to draw none.
        """
        if self.kind == "none":
            raise ValueError("this sampler says it draws no noise, and draws some")
        if x.shape[0] != len(self._streams):
            raise ValueError(f"{len(self._streams)} streams of noise cannot serve {x.shape[0]} images")
        if self.kind == "brownian":
            drawn = torch.stack([self._increment(tree, sigma, sigma_next) for tree in self._trees])
        else:
            drawn = torch.stack([draw(tuple(x.shape[1:])) for draw in self._streams])
        return drawn.to(x)

    def _increment(self, tree: torchsde.BrownianTree, sigma: float, sigma_next: float) -> Tensor:
        """Return the tree's increment over the step, from high to low, in units of its standard deviation.

        torchsde does not return from an interval that its rounding makes empty, so such a step is widened.
        """
        low, high = self._span
        start, end = (round(min(max(each, low), high), DIGITS) for each in (sigma_next, sigma))
        if start >= end:
            start = max(low, round(end - 10**-DIGITS, DIGITS))
            end = max(end, round(start + 10**-DIGITS, DIGITS))
        increment: Tensor = tree(start, end)
        return increment / -math.sqrt(end - start)


def _turned(noise: Tensor, seed: int, place: int, turned: Turned, fresh: Callable[[int], Draw]) -> Tensor:
    """Return the start of the picture at `place`, whose own noise (C, h, w) is `noise`."""
    shape = (noise.shape[0], *(turned.size or noise.shape[1:]))
    own = noise if shape == tuple(noise.shape) else fresh(seed)(shape)
    if turned.strength:
        own = slerp(own, fresh(turned.seeds[place])(shape), turned.strength)
    return own if shape == tuple(noise.shape) else _centred(noise, own)


def slerp(low: Tensor, high: Tensor, share: float) -> Tensor:
    """Turn noise (C, h, w) from `low` (share 0) towards `high` (share 1) along a great circle (Shoemake 1985).

    Columns are turned each by itself, and what is as good as parallel is mixed, so that old pictures come out again.
    """
    dot = (low / low.norm(dim=1, keepdim=True) * (high / high.norm(dim=1, keepdim=True))).sum(1)
    if float(dot.mean()) > PARALLEL:
        return low * share + high * (1 - share)
    angle = torch.acos(dot)
    parts = torch.sin((1 - share) * angle), torch.sin(share * angle)
    return (parts[0] / torch.sin(angle)).unsqueeze(1) * low + (parts[1] / torch.sin(angle)).unsqueeze(1) * high


def _centred(large: Tensor, small: Tensor) -> Tensor:
    """Return `large` (C, H, W) with `small` (C, h, w) in its middle; what of it is larger is cut off."""
    spans = []
    for whole, part in zip(large.shape[1:], small.shape[1:], strict=True):
        shift = (whole - part) // 2
        length = part + 2 * min(0, shift)
        spans.append((slice(max(0, shift), max(0, shift) + length), slice(max(0, -shift), max(0, -shift) + length)))
    (rows, own_rows), (columns, own_columns) = spans
    mixed = large.clone()
    mixed[:, rows, columns] = small[:, own_rows, own_columns]
    return mixed


def stream(seed: int, source: Source = "CPU", device: torch.device | str = "cpu") -> Draw:
    """Return a function that draws float32 unit normal tensors of a shape, the same ones for the same seed."""
    if source == "NV":
        return Philox(seed)
    place = torch.device(device) if source == "GPU" else torch.device("cpu")
    # torch takes a seed as a signed number: the upper half of the range is written as negative.
    generator = torch.Generator(place).manual_seed(seed if seed < SEEDS // 2 else seed - SEEDS)
    return lambda shape: torch.randn(shape, generator=generator, device=place)


class Philox:
    """CUDA's `torch.randn` in arithmetic: Philox 4x32 with 10 rounds (Salmon et al. 2011) and Box and Muller's sine.

    The key is the seed; the counter holds the number of the draw and the place in the tensor.
    """

    def __init__(self, seed: int) -> None:
        self._key = (seed & 0xFFFFFFFF, seed >> 32)
        self._draws = 0

    def __call__(self, shape: tuple[int, ...]) -> Tensor:
        """Draw the next float32 tensor of `shape` on the CPU."""
        count = math.prod(shape)
        first, second = self._bits(count)
        self._draws += 1
        u = first * 2.0**-32 + 2.0**-33
        v = (second * 2.0**-32 + 2.0**-33) * (2 * math.pi)
        normal = np.sqrt(-2 * np.log(u)) * np.sin(v)
        return torch.from_numpy(normal.astype(np.float32)).reshape(shape)

    def _bits(self, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the first two of the four 32-bit words for each of `count` counters."""
        low = np.uint64(0xFFFFFFFF)
        half = np.uint64(32)
        c0 = np.full(count, self._draws & 0xFFFFFFFF, np.uint64)
        c1 = np.zeros(count, np.uint64)
        c2 = np.arange(count, dtype=np.uint64)
        c3 = np.zeros(count, np.uint64)
        k0, k1 = self._key
        for _ in range(10):
            a, b = c0 * np.uint64(0xD2511F53), c2 * np.uint64(0xCD9E8D57)
            c0, c1, c2, c3 = (b >> half) ^ c1 ^ np.uint64(k0), b & low, (a >> half) ^ c3 ^ np.uint64(k1), a & low
            k0, k1 = (k0 + 0x9E3779B9) & 0xFFFFFFFF, (k1 + 0xBB67AE85) & 0xFFFFFFFF
        return c0, c1
