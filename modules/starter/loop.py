"""The training loop the three parts share: seeded by step, checkpointed atomically, resumed bit for bit.

Nothing random is remembered between steps: each step draws from a generator seeded by (seed, step). A run that was
killed and started again therefore goes on exactly as if nothing had happened.
"""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from tqdm import tqdm  # type: ignore[import-untyped]


class Stateful(Protocol):
    """What can be saved and brought back: modules, optimizers, averages."""

    def state_dict(self) -> dict[str, Any]:
        """Everything to be saved."""
        ...

    def load_state_dict(self, state_dict: dict[str, Any]) -> Any:
        """Takes over what `state_dict` gave."""
        ...


class Average:
    """An exponential moving average of a module's parameters."""

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.decay = decay
        self.shadow = {name: p.detach().clone() for name, p in module.named_parameters()}

    @torch.no_grad()
    def update(self, module: nn.Module, step: int) -> None:
        """Takes in the module after `step`; young averages forget faster."""
        decay = min(self.decay, (1 + step) / (10 + step))
        for name, p in module.named_parameters():
            self.shadow[name].lerp_(p.detach(), 1 - decay)

    @torch.no_grad()
    def copy_to(self, module: nn.Module) -> None:
        """Writes the average into a module of the same shape."""
        for name, p in module.named_parameters():
            p.copy_(self.shadow[name])

    def state_dict(self) -> dict[str, Any]:
        """The averaged parameters by name."""
        return self.shadow

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Takes over averages that were saved."""
        for name, value in state_dict.items():
            self.shadow[name].copy_(value)


def seeded(seed: int, phase: str, step: int) -> torch.Generator:
    """The CPU generator of one step of one phase."""
    digest = hashlib.sha256(f"{phase}/{seed}/{step}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:7], "big"))


def cosine(step: int, steps: int, warmup: int) -> float:
    """Share of the full learning rate: a linear rise, then half a cosine down to zero."""
    if step < warmup:
        return (step + 1) / warmup
    return 0.5 * (1 + math.cos(math.pi * min(1.0, (step - warmup) / max(1, steps - warmup))))


def trapezoid(step: int, steps: int, warmup: int, decay: float = 0.25) -> float:
    """Share of the full learning rate: a linear rise, a plateau, and a straight fall over the last `decay` of steps.

    Because the plateau does not know how long it is, the number of steps may be decided late.
    """
    rise = (step + 1) / warmup
    fall = (steps - step) / max(1.0, steps * decay)
    return max(0.0, min(1.0, rise, fall))


def mixed_precision(device: torch.device) -> AbstractContextManager[None]:
    """bfloat16 where it is fast: on CUDA, and on processors that have it."""
    fast = device.type == "cuda" or torch.cpu._is_avx512_bf16_supported()
    return torch.autocast(device.type, torch.bfloat16) if fast else nullcontext()


def save(path: Path, state: Mapping[str, Any]) -> None:
    """Writes a checkpoint whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".part")
    with temporary.open("wb") as file:
        torch.save(dict(state), file)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def progress(steps: Iterable[int], name: str, *, total: int | None = None, start: int = 0) -> Any:
    """The same numbers behind a progress bar, which redraws seldom enough for a log file."""
    return tqdm(steps, name, total=total, initial=start, mininterval=10, dynamic_ncols=True)


def done(path: Path) -> int:
    """Steps that the checkpoint at `path` has behind it; 0 where there is none."""
    return int(torch.load(path, map_location="cpu", weights_only=True)["step"]) if path.exists() else 0


def run(
    name: str,
    path: Path,
    parts: Mapping[str, Stateful],
    optimizer: torch.optim.Optimizer,
    rate: Callable[[int], float],
    step: Callable[[int], tuple[Tensor, str]],
    steps: int,
    *,
    after: Callable[[int], None] = lambda _: None,
    every: int = 250,
) -> None:
    """Trains until `steps`, going on from the checkpoint at `path` when there is one.

    `parts` are saved with the optimizer; `rate` gives the share of each group's base rate at a step; `step` gives the
    loss and a few words for the progress bar; `after` is called behind every step with the number of steps done.
    """
    owned: dict[str, Stateful] = {**parts, "optimizer": optimizer}
    start = 0
    if path.exists():
        state = torch.load(path, map_location="cpu", weights_only=True)
        start = int(state["step"])
        for key, part in owned.items():
            part.load_state_dict(state[key])
    base = [float(group["base"]) for group in optimizer.param_groups]
    params = [p for group in optimizer.param_groups for p in group["params"]]
    bar = progress(range(start, steps), name, total=steps, start=start)
    for number in bar:
        for group, full in zip(optimizer.param_groups, base, strict=True):
            group["lr"] = full * rate(number)
        loss, words = step(number)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(params, 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        bar.set_postfix_str(words, refresh=False)
        after(number + 1)
        if (number + 1) % every == 0 or number + 1 == steps:
            save(path, {"step": number + 1, **{key: part.state_dict() for key, part in owned.items()}})
