"""The canny ControlNet: its training on tiny settings, and what the shipped one makes of edges."""

import random
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import ControlNetModel

from modules.starter import control
from modules.starter.autoencoder import pixels
from modules.starter.evaluate_control import overlaps, pictures_of, trials
from modules.starter.export import export_control
from modules.starter.generate import Starter, generate
from modules.starter.scenes import Scene, Thing, draw
from modules.starter.train import FOLDER as STARTER
from modules.starter.train_control import FOLDER

CIRCLE = Scene((Thing("circle", "red"),), "blue")


class Killed(Exception):
    pass


@pytest.fixture(scope="module")
def starter() -> Starter:
    return Starter.load(STARTER, torch.device("cpu"))


@pytest.fixture(scope="module")
def shipped() -> ControlNetModel:
    found: ControlNetModel = ControlNetModel.from_pretrained(
        FOLDER, torch_dtype=torch.float32, local_files_only=True, low_cpu_mem_usage=False
    )
    return found


def learnt(work: Path, starter: Starter, killed_at: int | None) -> control.Learner:
    def once(stop: int | None) -> control.Learner:
        def milestone(_: control.Learner, step: int) -> None:
            if step == stop:
                raise Killed

        given = control.lessons(work, 0, starter.vae, 3)
        return control.train(work, 0, starter, given, 3, batch=1, every=1, milestone=milestone)

    if killed_at is not None:
        with pytest.raises(Killed):
            once(killed_at)
        assert (work / "control.pt").exists()
    return once(None)


def test_a_killed_training_goes_on_bit_for_bit(tmp_path: Path, starter: Starter) -> None:
    before = [p.detach().clone() for p in starter.unet.parameters()]
    whole = learnt(tmp_path / "whole", starter, None)
    parts = learnt(tmp_path / "parts", starter, 2)
    for a, b in ((whole.control, parts.control), (whole.averaged(), parts.averaged())):
        assert all(torch.equal(x, y) for x, y in zip(a.parameters(), b.parameters(), strict=True))
    assert any(p.abs().max() > 0 for p in whole.control.controlnet_mid_block.parameters()), "it has learnt something"
    after = starter.unet.parameters()
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True)), "the U-Net stays as it is"


def test_a_fresh_one_changes_nothing(starter: Starter) -> None:
    hint = control.edges(pixels([draw(CIRCLE)]), [control.THRESHOLDS])
    ask = control.controlled(starter, control.build(starter.unet), hint)
    said = ["a red circle on a blue background"]
    plain, asked = (generate(starter, said, [1], steps=2, ask=how) for how in (None, ask))
    assert torch.equal(plain, asked)


def test_edges_are_where_colours_change() -> None:
    found = control.edges(pixels([draw(CIRCLE)]), [control.THRESHOLDS])
    assert found.shape == (1, 3, 128, 128)
    assert set(found.flatten().tolist()) == {0, 1}
    across = found[0, 0, 64].nonzero().flatten().tolist()
    assert len(across) == 2, "into the circle and out of it"
    assert across[1] - across[0] == pytest.approx(2 * 0.95 * 42, abs=6)
    assert torch.equal(found[:, :1].expand(-1, 3, -1, -1), found)


def test_moves() -> None:
    plane = np.arange(128 * 128).reshape(128, 128)
    assert (control.Move(False, 0, 0).of(plane) == plane).all()
    assert (control.Move(True, 0, 0).of(plane) == plane[:, ::-1]).all()
    assert (control.Move(False, 5, 3).of(plane)[:120, :120] == plane[3:123, 5:125]).all()
    scene = Scene((Thing("cat", "red"), Thing("cat", "blue")), "white", "to the left of")
    moves = [control.Move.random(scene, random.Random(seed)) for seed in range(60)]
    assert not any(move.mirrored for move in moves), "left stays left"
    assert 5 < sum(move.left != 0 for move in moves) < 40


def test_what_is_exported_loads(tmp_path: Path, starter: Starter) -> None:
    fresh = control.build(starter.unet)
    export_control(tmp_path / "canny", fresh)
    again = ControlNetModel.from_pretrained(tmp_path / "canny", local_files_only=True, low_cpu_mem_usage=False)
    assert sorted(path.name for path in tmp_path.rglob("*")) == [
        "canny",
        "config.json",
        "diffusion_pytorch_model.safetensors",
    ]
    for name, value in again.state_dict().items():
        assert torch.equal(value.half(), fresh.state_dict()[name].half()), name


def test_the_shipped_one_draws_within_the_lines(starter: Starter, shipped: ControlNetModel) -> None:
    assert sum(file.stat().st_size for file in FOLDER.iterdir()) < 15e6
    given = trials(3)
    found = overlaps(given, pictures_of(starter, shipped, given, seed=1, steps=12))
    assert np.mean(found) > 0.75
    assert min(found) > 0.5
