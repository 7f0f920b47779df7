"""Where things are, measured in drawings that are known."""

import random
from dataclasses import replace

import numpy as np
import pytest

from modules.starter.autoencoder import pixels
from modules.starter.evaluate import unseen
from modules.starter.evaluate_control import repainted
from modules.starter.scenes import Scene, Thing, bare, draw
from modules.starter.silhouette import filled, known, overlap, seen, stages

SCENES = unseen(12)


def test_a_drawing_shows_the_silhouette_that_is_known() -> None:
    found = [
        overlap(seen(picture, stages(scene)), known(scene))
        for scene, picture in zip(SCENES, pixels(draw(scene) for scene in SCENES), strict=True)
    ]
    assert np.mean(found) > 0.96


def test_the_same_things_in_other_colours_have_the_same_silhouette() -> None:
    rng = random.Random(0)
    for scene in SCENES:
        assert overlap(known(scene), known(repainted(scene, rng))) == 1


def test_another_place_is_another_silhouette() -> None:
    small, large = (Scene((Thing("star", "red", size),), "blue") for size in ("small", "large"))
    picture = pixels([draw(large)])[0]
    assert overlap(seen(picture, stages(large)), known(small)) < 0.4


def test_holes_belong_to_the_thing() -> None:
    ring = known(Scene((Thing("ring", "red"),), "blue"))
    assert ring[64, 64]
    rim = np.ones((5, 5), np.bool_)
    rim[1:4, 1:4] = False
    assert filled(rim).all()
    rim[0, 2] = False  # a gap: what lies inside is outside
    assert (filled(rim) == rim).all()


def test_a_bare_stage_shows_nothing_but_its_shadows() -> None:
    scene = Scene((Thing("heart", "red"),), "green")
    picture = np.asarray(draw(scene), np.float32) / 255
    wall, _ = bare(scene)
    assert np.abs(picture - wall)[:12].max() < 0.01, "nothing stands at the top"
    without, _ = bare(scene, 0)
    assert wall[112, 64].sum() < 0.8 * without[112, 64].sum()
    nothing = pixels([draw(replace(scene, things=(Thing("heart", "green"),)))])[0]
    assert seen(nothing, stages(scene)).mean() < known(scene).mean() / 2


@pytest.mark.parametrize(("a", "b", "share"), [([1, 1, 0], [0, 1, 1], 1 / 3), ([0, 0, 0], [0, 0, 0], 1)])
def test_overlap(a: list[int], b: list[int], share: float) -> None:
    assert overlap(np.array(a, np.bool_), np.array(b, np.bool_)) == pytest.approx(share)
