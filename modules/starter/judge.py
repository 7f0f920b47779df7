"""Says what a picture shows, judged against the known drawings.

Kinds are told by a small network that trains on the drawings in about a minute; colours by comparing what is measured
where the object's own colour belongs with the same measurement on drawings. Evaluation first judges unseen drawings
and their autoencoded copies: a judge that errs there could not be believed.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from modules.starter.autoencoder import pixels
from modules.starter.loop import progress
from modules.starter.scenes import COLOURS, KINDS, SIZE, Place, Scene, Thing, distinct, draw, places

_CROP = 32
_CELL = 1.3  # half the side of a crop, in object radii


@dataclass(frozen=True)
class Verdict:
    """What was seen: the background, and (kind, colour) at each place looked at."""

    background: str
    things: tuple[tuple[str, str], ...]


def random_scene(rng: random.Random, count: int, style: str = "flat") -> Scene:
    """A scene of `count` objects in any distinct colours, held-out combinations among them."""
    background = rng.choice(tuple(COLOURS))
    fitting = [colour for colour in COLOURS if distinct(colour, background)]
    things = tuple(Thing(rng.choice(KINDS), rng.choice(fitting)) for _ in range(count))
    relation = None if count == 1 else rng.choice(("to the left of", "above"))
    return Scene(things, background, relation, style, rng.randrange(2**31))


def expected(count: int, arrangement: str) -> tuple[Place, ...]:
    """Where things stand by rule: alone, across (left, right) or down (upper, lower); pixels."""
    if count == 1:
        return (Place(64, 64, 42),)
    if arrangement == "down":
        return (Place(64, 34.6, 26.2), Place(64, 94, 26.2))
    return (Place(34.6, 66.6, 26.9), Place(93.4, 66.6, 26.9))


def _cropped(pictures: Tensor, spots: Sequence[Place]) -> Tensor:
    """The surroundings of one place in each picture, (n, 3, 32, 32) in -1..1."""
    side = torch.linspace(-_CELL, _CELL, _CROP)
    grids = []
    for spot in spots:
        x, y = (spot.x + side * spot.radius) / SIZE * 2 - 1, (spot.y + side * spot.radius) / SIZE * 2 - 1
        grids.append(torch.stack(torch.meshgrid(y, x, indexing="ij")[::-1], -1))
    return F.grid_sample(pictures.float() / 127.5 - 1, torch.stack(grids), padding_mode="border", align_corners=False)


def _network() -> nn.Sequential:
    def block(a: int, b: int) -> list[nn.Module]:
        return [nn.Conv2d(a, b, 3, padding=1), nn.BatchNorm2d(b), nn.ReLU(), nn.MaxPool2d(2)]

    return nn.Sequential(*block(3, 16), *block(16, 32), *block(32, 64), nn.Flatten(), nn.Linear(64 * 16, len(KINDS)))


class Judge:
    """Tells kinds, colours and backgrounds of flat pictures; made by `trained`."""

    def __init__(self, network: nn.Sequential) -> None:
        self._network = network.eval()
        self._looks = {kind: _main_part(kind) for kind in KINDS}
        self._stages = {
            name: _stage_colour(pixels([draw(Scene((Thing("circle", _other(name)),), name))])[0]) for name in COLOURS
        }

    def see(self, picture: Tensor, arrangement: str) -> Verdict:
        """Judge a picture (bytes, (3, 128, 128)) whose things should be "alone", "across" or "down"."""
        return self.look(picture, expected(1 if arrangement == "alone" else 2, arrangement))

    @torch.no_grad()
    def look(self, picture: Tensor, spots: Sequence[Place]) -> Verdict:
        """Judge a picture whose things stand at known places."""
        crops = _cropped(picture[None].expand(len(spots), -1, -1, -1), spots)
        kinds = [KINDS[i] for i in self._network(crops).argmax(-1).tolist()]
        things = tuple((kind, self._colour(crop, kind)) for kind, crop in zip(kinds, crops, strict=True))
        return Verdict(_nearest(_stage_colour(picture), self._stages), things)

    def _colour(self, crop: Tensor, kind: str) -> str:
        mask, colours = self._looks[kind]
        return _nearest(crop[:, mask].median(1).values, colours)


def _other(background: str) -> str:
    return next(colour for colour in COLOURS if distinct(colour, background))


def _stage_colour(picture: Tensor) -> Tensor:
    """The median colour of the wall: a band along the top and upper sides, in -1..1."""
    x = picture.float() / 127.5 - 1
    band = torch.cat([x[:, :8].flatten(1), x[:, 8:80, :8].flatten(1), x[:, 8:80, -8:].flatten(1)], 1)
    return band.median(1).values


def _main_part(kind: str) -> tuple[Tensor, dict[str, Tensor]]:
    """Where the object's own colour shows in a crop whatever its colour, and what is measured there for each."""
    crops = {}
    for colour in COLOURS:
        scenes = [
            Scene((Thing(kind, colour),), back, None, "flat", seed)
            for seed, back in enumerate(COLOURS)
            if back != colour
        ]
        drawn = pixels(draw(scene) for scene in scenes)
        crops[colour] = _cropped(drawn, [places(scene)[0] for scene in scenes])
    tint = torch.stack(
        [(c - torch.tensor(COLOURS[k])[:, None, None] / 127.5 + 1).abs().amax((0, 1)) for k, c in crops.items()]
    )
    mask = tint.amax(0) < 0.5
    return mask, {colour: crop[:, :, mask].median(2).values.mean(0) for colour, crop in crops.items()}


def _nearest(found: Tensor, known: dict[str, Tensor]) -> str:
    return min(known, key=lambda name: float((known[name] - found).square().sum()))


def trained(seed: int = 0, steps: int = 400, count: int = 1500) -> Judge:
    """A judge whose network has learnt the kinds from `count` drawings: sharp, blurred, shifted, lone and in pairs."""
    torch.manual_seed(seed)
    rng = random.Random(seed)
    scenes = [random_scene(rng, 1 + (i % 2)) for i in range(count)]
    drawn = pixels(draw(scene) for scene in scenes)
    network = _network()
    optimizer = torch.optim.AdamW(network.parameters(), lr=2e-3)
    for number in progress(range(steps), "judge"):
        for group in optimizer.param_groups:
            group["lr"] = 2e-3 * (1 - number / steps)
        rows = [rng.randrange(count) for _ in range(32)]
        spots, kinds = [], []
        for row in rows:
            which = rng.randrange(len(scenes[row].things))
            at = places(scenes[row])[which]
            spots.append(
                Place(
                    at.x + at.radius * rng.uniform(-0.22, 0.22),
                    at.y + at.radius * rng.uniform(-0.22, 0.22),
                    at.radius * rng.uniform(0.85, 1.15),
                )
            )
            kinds.append(KINDS.index(scenes[row].things[which].kind))
        crops = _cropped(drawn[rows], spots)
        if number % 2:
            crops = F.avg_pool2d(crops, 3, 1, 1)
        crops = crops + 0.05 * torch.randn(crops.shape)
        loss = F.cross_entropy(network(crops), torch.tensor(kinds))
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        optimizer.zero_grad()
    return Judge(network)
