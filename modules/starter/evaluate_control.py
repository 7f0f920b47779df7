"""Measures the canny ControlNet on edges it never saw: `python -m modules.starter.evaluate_control [--control DIR]`.

Every prompt names the things of a drawing in other colours, on another stage, and does not say how large they are:
shape and place have to come from the edges, colours from the words. The same prompts without the ControlNet (weight 0)
show how much is owed to it.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from diffusers import ControlNetModel
from rich.console import Console
from rich.table import Table
from torch import Tensor

from modules.starter.autoencoder import pixels
from modules.starter.captions import standard
from modules.starter.control import THRESHOLDS, Move, controlled, drawn, edges
from modules.starter.evaluate import copied, unseen
from modules.starter.generate import Starter, generate
from modules.starter.judge import Judge, trained
from modules.starter.loop import progress
from modules.starter.scenes import COLOURS, Scene, distinct, places
from modules.starter.silhouette import Mask, known, overlap, seen, stages
from modules.starter.train import FOLDER as STARTER
from modules.starter.train_control import FOLDER

_BATCH = 10


@dataclass(frozen=True)
class Trial:
    """A drawing and the scene that is asked for in its place; both are moved alike."""

    given: Scene
    asked: Scene
    move: Move

    @property
    def prompt(self) -> str:
        """What is asked for, sizes unsaid."""
        return standard(replace(self.asked, things=tuple(replace(thing, size="medium") for thing in self.asked.things)))

    @property
    def mask(self) -> Mask:
        """Where the things of the drawing are."""
        return self.move.of(known(self.given))

    def seen(self, picture: Tensor, scene: Scene) -> Mask:
        """Where things are in a picture on the stage of `scene`, the drawn one or the one asked for."""
        return seen(picture, [self.move.of(stage) for stage in stages(scene)])


def repainted(scene: Scene, rng: random.Random) -> Scene:
    """The same things in the same places: all colours, the stage's too, are others."""
    stage = rng.choice([colour for colour in COLOURS if colour != scene.background])
    things = tuple(
        replace(thing, colour=rng.choice([c for c in COLOURS if c != thing.colour and distinct(c, stage)]))
        for thing in scene.things
    )
    return replace(scene, things=things, background=stage)


def trials(count: int, *, move: bool = False) -> list[Trial]:
    """Unseen drawings with prompts in other colours; moved out of their places if so asked."""
    rng = random.Random(5)
    found: list[Trial] = []
    for scene in unseen(count):
        shift = Move(scene.relation is None, *rng.choices((-12, -8, 8, 12), k=2)) if move else Move(False, 0, 0)
        found.append(Trial(scene, repainted(scene, rng), shift))
    return found


def pictures_of(
    starter: Starter, control: ControlNetModel, given: Sequence[Trial], *, weight: float = 1, seed: int, steps: int = 20
) -> Tensor:
    """What each trial's prompt and edges give together, seeds counting up from `seed`."""
    parts = []
    for start in progress(range(0, len(given), _BATCH), f"pictures at weight {weight:g}"):
        chunk = given[start : start + _BATCH]
        hints = edges(pixels(drawn(trial.given, trial.move) for trial in chunk), [THRESHOLDS] * len(chunk))
        parts.append(
            generate(
                starter,
                [trial.prompt for trial in chunk],
                range(seed + start, seed + start + len(chunk)),
                steps=steps,
                ask=controlled(starter, control, hints, weight),
            )
        )
    return torch.cat(parts)


def overlaps(given: Sequence[Trial], pictures: Tensor) -> list[float]:
    """Intersection over union of each picture's silhouette with its drawing's, 0..1."""
    return [
        overlap(trial.seen(picture, trial.asked), trial.mask) for trial, picture in zip(given, pictures, strict=True)
    ]


def colours(judge: Judge, scenes: Sequence[Scene], pictures: Tensor) -> tuple[float, float]:
    """Shares of things and of stages, 0..1, in the colour of their scene, looked for where the scene has them."""
    things, stage = [], []
    for scene, picture in zip(scenes, pictures, strict=True):
        verdict = judge.look(picture, places(scene))
        things += [found[1] == thing.colour for found, thing in zip(verdict.things, scene.things, strict=True)]
        stage.append(verdict.background == scene.background)
    return float(np.mean(things)), float(np.mean(stage))


def main() -> None:
    """Reads the command line and prints the figures."""
    parser = argparse.ArgumentParser(description="Measure the starter's canny ControlNet.")
    parser.add_argument("--control", type=Path, default=FOLDER)
    parser.add_argument("--model", type=Path, default=STARTER, help="the starter model")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--seed", type=int, default=1000, help="first seed of the pictures")
    parser.add_argument("--count", type=int, default=100, help="edge maps")
    parser.add_argument("--moved", type=int, default=20, help="edge maps of moved drawings, and pictures at weight 0")
    asked = parser.parse_args()
    device = torch.device(asked.device)
    starter = Starter.load(asked.model, device)
    parts = {"torch_dtype": torch.float32, "local_files_only": True, "low_cpu_mem_usage": False}
    control = ControlNetModel.from_pretrained(asked.control, **parts).to(device).eval()
    judge = trained()

    still, moved = trials(asked.count), trials(asked.moved, move=True)
    themselves = [replace(trial, asked=trial.given) for trial in still]
    drawings = pixels(drawn(trial.given, trial.move) for trial in still)
    table = Table("judged", "pictures", "IoU, mean", "IoU over 0.8", "object colour", "background")

    def row(name: str, given: Sequence[Trial], pictures: Tensor) -> None:
        found = overlaps(given, pictures)
        there = f"{np.mean(found):.3f}", f"{100 * np.mean([each > 0.8 for each in found]):.0f} %"
        if any(trial.move != Move(False, 0, 0) for trial in given):
            table.add_row(name, str(len(given)), *there, "", "")
        else:
            shares = colours(judge, [trial.asked for trial in given], pictures)
            table.add_row(name, str(len(given)), *there, *(f"{100 * share:.0f} %" for share in shares))

    row("drawings (the measure itself)", themselves, drawings)
    row("drawings, autoencoded", themselves, copied(starter, drawings))
    row("unseen edges", still, pictures_of(starter, control, still, seed=asked.seed))
    row("unseen edges, moved", moved, pictures_of(starter, control, moved, seed=asked.seed))
    for words, given in (("weight 0", still[: asked.moved]), ("moved, weight 0", moved)):
        row(words, given, pictures_of(starter, control, given, weight=0, seed=asked.seed))
    Console().print(table)


if __name__ == "__main__":
    main()
