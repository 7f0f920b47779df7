"""Timing two sides in turns, and a table of their ratios."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Row:
    """Two figures, what their ratio is of, and the most it should be."""

    what: str
    ours: float
    other: float
    most: float

    @property
    def ratio(self) -> float:
        return self.ours / self.other


def in_turns(ours: Callable[[], object], other: Callable[[], object], rounds: int) -> tuple[float, float, float]:
    """Run both sides in turns and return (least seconds of ours, least of the other, ratio of processor time).

    Whatever else runs on the machine then disturbs both alike, and the least is what they take undisturbed.
    """
    ours(), other()  # the first call warms caches
    walls: list[list[float]] = [[], []]
    works: list[list[float]] = [[], []]
    for _ in range(rounds):
        for side, run in enumerate((ours, other)):
            wall, work = time.perf_counter(), time.process_time()
            run()
            walls[side].append(time.perf_counter() - wall)
            works[side].append(time.process_time() - work)
    return min(walls[0]), min(walls[1]), min(works[0]) / min(works[1])


def show(title: str, rows: Sequence[Row], unit: str, names: tuple[str, str]) -> None:
    """Print a table in Markdown."""
    lines = [f"### {title}", "", f"| | {names[0]} ({unit}) | {names[1]} ({unit}) | ratio | at most | |"]
    lines.append("|---|---|---|---|---|---|")
    for row in rows:
        verdict = "ok" if row.ratio <= row.most else "**above**"
        lines.append(f"| {row.what} | {row.ours:.3f} | {row.other:.3f} | {row.ratio:.3f} | {row.most} | {verdict} |")
    say("\n".join([*lines, ""]))


def say(text: str) -> None:
    """Write a line and do not keep it back."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def processor() -> str:
    """Return the processor's name and how many of its cores are used."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    name = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), "unknown")
    return f"{name}, {os.cpu_count()} cores, {os.environ.get('OMP_NUM_THREADS', 'all')} of them for torch"
