"""What the shipped starter draws, judged by plain pixels."""

import pytest
import torch

from modules.starter.generate import Starter, generate
from modules.starter.scenes import COLOURS
from modules.starter.train import FOLDER


@pytest.fixture(scope="module")
def starter() -> Starter:
    return Starter.load(FOLDER, torch.device("cpu"))


def nearest(picture: torch.Tensor, x: int, y: int) -> str:
    """The palette colour nearest to the median of a small square around a point."""
    seen = picture[:, y - 3 : y + 4, x - 3 : x + 4].flatten(1).float().median(1).values
    return min(COLOURS, key=lambda name: float((seen - torch.tensor(COLOURS[name])).square().sum()))


def test_one_object(starter: Starter) -> None:
    prompts = ["a red circle on a blue background", "a green square on a yellow background"]
    circle, square = generate(starter, prompts, [1, 2])
    assert (nearest(circle, 64, 68), nearest(circle, 6, 8), nearest(circle, 121, 8)) == ("red", "blue", "blue")
    assert (nearest(square, 64, 68), nearest(square, 6, 8), nearest(square, 121, 8)) == ("green", "yellow", "yellow")


def test_two_objects_stand_where_they_were_asked_for(starter: Starter) -> None:
    prompts = [
        "a red square to the left of a green circle on a white background",
        "a red square below a green circle on a white background",
    ]
    across, down = generate(starter, prompts, [1, 2])
    assert (nearest(across, 35, 68), nearest(across, 93, 68)) == ("red", "green")
    assert (nearest(down, 64, 36), nearest(down, 64, 95)) == ("green", "red")


def test_a_picture_comes_from_its_own_seed_alone(starter: Starter) -> None:
    prompts = ["a blue heart on a pink background"] * 2
    together = generate(starter, prompts, [5, 6], steps=3)
    alone = generate(starter, prompts[1:], [6], steps=3)
    assert (together[1].int() - alone[0].int()).abs().max() <= 2
