"""The ring that keeps what is not painted."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from modules.engine.masking import Kept, adaptive_masks, keeping
from modules.request import Soft


def half(value: float = 1.0) -> Tensor:
    mask = torch.zeros(1, 1, 8, 8)
    mask[..., 4:] = value
    return mask


def test_a_hard_mask_keeps_the_picture_outside() -> None:
    latents = torch.randn(2, 4, 8, 8)
    step = keeping(lambda x, sigma: x * 0 + 3, Kept(latents, half()))
    answer = step(torch.zeros_like(latents), 5.0)
    assert torch.equal(answer[..., :4], latents[..., :4])
    assert (answer[..., 4:] == 3).all()


def test_a_soft_mask_opens_as_the_noise_falls() -> None:
    latents, soft = torch.full((1, 4, 8, 8), -1.0), Soft.model_validate({})
    step = keeping(lambda x, sigma: x * 0 + 1, Kept(latents, half(0.5), soft))
    levels = [step(torch.zeros_like(latents), sigma)[0, 0, 0, 6].item() for sigma in (14.0, 3.0, 0.5, 0.03)]
    assert levels == sorted(levels)
    assert levels[0] < -0.9 and levels[-1] > 0.7
    untouched = step(torch.zeros_like(latents), 0.03)[..., :4]
    assert torch.allclose(untouched, latents[..., :4], atol=1e-3)


def test_a_soft_blend_keeps_the_length_of_what_it_blends() -> None:
    torch.manual_seed(0)
    latents = torch.randn(1, 4, 8, 8)
    made = torch.randn(1, 4, 8, 8)
    answer = keeping(lambda x, sigma: made, Kept(latents, half(0.5), Soft.model_validate({})))(made, 1.0)[..., 4:]
    plain = ((latents + made) / 2)[..., 4:]
    assert answer.norm(dim=1).mean() > 1.1 * plain.norm(dim=1).mean()


def test_only_what_changed_shows_at_the_end() -> None:
    latents = torch.zeros(1, 4, 16, 16)
    made = latents.clone()
    made[..., 8:] = 4.0
    masks = adaptive_masks(Kept(latents, torch.full((1, 1, 16, 16), 0.5), Soft.model_validate({})), made)
    assert masks is not None
    levels = np.asarray(masks[0])
    assert levels[:, :5].max() < 8 and levels[:, 11:].min() > 247
    assert adaptive_masks(Kept(latents, half()), made) is None


def test_with_full_mask_influence_what_is_masked_shows_whatever_changed() -> None:
    latents = torch.zeros(1, 4, 16, 16)
    mask = torch.zeros(1, 1, 16, 16)
    mask[..., 8:] = 1
    masks = adaptive_masks(Kept(latents, mask, Soft.model_validate({"mask_influence": 1.0})), latents + 0.1)
    assert masks is not None
    assert np.asarray(masks[0])[:, 11:].min() > 247 and np.asarray(masks[0])[:, :5].max() < 8
