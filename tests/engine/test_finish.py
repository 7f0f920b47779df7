"""Decoding: in pieces where asked, in float32 where half precision fails, and never a black picture."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, cast

import pytest
import torch
from torch import Tensor

from modules.engine.finish import decode
from modules.engine.ladder import Ladder
from modules.errors import BrokenPicture
from modules.families.family import Model
from modules.families.sd1 import Sd1
from modules.families.unet.model import UnetModel
from modules.model_manager.header import read_header
from modules.settings import ROOT
from tests.fakes import RecordingReport

STARTER = ROOT / "models" / "Stable-diffusion" / "starter"


@dataclass
class Delicate:
    """A model whose decoding gives numbers in float32 only, or not even there."""

    dtype: torch.dtype = torch.float16
    hopeless: bool = False
    calls: list[bool] = field(default_factory=list)

    def decode(self, latents: Tensor, tile: int = 0, exact: bool = False) -> Tensor:
        self.calls.append(exact)
        good = exact and not self.hopeless
        return torch.full((1, 3, 8, 8), 0.5 if good else float("nan"))


def plain(call: Callable[..., Any]) -> Callable[..., Any]:
    return call


def decoded(model: Delicate, ladder: Ladder) -> int:
    return len(decode(cast(Model, model), ladder, plain, torch.zeros(2, 4, 1, 1)))


def test_what_half_precision_cannot_say_is_decoded_in_float32_from_then_on() -> None:
    report, model = RecordingReport(), Delicate()
    ladder = Ladder(report)
    assert decoded(model, ladder) == 2
    assert model.calls == [False, True, True], "the second picture is not tried in half precision"
    assert [event.key for event in report.events if event.kind == "note"] == ["vae_exact"]
    assert ladder.notes() == {"VAE dtype": "fp32"}


@pytest.mark.parametrize("model", [Delicate(hopeless=True), Delicate(dtype=torch.float32)])
def test_a_picture_that_is_no_number_even_then_is_no_picture(model: Delicate) -> None:
    with pytest.raises(BrokenPicture, match="float32"):
        decoded(model, Ladder(RecordingReport()))


@pytest.fixture(scope="module")
def starter() -> UnetModel:
    model = Sd1().load(read_header(STARTER), torch.device("cpu"), torch.float32)
    assert isinstance(model, UnetModel)
    return model


@torch.inference_mode()
def test_in_pieces_and_in_float32_it_is_the_same_picture(starter: UnetModel) -> None:
    y, x = torch.meshgrid(torch.linspace(-1, 1, 128), torch.linspace(-1, 1, 128), indexing="ij")
    picture = torch.stack([(x * x + y * y < 0.3) * 2.0 - 1, x, -y])[None]  # a disc on a gradient
    latents = starter.encode_pictures(picture)
    whole = starter.decode(latents)
    pieces = starter.decode(latents, tile=64)
    assert pieces.shape == whole.shape
    assert 0 < (pieces - whole).abs().mean() < 0.1
    assert torch.equal(starter.decode(latents), whole), "at once again"
    half = Sd1().load(read_header(STARTER), torch.device("cpu"), torch.bfloat16)
    assert (half.decode(latents, exact=True) - whole).abs().mean() < 0.02


@torch.inference_mode()
def test_a_picture_whose_borders_meet_is_as_good_there_as_inside(starter: UnetModel) -> None:
    y, x = torch.meshgrid(*[torch.arange(128) / 128 * 2 * torch.pi] * 2, indexing="ij")
    picture = 0.5 * torch.stack([x.sin(), y.cos(), (x + y).sin()])[None]  # waves that go on over the borders
    edge = torch.ones_like(picture, dtype=torch.bool)
    edge[..., 8:-8, 8:-8] = False

    def worse(latents: Tensor, **how: Any) -> float:
        error = (starter.decode(latents, **how) - picture).abs()
        return float(error[edge].mean() / error[~edge].mean())

    with starter.seamless():
        latents = starter.encode_pictures(picture)
        assert latents.shape == (1, 4, 16, 16)
        assert worse(latents) < 1.3 and worse(latents, tile=64) < 1.3, "at once, and in pieces"
    assert worse(latents) > 1.5 and worse(latents, tile=64) > 1.5
