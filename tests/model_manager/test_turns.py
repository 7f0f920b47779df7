"""Weights that take turns: the same answers, never more on the device than agreed, everything at home afterwards."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import pytest
import torch
from torch import Tensor

from modules.families.sd1 import Sd1
from modules.families.unet.model import UnetModel
from modules.model_manager.header import read_header
from modules.model_manager.turns import Turns
from modules.prompts.chunks import chunks
from modules.prompts.syntax import attention
from tests.fake_models import make_sd1

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> UnetModel:
    folder: Path = make_sd1(tmp_path_factory.mktemp("data") / "one")
    made = Sd1().load(read_header(folder), CPU, torch.float32)
    assert isinstance(made, UnetModel)
    return made


class Device:
    """Stands for a device: knows what was carried to it and is still held."""

    def __init__(self) -> None:
        self.carried: list[Tensor] = []
        self.most = 0

    def carry(self, tensor: Tensor, device: torch.device) -> Tensor:
        assert device == CPU
        copy = tensor.clone()
        self.carried.append(copy)
        return copy


@torch.inference_mode()
def answers(model: UnetModel) -> list[Tensor]:
    """What a whole picture takes: words, guesses, a picture, and its latents again."""
    words = model.encode([chunks(attention("a red circle"), model.tokenizer)])
    latents = torch.linspace(-1, 1, 4 * 8 * 8).reshape(1, 4, 8, 8)
    for sigma in (5.0, 1.0):
        latents = model.predict(latents, sigma, words)
    picture = model.decode(latents)
    return [words.context, latents, picture, model.encode_pictures(picture)]


@pytest.fixture(scope="module")
def expected(model: UnetModel) -> list[Tensor]:
    return answers(model)


@pytest.mark.parametrize("offload", ["medvram", "lowvram"])
def test_every_weight_that_is_used_is_brought_and_what_is_at_home_stays(
    model: UnetModel, expected: list[Tensor], offload: Literal["medvram", "lowvram"]
) -> None:
    weights = [each for part in model.parts.values() for each in part.parameters()]
    originals = {each.data_ptr(): each.detach().clone() for each in weights}

    def carry(tensor: Tensor, to: torch.device) -> Tensor:
        return originals[tensor.data_ptr()].clone() if tensor.data_ptr() in originals else tensor.clone()

    turns = Turns(model.parts, CPU, offload, largest=100_000, carry=carry)
    try:
        with torch.no_grad():
            for each in weights:
                each.fill_(float("nan"))  # what is at home is of no use: only what is brought is right
        with turns.working():
            found = answers(model)
        assert all(bool(each.isnan().all()) for each in weights), "home again, as it was"
    finally:
        turns.close()
        with torch.no_grad():
            for each in weights:
                each.copy_(originals[each.data_ptr()])
    assert all(torch.equal(one, other) for one, other in zip(found, expected, strict=True))


@pytest.mark.parametrize("offload", ["medvram", "lowvram"])
def test_no_more_is_there_than_one_at_a_time(model: UnetModel, offload: Literal["medvram", "lowvram"]) -> None:
    device = Device()
    made = Turns(model.parts, CPU, offload, largest=100_000, carry=device.carry)
    held: list[int] = []

    def carry(tensor: Tensor, to: torch.device) -> Tensor:
        held.append(sum(unit.size for unit in made._there))
        return device.carry(tensor, to)

    made._carry = carry
    with made.working():
        answers(model)
    made.close()
    assert max(held) == 0, "the others had gone before the next came"
    whole = sum(each.nbytes for each in model.unet.parameters())
    largest = max(unit.size for unit in made.units if unit.part == "unet")
    assert largest == whole if offload == "medvram" else largest < whole / 4


def test_with_room_for_everything_each_is_brought_once(model: UnetModel) -> None:
    device = Device()
    made = Turns(model.parts, CPU, "lowvram", room=2**40, largest=100_000, carry=device.carry)
    with made.working():
        answers(model)
        once = len(device.carried)
        answers(model)
        assert len(device.carried) == once
    made.close()


def test_with_some_room_part_of_the_network_stays_from_step_to_step(model: UnetModel) -> None:
    size = sum(each.nbytes for each in model.unet.parameters())
    counts = []
    for room in (0, size * 3 // 4):
        device = Device()
        made = Turns(model.parts, CPU, "lowvram", room=room, largest=100_000, carry=device.carry)
        with made.working():
            answers(model)
        made.close()
        counts.append(sum(each.nbytes for each in device.carried))
    assert counts[0] - counts[1] > size / 2


def test_closing_takes_every_hook_away(model: UnetModel) -> None:
    before = sum(len(module._forward_pre_hooks) for part in model.parts.values() for module in part.modules())
    Turns(model.parts, CPU, "lowvram").close()
    after = sum(len(module._forward_pre_hooks) for part in model.parts.values() for module in part.modules())
    assert before == after
