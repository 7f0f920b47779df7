"""The training code on tiny settings: resuming changes nothing, bit for bit."""

import random
from pathlib import Path

import pytest
import torch
from diffusers import UNet2DConditionModel
from torch import nn

from modules.starter import autoencoder, text, unet
from modules.starter.loop import Average, cosine, run, save, seeded, trapezoid
from modules.starter.scenes import draw_scene

CPU = torch.device("cpu")


class Killed(Exception):
    pass


def tiny() -> UNet2DConditionModel:
    return UNet2DConditionModel(
        sample_size=16,
        in_channels=4,
        out_channels=4,
        block_out_channels=(8, 8),
        layers_per_block=1,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=text.WIDTH,
        attention_head_dim=2,
        norm_num_groups=4,
    )


def learnt(work: Path, killed_at: int | None) -> list[torch.Tensor]:
    rng = random.Random(0)
    scenes = tuple(draw_scene(rng) for _ in range(6))
    g = torch.Generator().manual_seed(0)
    cache = unet.Cache(scenes, torch.randn(6, 4, 16, 16, generator=g), torch.full((6, 4, 16, 16), 0.1), 0.8)

    def once(stop: int | None) -> unet.Learner:
        def milestone(_: unet.Learner, step: int) -> None:
            if step == stop:
                raise Killed

        torch.manual_seed(7)
        encoder, network = text.build(), tiny()
        return unet.train(work, 0, CPU, cache, encoder, 4, unet=network, batch=2, every=2, milestone=milestone)

    if killed_at is not None:
        with pytest.raises(Killed):
            once(killed_at)
        assert (work / "unet.pt").exists()
    learner = once(None)
    return [p.detach() for module in (learner.unet, learner.averaged()) for p in module.parameters()]


def test_a_killed_training_goes_on_bit_for_bit(tmp_path: Path) -> None:
    whole = learnt(tmp_path / "whole", None)
    # Killed behind step 4 before its checkpoint: step 2's is the last.
    parts = learnt(tmp_path / "parts", 4)
    assert all(torch.equal(a, b) for a, b in zip(whole, parts, strict=True))


def test_the_autoencoder_resumes_too(tmp_path: Path) -> None:
    straight = autoencoder.train(tmp_path / "a", 0, CPU, 1, count=2)
    autoencoder.train(tmp_path / "b", 0, CPU, 1, count=2)
    again = autoencoder.train(tmp_path / "b", 0, CPU, 1, count=2)
    assert all(torch.equal(a, b) for a, b in zip(straight.parameters(), again.parameters(), strict=True))
    assert autoencoder.psnr(again, autoencoder.drawings(1, 2)) > 0


def test_the_text_encoder_learns(tmp_path: Path) -> None:
    encoder = text.train(tmp_path, 0, CPU, 2, count=70)
    ids = text.tokens(text.tokenizer(), ["a red circle on a blue background", ""])
    assert ids.shape == (2, 77)
    assert ids[1].tolist() == [text.START, *[text.END] * 76]
    assert encoder(ids).last_hidden_state.shape == (2, 77, text.WIDTH)


def test_lessons_name_what_stands_first() -> None:
    assert text.lessons("a red circle below a blue star") == text.lessons("a blue star above a red circle")
    assert text.lessons("a red circle below a blue star") != text.lessons("a red circle above a blue star")


def test_seeds_belong_to_their_step() -> None:
    draws = [torch.randn((), generator=seeded(0, "unet", step)).item() for step in (1, 1, 2)]
    assert draws[0] == draws[1] != draws[2]


def test_rates() -> None:
    assert trapezoid(0, 1000, 100) == pytest.approx(0.01)
    assert trapezoid(500, 1000, 100) == trapezoid(500, 4000, 100) == 1
    assert trapezoid(999, 1000, 100) == pytest.approx(1 / 250)
    assert cosine(1000, 1000, 100) == pytest.approx(0)


def test_an_average_follows() -> None:
    module = nn.Linear(1, 1)
    average = Average(module, 0.999)
    with torch.no_grad():
        module.weight.fill_(5.0)
    for step in range(200):
        average.update(module, step)
    assert average.shadow["weight"].item() == pytest.approx(5.0, abs=0.1)


def test_a_checkpoint_is_whole_or_absent(tmp_path: Path) -> None:
    path = tmp_path / "a.pt"
    save(path, {"step": 1})
    with pytest.raises(AttributeError):
        save(path, {"step": 2, "bad": lambda: None})
    assert torch.load(path, weights_only=True)["step"] == 1


def test_a_run_that_is_done_does_nothing(tmp_path: Path) -> None:
    module = nn.Linear(1, 1)
    optimizer = torch.optim.SGD([{"params": list(module.parameters()), "base": 0.1}], lr=0.1)
    calls = []

    def step(number: int) -> tuple[torch.Tensor, str]:
        calls.append(number)
        return module(torch.ones(1)).square().sum(), ""

    for _ in range(2):
        run("t", tmp_path / "t.pt", {"module": module}, optimizer, lambda _: 1.0, step, 3)
    assert calls == [0, 1, 2]
