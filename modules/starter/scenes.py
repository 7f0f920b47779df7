"""What the starter model knows: little scenes described by a frozen `Scene`, and how to draw them.

A scene is one object or two on a coloured stage. Every picture follows from its description alone (positions and
wobbles come from the scene's own seed), so the same scene is the same picture on every machine.
"""

from __future__ import annotations

import hashlib
import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

SIZE: Final = 128
_OVER: Final = 4  # drawn this many times larger, then reduced: antialiasing

Rgb = tuple[int, int, int]
Point = tuple[float, float]
Plane = NDArray[np.floating[Any]]

COLOURS: Final = MappingProxyType[str, Rgb](
    {
        "red": (218, 40, 44),
        "orange": (246, 138, 26),
        "yellow": (252, 216, 52),
        "green": (58, 162, 76),
        "blue": (48, 98, 216),
        "purple": (132, 66, 186),
        "pink": (250, 152, 192),
        "brown": (126, 78, 44),
        "black": (30, 30, 36),
        "white": (248, 247, 243),
        "gray": (140, 143, 148),
    }
)
NEAR: Final = frozenset(
    frozenset(pair)
    for pair in (
        ("red", "orange"), ("orange", "yellow"), ("orange", "brown"), ("red", "brown"),
        ("brown", "black"), ("blue", "purple"), ("pink", "white"),
    )
)  # fmt: skip
"""Pairs too alike for object and background: they make poor examples, so training leaves them out."""

KINDS: Final = (
    "circle", "square", "triangle", "star", "heart", "ring", "house", "tree",
    "flower", "moon", "mushroom", "boat", "fish", "cat",
)  # fmt: skip
RELATIONS: Final = ("next to", "above", "below", "to the left of", "to the right of")
STYLES: Final = ("flat", "outline", "sketch", "night")
SIZES: Final = ("small", "medium", "large")


@dataclass(frozen=True)
class Thing:
    """One object: its kind, its colour, and its size (only a lone object is ever small or large)."""

    kind: str
    colour: str
    size: str = "medium"


@dataclass(frozen=True)
class Scene:
    """One picture: one or two things, how the first stands to the second, the stage's colour, the style, a seed."""

    things: tuple[Thing, ...]
    background: str
    relation: str | None = None
    style: str = "flat"
    seed: int = 0

    def __post_init__(self) -> None:
        if len(self.things) not in (1, 2) or (len(self.things) == 2) != (self.relation is not None):
            raise ValueError("a scene has one thing, or two things and a relation")


@dataclass(frozen=True)
class Place:
    """Where a thing stands: centre and half-size in pixels."""

    x: float
    y: float
    radius: float


def held_out(kind: str, colour: str, background: str) -> bool:
    """Whether this combination is kept from training (one in ten, by a hash, the same on every machine)."""
    return hashlib.sha256(f"{kind}/{colour}/{background}".encode()).digest()[0] % 10 == 0


def distinct(colour: str, background: str) -> bool:
    """Whether an object of this colour stands out from this background."""
    return colour != background and frozenset((colour, background)) not in NEAR


def draw_scene(rng: random.Random) -> Scene:
    """A random scene for training: balanced kinds, colours and relations; never a held-out combination."""
    background = rng.choice(tuple(COLOURS))
    two = rng.random() < 0.45

    def thing(size: str) -> Thing:
        while True:
            found = Thing(rng.choice(KINDS), rng.choice(tuple(COLOURS)), size)
            if distinct(found.colour, background) and not held_out(found.kind, found.colour, background):
                return found

    style = rng.choices(STYLES, (76, 8, 8, 8))[0]
    seed = rng.randrange(2**31)
    if two:
        return Scene((thing("medium"), thing("medium")), background, rng.choice(RELATIONS), style, seed)
    return Scene((thing(rng.choices(SIZES, (14, 72, 14))[0]),), background, None, style, seed)


def places(scene: Scene) -> tuple[Place, ...]:
    """Where the things of a scene stand, in the order they are named; "next to" reads from left to right."""
    rng = random.Random(scene.seed)

    def near(x: float, y: float, radius: float, wander: float) -> Place:
        return Place(
            SIZE * (x + rng.uniform(-wander, wander)),
            SIZE * (y + rng.uniform(-wander, wander)),
            SIZE * radius * rng.uniform(0.95, 1.05),
        )

    if scene.relation is None:
        radius = {"small": 0.2, "medium": 0.33, "large": 0.43}[scene.things[0].size]
        return (near(0.5, 0.5, radius, 0.03),)
    if scene.relation in ("above", "below"):
        spots = (near(0.5, 0.27, 0.205, 0.02), near(0.5, 0.735, 0.205, 0.02))
    else:
        spots = (near(0.27, 0.52, 0.21, 0.02), near(0.73, 0.52, 0.21, 0.02))
    return spots[::-1] if scene.relation in ("below", "to the right of") else spots


def mixed(a: Rgb, b: Rgb, share: float) -> Rgb:
    """Colour `a` with `share` (0..1) of colour `b` mixed in."""
    return (
        round(a[0] + (b[0] - a[0]) * share),
        round(a[1] + (b[1] - a[1]) * share),
        round(a[2] + (b[2] - a[2]) * share),
    )


_WHITE: Final[Rgb] = (255, 255, 255)
_INK: Final[Rgb] = (22, 20, 30)
_NIGHT: Final[Rgb] = (14, 18, 52)
_LAMP: Final[Rgb] = (255, 226, 130)


class _Pen:
    """Draws closed shapes in a thing's own coordinates (-1..1, y down) as its style wants them."""

    def __init__(self, place: Place, colour: Rgb, style: str, rng: random.Random) -> None:
        self.colour = colour
        self._place, self._style, self._rng = place, style, rng
        self._canvas = Image.new("RGBA", (SIZE * _OVER, SIZE * _OVER), (0, 0, 0, 0))
        self._draw = ImageDraw.Draw(self._canvas)

    def lighter(self, share: float) -> Rgb:
        return mixed(self.colour, _WHITE, share)

    def darker(self, share: float) -> Rgb:
        return mixed(self.colour, _INK, share)

    def apart(self, share: float) -> Rgb:
        """The thing's colour made darker, or lighter where it is nearly black already."""
        return self.lighter(share) if sum(self.colour) < 150 else self.darker(share)

    def shape(self, points: Sequence[Point], fill: Rgb | None) -> None:
        """A filled closed shape; `None` cuts a hole."""
        pen = self._place
        spots = [((pen.x + x * pen.radius) * _OVER, (pen.y + y * pen.radius) * _OVER) for x, y in points]
        if self._style == "outline":
            self._draw.polygon(spots, fill=(0, 0, 0, 0))
            self._line(spots, self.colour, 4.4)
        elif self._style == "sketch":
            self._draw.polygon(spots, fill=(0, 0, 0, 0) if fill is None else (*mixed(fill, _WHITE, 0.22), 255))
            ink = self.lighter(0.4) if sum(self.colour) < 150 else self.darker(0.62)
            for _ in range(2):
                self._line(self._wobbled(spots), ink, 1.5)
        else:
            self._draw.polygon(spots, fill=(0, 0, 0, 0) if fill is None else (*fill, 255))

    def _line(self, spots: Sequence[Point], colour: Rgb, width: float) -> None:
        closed = [*spots, *spots[:2]]
        self._draw.line(closed, fill=(*colour, 255), width=round(width * _OVER), joint="curve")

    def _wobbled(self, spots: Sequence[Point]) -> list[Point]:
        a, b = self._rng.uniform(0, math.tau), self._rng.uniform(0, math.tau)
        far = 1.3 * _OVER
        return [(x + far * math.sin(a + y / 60), y + far * math.sin(b + x / 60)) for x, y in spots]

    def painted(self) -> tuple[Plane, Plane]:
        """The colours (128, 128, 3) and the coverage (128, 128, 1) of what was drawn, 0..1."""
        reduced = np.asarray(self._canvas.convert("RGBa").reduce(_OVER), np.float32) / 255
        cover = reduced[..., 3:]
        return reduced[..., :3] / np.maximum(cover, 1e-4), cover


def _oval(x: float, y: float, w: float, h: float, start: float = 0, end: float = 360) -> list[Point]:
    steps = max(8, int(56 * (end - start) / 360))
    angles = (math.radians(start + (end - start) * i / steps) for i in range(steps + (end - start < 360)))
    return [(x + w * math.cos(a), y + h * math.sin(a)) for a in angles]


def _box(left: float, top: float, right: float, bottom: float) -> list[Point]:
    return [(left, top), (right, top), (right, bottom), (left, bottom)]


def _circle(pen: _Pen) -> None:
    pen.shape(_oval(0, 0, 0.95, 0.95), pen.colour)


def _square(pen: _Pen) -> None:
    corners = ((0.68, 0.68, 0), (-0.68, 0.68, 90), (-0.68, -0.68, 180), (0.68, -0.68, 270))
    pen.shape([p for x, y, a in corners for p in _oval(x, y, 0.18, 0.18, a, a + 90)], pen.colour)


def _triangle(pen: _Pen) -> None:
    corners = ((0.8, 0.75, -30, 90), (-0.8, 0.75, 90, 210), (0, -0.78, 210, 330))
    pen.shape([p for x, y, a, b in corners for p in _oval(x, y, 0.14, 0.14, a, b)], pen.colour)


def _star(pen: _Pen) -> None:
    radii = (1.05, 0.5)
    turn = [(radii[i % 2], math.pi * i / 5 - math.pi / 2) for i in range(10)]
    pen.shape([(r * math.cos(a), r * math.sin(a) + 0.06) for r, a in turn], pen.colour)


def _heart(pen: _Pen) -> None:
    turn = [math.tau * i / 60 for i in range(60)]
    pen.shape(
        [
            (
                0.98 * math.sin(t) ** 3,
                -(13 * math.cos(t) - 5 * math.cos(2 * t) - 2 * math.cos(3 * t) - math.cos(4 * t)) / 15.5 - 0.08,
            )
            for t in turn
        ],
        pen.colour,
    )


def _ring(pen: _Pen) -> None:
    pen.shape(_oval(0, 0, 0.97, 0.97), pen.colour)
    pen.shape(_oval(0, 0, 0.5, 0.5), None)


def _house(pen: _Pen) -> None:
    glass = (255, 244, 200) if sum(pen.colour) < 640 else (120, 150, 190)
    pen.shape(_box(0.4, -0.95, 0.64, -0.3), pen.apart(0.45))
    pen.shape(_box(-0.74, -0.1, 0.74, 0.95), pen.colour)
    pen.shape([(-1.0, 0.0), (0, -0.98), (1.0, 0.0)], pen.apart(0.24))
    pen.shape([(-0.2, 0.95), *_oval(0, 0.48, 0.2, 0.2, 180, 360), (0.2, 0.95)], pen.apart(0.6))
    pen.shape(_box(-0.58, 0.2, -0.32, 0.5), glass)
    pen.shape(_box(0.32, 0.2, 0.58, 0.5), glass)


def _tree(pen: _Pen) -> None:
    trunk = (70, 44, 28) if sum(pen.colour) < 260 else (112, 74, 46)
    pen.shape([(-0.15, 0.2), (0.15, 0.2), (0.24, 0.98), (-0.24, 0.98)], trunk)
    crown = [(0.62, 0.02, 0.42, -60, 95), (0.0, 0.2, 0.36, 40, 140), (-0.62, 0.02, 0.42, 85, 240)]
    crown += [(-0.4, -0.5, 0.42, 170, 285), (0.05, -0.62, 0.42, 215, 325), (0.45, -0.48, 0.4, 265, 370)]
    pen.shape([p for x, y, r, a, b in crown for p in _oval(x, y, r, r, a, b)], pen.colour)


def _flower(pen: _Pen) -> None:
    leaf = (44, 128, 62)
    centre = (122, 74, 34) if pen.colour[0] > 230 and pen.colour[1] > 120 else (253, 214, 70)
    pen.shape(_box(-0.07, 0.2, 0.07, 1.0), leaf)
    pen.shape([(0.0, 0.95), (0.2, 0.6), (0.55, 0.52), (0.4, 0.85)], leaf)
    turn = [math.tau * i / 72 for i in range(72)]
    petals = [(0.56 + 0.15 * math.cos(6 * t), t) for t in turn]
    pen.shape([(1.08 * r * math.cos(t), 1.08 * r * math.sin(t) - 0.28) for r, t in petals], pen.colour)
    pen.shape(_oval(0, -0.28, 0.21, 0.21), centre)


def _moon(pen: _Pen) -> None:
    outer, inner = _oval(-0.05, 0, 0.95, 0.95), _oval(0.36, -0.14, 0.72, 0.72)
    rim = [p for p in _from_gap(outer, lambda x, y: math.hypot(x - 0.36, y + 0.14) > 0.72)]
    bite = [p for p in _from_gap(inner, lambda x, y: math.hypot(x + 0.05, y) < 0.95)]
    pen.shape([*rim, *reversed(bite)], pen.colour)


def _from_gap(points: Sequence[Point], keep: Callable[[float, float], bool]) -> list[Point]:
    """The one run of kept points of a closed line, in order."""
    kept = [keep(*p) for p in points]
    start = next(i for i in range(len(points)) if kept[i] and not kept[i - 1])
    turned = [points[(start + i) % len(points)] for i in range(len(points))]
    return [p for p in turned if keep(*p)]


def _mushroom(pen: _Pen) -> None:
    dots = (255, 250, 240) if sum(pen.colour) < 600 else mixed(pen.colour, (150, 110, 100), 0.45)
    stem = [(-0.28, 0.05), (0.28, 0.05), *_oval(0.2, 0.82, 0.17, 0.14, 0, 90), *_oval(-0.2, 0.82, 0.17, 0.14, 90, 180)]
    pen.shape(stem, (246, 232, 208))
    pen.shape(
        [
            *_oval(0, 0.08, 1.0, 0.98, 180, 360),
            *_oval(0.82, 0.1, 0.18, 0.16, 0, 90),
            *_oval(-0.82, 0.1, 0.18, 0.16, 90, 180),
        ],
        pen.colour,
    )
    for x, y, r in ((-0.46, -0.22, 0.17), (0.16, -0.48, 0.19), (0.58, -0.08, 0.14)):
        pen.shape(_oval(x, y, r, r * 0.92), dots)


def _boat(pen: _Pen) -> None:
    pen.shape(
        [(0.06, -1.0), (0.06, 0.26), (0.86, 0.26), (0.6, -0.35)],
        pen.lighter(0.3) if sum(pen.colour) < 640 else pen.darker(0.14),
    )
    pen.shape(
        [(-0.06, -0.78), (-0.06, 0.26), (-0.66, 0.26)], pen.lighter(0.14) if sum(pen.colour) < 640 else pen.darker(0.07)
    )
    pen.shape([(-1.0, 0.36), (1.0, 0.36), (0.66, 0.9), (-0.6, 0.9)], pen.colour)


def _fish(pen: _Pen) -> None:
    pen.shape([(0.4, 0), (0.98, -0.58), (0.84, 0), (0.98, 0.58)], pen.apart(0.2))
    pen.shape([(-0.3, -0.4), (0.12, -0.86), (0.36, -0.3)], pen.apart(0.2))
    pen.shape(_oval(-0.2, 0, 0.8, 0.58), pen.colour)
    pen.shape(_oval(-0.55, -0.14, 0.15, 0.15), (252, 252, 250))
    pen.shape(_oval(-0.58, -0.14, 0.08, 0.08), _INK)


def _cat(pen: _Pen) -> None:
    pale = sum(pen.colour) < 330
    for side in (-1, 1):
        pen.shape([(side * 0.86, 0.1), (side * 0.8, -0.95), (side * 0.12, -0.5)], pen.colour)
        pen.shape([(side * 0.72, -0.3), (side * 0.7, -0.7), (side * 0.36, -0.46)], pen.apart(0.25))
    pen.shape(_oval(0, 0.14, 0.95, 0.8), pen.colour)
    for side in (-1, 1):
        pen.shape(_oval(side * 0.4, 0.0, 0.14, 0.19), (226, 240, 150) if pale else _INK)
    pen.shape([(-0.13, 0.3), (0.13, 0.3), (0, 0.46)], (246, 150, 160) if pale else _INK)


def _drawer(kind: str) -> Callable[[_Pen], None]:
    return {
        "circle": _circle, "square": _square, "triangle": _triangle, "star": _star, "heart": _heart, "ring": _ring,
        "house": _house, "tree": _tree, "flower": _flower, "moon": _moon, "mushroom": _mushroom, "boat": _boat,
        "fish": _fish, "cat": _cat,
    }[kind]  # fmt: skip


_FLOATING: Final = frozenset(("circle", "star", "heart", "ring", "moon", "fish"))


def _grid() -> tuple[Plane, Plane]:
    y, x = np.mgrid[0:SIZE, 0:SIZE].astype(np.float32)
    return x + 0.5, y + 0.5


def _soft(distance: Plane, width: float) -> Plane:
    soft: Plane = np.clip(0.5 - distance / width, 0, 1)
    return soft


def _stage(scene: Scene, rng: random.Random, base: Rgb, x: Plane, y: Plane) -> Plane:
    """The background: a wall with a soft glow and a gently curved floor a little darker, both in one colour."""
    wall, dim = _lit(base, x, y)
    horizon = 94 + rng.uniform(-3, 3) + ((x - 64 - rng.uniform(-12, 12)) / 64) ** 2 * 7
    floor = _soft(horizon - y, 3.0)[..., None]
    return wall * (1 - floor) + dim * floor


def _lit(base: Rgb, x: Plane, y: Plane) -> tuple[Plane, Plane]:
    colour = np.asarray(base, np.float32) / 255
    glow = np.exp(-(((x - 64) / 70) ** 2 + ((y - 46) / 60) ** 2))[..., None]
    wall = colour + (1 - colour) * (0.13 * glow) - 0.04 * (1 - glow) * colour
    dim = colour * 0.86 if float(colour.mean()) > 0.2 else colour * 1.3 + 0.02
    return wall, dim + 0.05 * glow * (1 - dim)


def _night_sky(stage: Plane, rng: random.Random, x: Plane, y: Plane) -> Plane:
    for _ in range(9):
        at = (rng.uniform(6, 122), rng.uniform(5, 74))
        spark = np.exp(-((x - at[0]) ** 2 + (y - at[1]) ** 2) / 3.2)[..., None]
        stage = stage + (np.asarray((1.0, 0.97, 0.82), np.float32) - stage) * spark * 0.9
    return stage


def _shaded(colour: Plane, place: Place, x: Plane, y: Plane) -> Plane:
    """Light from the upper left: a soft highlight, and a little darker towards the bottom."""
    u, v = (x - place.x) / place.radius, (y - place.y) / place.radius
    light = 0.2 * np.exp(-((u + 0.38) ** 2 + (v + 0.45) ** 2) / 0.3)[..., None]
    shaded: Plane = (colour + (1 - colour) * light) * (0.97 - 0.1 * np.clip(v, -0.6, 1))[..., None]
    return shaded


def draw(scene: Scene) -> Image.Image:
    """The picture of a scene: RGB, 128 x 128."""
    rng = random.Random(scene.seed ^ 0x5EED)
    x, y = _grid()
    base = COLOURS[scene.background]
    if scene.style == "night":
        base = mixed(base, _NIGHT, 0.68)
    elif scene.style == "sketch":
        base = mixed(base, _WHITE, 0.12)
    canvas = _stage(scene, rng, base, x, y)
    if scene.style == "night":
        canvas = _night_sky(canvas, rng, x, y)
    for thing, place in zip(scene.things, places(scene), strict=True):
        canvas = _with_thing(canvas, thing, place, scene.style, rng, x, y)
    return Image.fromarray((np.clip(canvas, 0, 1) * 255 + 0.5).astype(np.uint8))


def _with_thing(canvas: Plane, thing: Thing, place: Place, style: str, rng: random.Random, x: Plane, y: Plane) -> Plane:
    pen = _Pen(place, COLOURS[thing.colour], style, rng)
    _drawer(thing.kind)(pen)
    colour, cover = pen.painted()
    if style not in ("outline", "sketch"):
        canvas = canvas * (1 - _shadow(thing, place, x, y))
        colour = _shaded(colour, place, x, y)
    if style == "night":
        halo = np.exp(-(((x - place.x) ** 2 + (y - place.y) ** 2) / (place.radius * 1.25) ** 2))[..., None]
        canvas = canvas + (1 - canvas) * 0.12 * halo
        colour = colour * 0.9
    cover = _above_water(cover, thing, place, style, x, y)
    return canvas * (1 - cover) + colour * cover


def _shadow(thing: Thing, place: Place, x: Plane, y: Plane) -> Plane:
    """The share of light that a thing takes away below it, (128, 128, 1)."""
    gap, depth = (1.12, 0.32) if thing.kind in _FLOATING else (0.98, 0.42)
    u, v = (x - place.x) / (place.radius * 0.95), (y - place.y - place.radius * gap) / (place.radius * 0.16)
    taken: Plane = (depth * np.exp(-(u**2) - v**2))[..., None]
    return taken


def _above_water(cover: Plane, thing: Thing, place: Place, style: str, x: Plane, y: Plane) -> Plane:
    """What shows of a thing: a boat lies in the water up to a wavy line."""
    if thing.kind != "boat" or style not in ("flat", "night"):
        return cover
    waves = 0.76 + 0.07 * np.sin((x - place.x) / place.radius * 6)
    shown: Plane = cover * _soft(y - place.y - place.radius * waves, 2.0)[..., None]
    return shown


def covered(scene: Scene) -> NDArray[np.bool_]:
    """Where the things of a flat scene are in its picture, (128, 128)."""
    x, y = _grid()
    there = np.zeros((SIZE, SIZE), np.bool_)
    for thing, place in zip(scene.things, places(scene), strict=True):
        pen = _Pen(place, COLOURS[thing.colour], "flat", random.Random(0))
        _drawer(thing.kind)(pen)
        there |= _above_water(pen.painted()[1], thing, place, "flat", x, y)[..., 0] > 0.5
    return there


def bare(scene: Scene, shadow: float = 1) -> tuple[Plane, Plane]:
    """A flat scene without its things, but with their shadows: once all wall and once all floor; (128, 128, 3), 0..1.

    `shadow`: how dark the shadows are; 1 as they are drawn, 0 not there.
    """
    x, y = _grid()
    wall, floor = _lit(COLOURS[scene.background], x, y)
    for thing, place in zip(scene.things, places(scene), strict=True):
        light = 1 - shadow * _shadow(thing, place, x, y)
        wall, floor = wall * light, floor * light
    return wall, floor
