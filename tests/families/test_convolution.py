"""Winograd's convolution answers what the direct one answers, and only where it pays."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from modules.families.unet import convolution
from modules.families.unet.convolution import WinogradConv2d, quicken


def layers(inner: int, outer: int, bias: bool = True) -> tuple[WinogradConv2d, nn.Conv2d]:
    """Return a Winograd layer and a direct one of the same random weights."""
    torch.manual_seed(inner + outer)
    direct = nn.Conv2d(inner, outer, 3, padding=1, bias=bias).requires_grad_(False)
    quick = WinogradConv2d(inner, outer, 3, padding=1, bias=bias).requires_grad_(False)
    quick.load_state_dict(direct.state_dict())
    return quick, direct


@pytest.mark.parametrize("size", [(16, 16), (13, 22), (30, 17)])
@pytest.mark.parametrize("bias", [True, False])
@torch.inference_mode()
def test_it_answers_what_the_direct_one_answers(size: tuple[int, int], bias: bool) -> None:
    quick, direct = layers(128, 160, bias)
    x = torch.randn(2, 128, *size).contiguous(memory_format=torch.channels_last)
    wanted = direct(x)
    assert not torch.equal(quick(x), wanted)  # another method's rounding
    assert (quick(x) - wanted).abs().max() < 3e-5 * wanted.abs().max()
    assert quick(x).is_contiguous(memory_format=torch.channels_last) or size != (16, 16)


@torch.inference_mode()
def test_pieces_fit_together(monkeypatch: pytest.MonkeyPatch) -> None:
    quick, direct = layers(128, 128)
    x = torch.randn(1, 128, 40, 24)
    monkeypatch.setattr(convolution, "SCRATCH", 1)  # one row of tiles at a time
    assert (quick(x) - direct(x)).abs().max() < 3e-5 * direct(x).abs().max()


@pytest.mark.parametrize(("channels", "side"), [(128, 16), (512, 8), (1280, 8)])
@torch.inference_mode()
def test_a_batch_is_its_pictures(channels: int, side: int) -> None:
    quick, _ = layers(channels, channels)
    x = torch.randn(3, channels, side, side).contiguous(memory_format=torch.channels_last)
    assert torch.equal(quick(x), torch.cat([quick(each) for each in torch.split(x, 1)]))


@torch.inference_mode()
def test_a_patched_weight_counts_at_once() -> None:
    quick, direct = layers(128, 128)
    x = torch.randn(1, 128, 16, 16)
    quick(x)
    for layer in (quick, direct):
        layer.weight[3] += 1.0
    assert (quick(x) - direct(x)).abs().max() < 3e-5 * direct(x).abs().max()


@pytest.mark.parametrize(
    ("inner", "outer", "side", "dtype"),
    [(64, 128, 64, torch.float32), (1280, 1280, 8, torch.float32), (128, 128, 16, torch.bfloat16)],
)
@torch.inference_mode()
def test_where_it_does_not_pay_it_is_the_direct_one(inner: int, outer: int, side: int, dtype: torch.dtype) -> None:
    quick, direct = (each.to(dtype) for each in layers(inner, outer))
    x = torch.randn(1, inner, side, side, dtype=dtype)
    assert torch.equal(quick(x), direct(x))


@torch.inference_mode()
def test_of_few_pixels_the_channels_lie_apart_and_come_back_side_by_side() -> None:
    quick, direct = layers(640, 512)
    x = torch.randn(2, 640, 8, 8)
    said = quick(x.contiguous(memory_format=torch.channels_last))
    assert torch.equal(said, direct(x))
    assert said.is_contiguous(memory_format=torch.channels_last)


def test_only_what_suits_is_replaced() -> None:
    with torch.device("meta"):
        network = nn.Sequential(
            nn.Conv2d(8, 8, 3, padding=1),
            nn.Conv2d(8, 8, 3, padding=1, stride=2),
            nn.Conv2d(8, 8, 1),
            nn.Conv2d(8, 8, 3, padding=1, groups=2),
            nn.Sequential(nn.Conv2d(8, 4, 3, padding=1, bias=False)),
        )
    keys = list(network.state_dict())
    quicken(network)
    kinds = [type(each) is WinogradConv2d for each in network.modules() if isinstance(each, nn.Conv2d)]
    assert kinds == [True, False, False, False, True]
    assert list(network.state_dict()) == keys
