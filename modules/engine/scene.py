"""What the passes over a batch have in common, and what the batch turned out to use."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from modules.engine.beside import Beside
from modules.engine.incomplete import Last
from modules.engine.job import Rings
from modules.engine.latents import Guard
from modules.engine.relay import Cast, Relay
from modules.engine.report import Report

Hashes = dict[str, dict[str, str]]
"""Kind of network -> name -> short hash."""


@dataclass
class Used:
    """What a batch turned out to use: networks of each picture by kind and name, and whether a refiner took over.

    One that a person wanted no more of took `steps`; it was `skipped`, or the whole job ends.
    """

    networks: list[Hashes]
    refined: bool = False
    steps: int = 0
    skipped: bool = False

    def add(self, networks: Sequence[Hashes]) -> None:
        """Take note of networks of each picture."""
        for known, more in zip(self.networks, networks, strict=True):
            for kind, found in more.items():
                known[kind] = {**known.get(kind, {}), **found}


@dataclass(frozen=True)
class Scene:
    """What the passes over a batch have in common."""

    cast: Cast
    relay: Relay
    rings: Rings
    report: Report
    guard: Guard
    used: Used
    beside: Beside
    last: Last
