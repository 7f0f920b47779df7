"""The upscaler: its training on tiny settings, and the shipped file as spandrel reads it."""

from pathlib import Path

import pytest
import torch
from spandrel import ImageModelDescriptor, ModelLoader
from spandrel.architectures.Compact import Compact

from modules.starter import upscaler
from modules.starter.autoencoder import pixels
from modules.starter.evaluate import unseen
from modules.starter.generate import Starter
from modules.starter.scenes import draw
from modules.starter.train import FOLDER as STARTER
from modules.starter.train_upscaler import FILE

CPU = torch.device("cpu")


class Killed(Exception):
    pass


def learnt(work: Path, starter: Starter, killed_at: int | None) -> Compact:
    def once(stop: int | None) -> Compact:
        def milestone(_: Compact, step: int) -> None:
            if step == stop:
                raise Killed

        given = upscaler.lessons(work, 0, starter.vae, 3)
        return upscaler.train(work, 0, CPU, given, 3, batch=2, every=1, milestone=milestone)

    if killed_at is not None:
        with pytest.raises(Killed):
            once(killed_at)
    return once(None)


def test_a_killed_training_goes_on_bit_for_bit(tmp_path: Path) -> None:
    starter = Starter.load(STARTER, CPU)
    whole, parts = learnt(tmp_path / "whole", starter, None), learnt(tmp_path / "parts", starter, 2)
    assert all(torch.equal(a, b) for a, b in zip(whole.parameters(), parts.parameters(), strict=True))


def test_lessons_belong_together(tmp_path: Path) -> None:
    given = upscaler.lessons(tmp_path, 0, Starter.load(STARTER, CPU).vae, 3)
    assert given.large.shape == (3, 3, 128, 128)
    assert given.small.shape == (3, len(upscaler.REDUCTIONS) + 1, 3, 64, 64)
    for large, ways in zip(given.large, given.small, strict=True):
        for small in ways:
            differences = [
                (small.float() - other.float()[:, ::2, ::2]).abs().mean().item() for other in (large, *given.large)
            ]
            assert differences[0] == min(differences)


def test_what_is_exported_spandrel_reads(tmp_path: Path) -> None:
    fresh = upscaler.build()
    upscaler.export(tmp_path / "fresh.safetensors", fresh)
    read = ModelLoader(CPU).load_from_file(tmp_path / "fresh.safetensors")
    assert isinstance(read.model, Compact)
    for name, value in read.model.state_dict().items():
        assert torch.equal(value.half(), fresh.state_dict()[name].half()), name


def test_the_shipped_one_beats_the_bicubic_filter() -> None:
    assert FILE.stat().st_size < 2e6
    read = ModelLoader(CPU).load_from_file(FILE)
    assert isinstance(read, ImageModelDescriptor)
    assert (read.scale, read.input_channels, read.output_channels) == (2, 3, 3)
    pictures = [draw(scene) for scene in unseen(8)]
    for how in upscaler.REDUCTIONS.values():
        small = [upscaler.reduced(picture, how) for picture in pictures]
        found = upscaler.enlarged(read.model.float().eval(), pixels(small))
        gain = upscaler.decibels(found, pixels(pictures)) - upscaler.decibels(
            upscaler.stretched(small), pixels(pictures)
        )
        assert gain > 2
