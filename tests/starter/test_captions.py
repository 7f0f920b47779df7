import random

import pytest

from modules.starter.captions import standard, understood, varied
from modules.starter.scenes import Scene, Thing, draw_scene


def test_the_standard_form() -> None:
    assert standard(Scene((Thing("circle", "red"),), "blue")) == "a red circle on a blue background"
    pair = Scene((Thing("star", "orange"), Thing("cat", "gray")), "orange", "above", "night")
    assert standard(pair) == "an orange star above a gray cat on an orange background at night"
    assert standard(Scene((Thing("boat", "red", "large"),), "white", None, "outline")) == (
        "a large red boat on a white background, outline"
    )


@pytest.mark.parametrize("relation", ["next to", "above", "below", "to the left of", "to the right of"])
def test_what_stands_where(relation: str) -> None:
    wish = understood(f"a red circle {relation} a blue house on a green background")
    red, blue = ("circle", "red", "medium"), ("house", "blue", "medium")
    turned = relation in ("below", "to the right of")
    assert wish.things == ((blue, red) if turned else (red, blue))
    assert wish.arrangement == ("down" if relation in ("above", "below") else "across")
    assert (wish.background, wish.style) == ("green", "flat")


def test_standard_captions_say_everything() -> None:
    rng = random.Random(0)
    for _ in range(500):
        scene = draw_scene(rng)
        wish = understood(standard(scene))
        assert sorted(map(str, wish.things)) == sorted(str((t.kind, t.colour, t.size)) for t in scene.things)
        assert (wish.background, wish.style) == (scene.background, scene.style)


def test_varied_captions_never_say_something_else() -> None:
    rng = random.Random(1)
    seen = set()
    for _ in range(1500):
        scene = draw_scene(rng)
        caption = varied(scene, rng)
        seen.add(caption)
        said, meant = understood(caption), understood(standard(scene))
        assert said.arrangement == meant.arrangement
        assert said.style == meant.style
        assert said.background in (None, meant.background)
        for (kind, colour, size), (right_kind, right_colour, right_size) in zip(said.things, meant.things, strict=True):
            assert (kind, size) == (right_kind, right_size)
            assert colour in (None, right_colour)
    assert len(seen) > 1300


def test_silence_asks_for_nothing() -> None:
    assert understood("").things == ((None, None, "medium"),)
    assert understood("").background is None
