"""ControlNet: every layout gives the same residuals as diffusers' own model, and acts where and when it should."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from modules.controls.control import NEGATIVE, Guide, Loaded, Predict, soft_weights
from modules.controls.controlnet import ControlNet
from modules.engine.engine import Engine
from modules.families.family import Conditioning
from modules.families.unet.model import UnetModel
from modules.model_manager.header import read_header
from tests.fake_controls import controls_folder, make_controlnet
from tests.fake_models import WIDTH

LAYOUTS = ("folder", "diffusers.safetensors", "cldm.safetensors", "prefixed.pth")
SIGMA = 3.0


@pytest.fixture(scope="module")
def model(engine: Engine) -> Iterator[UnetModel]:
    with engine.models.borrow(engine.catalog.find("one")) as found:
        assert isinstance(found, UnetModel)
        yield found


def load(root: Path, name: str, model: UnetModel) -> Loaded:
    return ControlNet().load(read_header(controls_folder(root) / name), model)


def inputs(rows: int = 2) -> tuple[Tensor, Conditioning, Tensor]:
    random = torch.Generator().manual_seed(3)
    x, context, hint = (
        torch.randn(size, generator=random) for size in ((rows, 4, 8, 8), (rows, 77, WIDTH), (1, 3, 64, 64))
    )
    negative = (torch.arange(rows) % 2)[:, None]
    return SIGMA * x, Conditioning(context, extra={NEGATIVE: negative}), hint.sigmoid()


def expected(model: UnetModel, *controls: tuple[Any, float], rows: int = 2) -> Tensor:
    """Return what diffusers' U-Net says with diffusers' ControlNets beside it."""
    x, words, hint = inputs(rows)
    scaled = model.prediction.scale(x, SIGMA)
    time = model.time(SIGMA)
    down: list[Tensor] = []
    middle: Tensor | None = None
    for network, weight in controls:
        hints = hint.expand(rows, -1, -1, -1)
        found = network(scaled, time, words.context, hints, conditioning_scale=weight, return_dict=False)
        down = [a + b for a, b in zip(down, found[0], strict=True)] if down else list(found[0])
        middle = found[1] if middle is None else middle + found[1]
    said = model.unet(
        scaled,
        time,
        words.context,
        down_block_additional_residuals=down,
        mid_block_additional_residual=middle,
        return_dict=False,
    )[0]
    return model.prediction.denoised(x, SIGMA, said)


def guessed(predict: Predict, rows: int = 2) -> Tensor:
    x, words, _ = inputs(rows)
    return predict(x, SIGMA, words)


@torch.inference_mode()
@pytest.mark.parametrize("name", LAYOUTS)
def test_it_says_what_diffusers_says(root: Path, model: UnetModel, name: str) -> None:
    ring = load(root, name, model).ring(model, Guide(inputs()[2], weight=0.7))
    found, wanted = guessed(ring(model.predict)), expected(model, (make_controlnet(), 0.7))
    assert torch.allclose(found, wanted, atol=1e-5)
    assert (found - guessed(model.predict)).abs().max() > 0.1, "the control says something"


@torch.inference_mode()
def test_layouts_say_the_same(root: Path, model: UnetModel) -> None:
    said = [guessed(load(root, name, model).ring(model, Guide(inputs()[2]))(model.predict)) for name in LAYOUTS]
    assert all(torch.equal(each, said[0]) for each in said)


@torch.inference_mode()
def test_two_units_add_up(root: Path, model: UnetModel) -> None:
    hint = inputs()[2]
    first = load(root, "folder", model).ring(model, Guide(hint, weight=0.5))
    second = load(root, "other.safetensors", model).ring(model, Guide(hint, weight=1.2))
    found = guessed(second(first(model.predict)))
    assert torch.allclose(found, expected(model, (make_controlnet(), 0.5), (make_controlnet(seed=8), 1.2)), atol=1e-5)


@torch.inference_mode()
def test_when_the_control_counts_more_negative_prompts_are_left_alone(root: Path, model: UnetModel) -> None:
    control, hint = load(root, "folder", model), inputs(4)[2]
    plain = guessed(model.predict, 4)
    prompt = guessed(control.ring(model, Guide(hint, mode="prompt"))(model.predict), 4)
    more = guessed(control.ring(model, Guide(hint, mode="control"))(model.predict), 4)
    assert torch.equal(more[1::2], plain[1::2])
    assert torch.allclose(more[0::2], prompt[0::2], atol=1e-5)
    assert not torch.allclose(prompt[1::2], plain[1::2], atol=1e-3)


@torch.inference_mode()
def test_soft_weights_fall_towards_the_picture(root: Path, model: UnetModel) -> None:
    assert soft_weights(13)[0] == pytest.approx(0.825**12)
    assert soft_weights(13)[-1] == 1
    control, seen = load(root, "folder", model), []

    def look(x: Tensor, sigma: float, conditioning: Conditioning) -> Tensor:
        seen.append(dict(conditioning.extra))
        return x

    for mode in ("balanced", "prompt"):
        guessed(control.ring(model, Guide(inputs()[2], mode=mode))(look))
    full, soft = seen
    count = sum(name.startswith("down_") for name in full)
    assert torch.allclose(soft["down_0"], full["down_0"] * 0.825**count)
    assert torch.equal(soft["mid"], full["mid"])


@torch.inference_mode()
def test_a_mask_keeps_it_to_a_part(root: Path, model: UnetModel) -> None:
    control, seen = load(root, "folder", model), []

    def look(x: Tensor, sigma: float, conditioning: Conditioning) -> Tensor:
        seen.append(conditioning.extra["down_0"])
        return x

    mask = torch.zeros(1, 1, 64, 64)
    mask[..., :32] = 1
    for each in (None, mask):
        guessed(control.ring(model, Guide(inputs()[2], mask=each))(look))
    whole, half = seen
    assert torch.equal(half[..., :4], whole[..., :4])
    assert not half[..., 4:].any()
