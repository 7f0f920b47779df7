"""Opposite borders fit together: what a network makes of a picture that is shifted round is shifted round."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from modules.families.unet.convolution import WinogradConv2d
from modules.families.unet.model import UnetModel
from modules.families.unet.seamless import alike, surrounded, wrapping, wraps
from tests.fake_models import make_sd1
from tests.families.loading import load, words

SHIFT = (8, 4)  # latent cells: as many as the deepest level of the tiny networks needs


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> UnetModel:
    return load(make_sd1(tmp_path_factory.mktemp("models") / "one"), "sd1")


def shifted(x: Tensor) -> Tensor:
    return x.roll(SHIFT, dims=(2, 3))


def latents(seed: int = 0) -> Tensor:
    return torch.randn(1, 4, 16, 24, generator=torch.Generator().manual_seed(seed))


def unlike(model: UnetModel) -> float:
    """Return how far the guess for shifted latents is from the guess, shifted; relative to its size."""
    said = words(model, "red")
    one, other = model.predict(shifted(latents()), 2.0, said), shifted(model.predict(latents(), 2.0, said))
    return float((one - other).abs().max() / other.abs().max())


@torch.inference_mode()
def test_a_picture_has_no_place_where_it_begins(model: UnetModel) -> None:
    said = words(model, "red")
    before = model.predict(latents(), 2.0, said)
    assert unlike(model) > 1e-2
    with model.seamless():
        assert unlike(model) < 1e-4
    assert torch.equal(model.predict(latents(), 2.0, said), before), "afterwards it is as it was, bit for bit"


@torch.inference_mode()
def test_every_network_is_as_it_was_whatever_happens(model: UnetModel) -> None:
    kept = {id(each): dict(vars(each)) for part in model.parts.values() for each in part.modules()}
    with pytest.raises(RuntimeError), model.seamless():
        assert wraps(model.unet)
        raise RuntimeError
    assert not wraps(model.unet)
    assert all(vars(each) == kept[id(each)] for part in model.parts.values() for each in part.modules())


@pytest.mark.parametrize("factor", [8, 1])
def test_what_is_surrounded_is_cut_to_itself(factor: int) -> None:
    x = latents()
    pieces = surrounded(lambda wide: wide.repeat_interleave(factor, 2).repeat_interleave(factor, 3), x, 3)
    assert torch.equal(pieces, x.repeat_interleave(factor, 2).repeat_interleave(factor, 3))
    seen: list[Tensor] = []
    surrounded(lambda wide: seen.append(wide) or wide, x, 99)  # type: ignore[func-returns-value]
    assert seen[0].shape == (1, 4, 48, 56), "no more than the picture has, on each side"
    assert torch.equal(seen[0][:, :, :16, 16:40], x)


@torch.inference_mode()
def test_the_quick_convolution_looks_around_as_the_direct_one_does() -> None:
    torch.manual_seed(0)
    quick = WinogradConv2d(128, 128, 3, padding=1).requires_grad_(False)
    direct = torch.nn.Conv2d(128, 128, 3, padding=1, padding_mode="circular").requires_grad_(False)
    direct.load_state_dict(quick.state_dict())
    x = torch.randn(2, 128, 13, 22)
    with wrapping(quick):
        assert (quick(x) - direct(x)).abs().max() < 3e-5 * direct(x).abs().max()
    assert (quick(x) - direct(x))[..., 1:-1, 1:-1].abs().max() < 3e-5 * direct(x).abs().max()


def test_a_control_looks_around_while_its_model_does(model: UnetModel) -> None:
    control = torch.nn.Sequential(torch.nn.Conv2d(3, 3, 3, padding=1))
    with alike(control, model.unet):
        assert not wraps(control)
    with model.seamless(), alike(control, model.unet):
        assert wraps(control)
    assert not wraps(control)
