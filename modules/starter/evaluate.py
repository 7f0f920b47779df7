"""Measures the starter on prompts it never saw: `python -m modules.starter.evaluate [--model DIR]`.

Prompts name combinations of kind, colour and background that `scenes.held_out` kept from training. What comes out is
judged against the known drawings; the judge itself is measured first, on drawings and on their autoencoded copies.
"""

from __future__ import annotations

import argparse
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

from modules.starter.autoencoder import centred, drawings, pixels, psnr
from modules.starter.captions import standard, understood
from modules.starter.generate import Starter, generate
from modules.starter.judge import Judge, Verdict, random_scene, trained
from modules.starter.loop import progress
from modules.starter.scenes import COLOURS, KINDS, RELATIONS, SIZES, Scene, Thing, distinct, draw, held_out
from modules.starter.train import FOLDER

_BATCH = 20


@dataclass(frozen=True)
class Score:
    """Shares of right answers, 0..1, over `count` pictures."""

    count: int
    kind: float
    colour: float
    background: float
    everything: float


def lone_prompts() -> list[Scene]:
    """Every held-out combination as a lone object, in a fixed shuffled order."""
    scenes = [
        Scene((Thing(kind, colour),), background)
        for kind in KINDS
        for colour in COLOURS
        for background in COLOURS
        if distinct(colour, background) and held_out(kind, colour, background)
    ]
    random.Random(1).shuffle(scenes)
    return scenes


def paired_prompts(count: int) -> list[Scene]:
    """Pairs of objects that are both held out on their background, all relations in turn."""
    rng = random.Random(2)
    lone = lone_prompts()
    scenes: list[Scene] = []
    while len(scenes) < count:
        first = rng.choice(lone)
        second = rng.choice([scene for scene in lone if scene.background == first.background])
        relation = RELATIONS[len(scenes) % len(RELATIONS)]
        scenes.append(Scene((*first.things, *second.things), first.background, relation))
    return scenes


def unseen(count: int) -> list[Scene]:
    """Scenes that training never saw, to be drawn: lone things of any size and pairs in turn."""
    rng = random.Random(4)
    lone, pairs = lone_prompts(), paired_prompts((count + 1) // 2)
    scenes: list[Scene] = []
    for number in range(count):
        scene = pairs[number // 2] if number % 2 else lone[number // 2 % len(lone)]
        if scene.relation is None:
            scene = replace(scene, things=(replace(scene.things[0], size=rng.choice(SIZES)),))
        scenes.append(replace(scene, seed=rng.randrange(2**31)))
    return scenes


def score(judge: Judge, scenes: Sequence[Scene], pictures: Tensor) -> tuple[Score, Counter[str]]:
    """Judges pictures (bytes, (n, 3, 128, 128)) against the scenes they should show; also counts each kind of error."""
    kind = colour = background = everything = things = 0
    errors: Counter[str] = Counter()
    for scene, picture in zip(scenes, pictures, strict=True):
        wish = understood(standard(scene))
        seen: Verdict = judge.see(picture, wish.arrangement)
        right_background = seen.background == scene.background
        background += right_background
        kinds = [a[0] == b[0] for a, b in zip(seen.things, wish.things, strict=True)]
        colours = [a[1] == b[1] for a, b in zip(seen.things, wish.things, strict=True)]
        kind, colour, things = kind + sum(kinds), colour + sum(colours), things + len(kinds)
        everything += all(kinds) and all(colours)
        errors.update(f"{b[0]} seen as {a[0]}" for a, b in zip(seen.things, wish.things, strict=True) if a[0] != b[0])
        errors.update(f"{b[1]} seen as {a[1]}" for a, b in zip(seen.things, wish.things, strict=True) if a[1] != b[1])
        if not right_background:
            errors[f"background {scene.background} seen as {seen.background}"] += 1
    count = len(scenes)
    return Score(count, kind / things, colour / things, background / count, everything / count), errors


def pictures_of(model: Starter, scenes: Sequence[Scene], seed: int) -> Tensor:
    """Generates each scene's standard prompt, seeds counting up from `seed`."""
    parts = []
    for start in progress(range(0, len(scenes), _BATCH), "pictures"):
        chunk = scenes[start : start + _BATCH]
        parts.append(
            generate(model, [standard(scene) for scene in chunk], range(seed + start, seed + start + len(chunk)))
        )
    return torch.cat(parts)


@torch.no_grad()
def copied(model: Starter, pictures: Tensor) -> Tensor:
    """Pictures through the autoencoder and back, as bytes."""
    copies = []
    for part in torch.split(pictures, _BATCH):
        latents = model.vae.encode(centred(part).to(model.vae.device)).latent_dist.mean
        copies.append((model.vae.decode(latents).sample.clamp(-1, 1) * 127.5 + 127.5).round().byte().cpu())
    return torch.cat(copies)


def main() -> None:
    """Reads the command line and prints the figures."""
    parser = argparse.ArgumentParser(description="Measure the starter model.")
    parser.add_argument("--model", type=Path, default=FOLDER)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--seed", type=int, default=1000, help="first seed of the pictures")
    parser.add_argument("--lone", type=int, default=240, help="prompts with one object")
    parser.add_argument("--pairs", type=int, default=120, help="prompts with two objects")
    asked = parser.parse_args()
    torch.set_float32_matmul_precision("medium")
    model = Starter.load(asked.model, torch.device(asked.device))
    judge = trained()

    rng = random.Random(3)
    known = [random_scene(rng, 1 + i % 2) for i in range(100)]
    drawn = pixels(draw(scene) for scene in known)
    lone = (lone_prompts() * (asked.lone // len(lone_prompts()) + 1))[: asked.lone]
    pairs = paired_prompts(asked.pairs)
    table = Table("judged", "pictures", "kind", "object colour", "background", "all objects right")
    mistakes: Counter[str] = Counter()
    for name, scenes, pictures in (
        ("drawings (the judge itself)", known, drawn),
        ("drawings, autoencoded", known, copied(model, drawn)),
        ("one object, held-out prompts", lone, pictures_of(model, lone, asked.seed)),
        ("two objects, held-out prompts", pairs, pictures_of(model, pairs, asked.seed + 10000)),
    ):
        found, errors = score(judge, scenes, pictures)
        shares = (found.kind, found.colour, found.background, found.everything)
        table.add_row(name, str(found.count), *(f"{100 * share:.1f} %" for share in shares))
        mistakes.update(errors)
    console = Console()
    console.print(table)
    console.print(f"autoencoder: {psnr(model.vae, drawings(99, 200)):.2f} dB PSNR on 200 unseen whole pictures")
    if mistakes:
        console.print("most frequent errors: " + ", ".join(f"{what} ({n})" for what, n in mistakes.most_common(12)))


if __name__ == "__main__":
    main()
