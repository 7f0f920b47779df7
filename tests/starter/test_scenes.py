import random

import numpy as np
import pytest
from PIL import Image

from modules.starter.scenes import (
    COLOURS,
    KINDS,
    RELATIONS,
    SIZE,
    STYLES,
    Scene,
    Thing,
    distinct,
    draw,
    draw_scene,
    held_out,
    places,
)


def nearest(rgb: tuple[int, ...]) -> str:
    return min(COLOURS, key=lambda name: sum((a - b) ** 2 for a, b in zip(COLOURS[name], rgb, strict=True)))


def at(picture: Image.Image, x: float, y: float) -> str:
    pixel = picture.getpixel((int(x), int(y)))
    assert isinstance(pixel, tuple)
    return nearest(tuple(int(v) for v in pixel))


def test_red_circle_on_blue() -> None:
    picture = draw(Scene((Thing("circle", "red"),), "blue"))
    assert (picture.size, picture.mode) == ((SIZE, SIZE), "RGB")
    assert at(picture, 64, 70) == "red"
    for corner in ((3, 3), (124, 3), (3, 60), (124, 60)):
        assert at(picture, *corner) == "blue"


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_differs_from_its_stage_and_from_the_others(kind: str) -> None:
    mine = np.asarray(draw(Scene((Thing(kind, "red"),), "white", seed=4)), np.int16)
    assert (np.abs(mine - np.asarray(COLOURS["red"])).sum(-1) < 110).mean() > 0.06
    for other in KINDS:
        if other != kind:
            theirs = np.asarray(draw(Scene((Thing(other, "red"),), "white", seed=4)), np.int16)
            assert np.abs(mine - theirs).mean() > 2, other


@pytest.mark.parametrize("colour", COLOURS)
def test_every_colour_shows_as_object_and_as_background(colour: str) -> None:
    other = next(name for name in COLOURS if distinct(colour, name))
    assert at(draw(Scene((Thing("square", colour),), other)), 64, 72) == colour
    assert at(draw(Scene((Thing("square", other),), colour)), 4, 8) == colour


@pytest.mark.parametrize("relation", RELATIONS)
def test_relations_place_the_first_thing(relation: str) -> None:
    scene = Scene((Thing("circle", "red"), Thing("circle", "green")), "white", relation, seed=3)
    first, second = places(scene)
    apart = {
        "next to": second.x - first.x,
        "to the left of": second.x - first.x,
        "to the right of": first.x - second.x,
        "above": second.y - first.y,
        "below": first.y - second.y,
    }[relation]
    assert apart > 45
    picture = draw(scene)
    assert (at(picture, first.x, first.y + 5), at(picture, second.x, second.y + 5)) == ("red", "green")


def test_sizes() -> None:
    small, medium, large = (
        places(Scene((Thing("star", "red", size),), "blue"))[0].radius for size in ("small", "medium", "large")
    )
    assert small < 0.75 * medium < 0.75 * large


@pytest.mark.parametrize("style", STYLES)
def test_styles_are_pictures_of_their_own(style: str) -> None:
    pictures = {s: np.asarray(draw(Scene((Thing("circle", "red"),), "white", None, s)), np.int16) for s in STYLES}
    for other in STYLES:
        if other != style:
            assert np.abs(pictures[style] - pictures[other]).mean() > 4


def test_an_outline_is_empty_inside() -> None:
    assert at(draw(Scene((Thing("circle", "red"),), "yellow", None, "outline")), 64, 64) == "yellow"


def test_a_scene_is_always_the_same_picture() -> None:
    scene = draw_scene(random.Random(5))
    assert draw(scene).tobytes() == draw(scene).tobytes()
    assert draw_scene(random.Random(5)) == scene


def test_a_relation_needs_two_things() -> None:
    with pytest.raises(ValueError, match="relation"):
        Scene((Thing("circle", "red"),), "blue", "above")
    with pytest.raises(ValueError, match="relation"):
        Scene((Thing("circle", "red"), Thing("star", "red")), "blue")


def test_held_out_combinations_are_a_tenth_and_fixed() -> None:
    every = [(k, c, b) for k in KINDS for c in COLOURS for b in COLOURS if distinct(c, b)]
    assert 0.07 < sum(held_out(*triple) for triple in every) / len(every) < 0.13
    assert held_out("circle", "red", "blue") is held_out("circle", "red", "blue")


def test_training_never_sees_a_held_out_or_hardly_visible_thing() -> None:
    rng = random.Random(0)
    for _ in range(3000):
        scene = draw_scene(rng)
        for thing in scene.things:
            assert not held_out(thing.kind, thing.colour, scene.background)
            assert distinct(thing.colour, scene.background)


def test_training_is_balanced() -> None:
    rng = random.Random(0)
    scenes = [draw_scene(rng) for _ in range(3000)]
    kinds = [thing.kind for scene in scenes for thing in scene.things]
    backgrounds = [scene.background for scene in scenes]
    assert all(kinds.count(kind) > 0.7 * len(kinds) / len(KINDS) for kind in KINDS)
    assert all(backgrounds.count(colour) > 0.7 * len(backgrounds) / len(COLOURS) for colour in COLOURS)
    assert {scene.relation for scene in scenes} == {None, *RELATIONS}
    assert {scene.style for scene in scenes} == set(STYLES)
