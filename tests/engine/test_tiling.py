"""Tiles of latents: what each is shown, and what becomes of their answers."""

from __future__ import annotations

import torch
from torch import Tensor

from modules.engine.guidance import BESIDE
from modules.engine.tiling import Mosaic, Window, boxes_of, gathered, joined
from modules.families.family import Conditioning
from modules.images.tiles import spans
from modules.sampling.noise import Noise


def windows(high: int = 24, wide: int = 20, tile: int = 12, overlap: int = 4) -> list[Window]:
    return [
        Window(
            row.start, row.end, column.start, column.end, torch.from_numpy(row.share[:, None] * column.share[None, :])
        )
        for row in spans(high, tile, overlap)
        for column in spans(wide, tile, overlap)
    ]


def test_what_every_tile_leaves_as_it_is_stays_as_it_is() -> None:
    x = torch.randn(2, 4, 24, 20)
    assert torch.allclose(gathered([each.of(x) for each in windows()], windows(), x), x, atol=1e-6)


def test_tiles_are_averaged_where_they_overlap_and_see_their_part_of_what_is_beside() -> None:
    found = windows(12, 20)
    assert boxes_of(found, 8) == [(0, 0, 96, 96), (64, 0, 160, 96)]
    beside = torch.arange(20.0).expand(2, 5, 12, 20)
    words = Conditioning(torch.zeros(2, 1, 1), extra={BESIDE: beside, "other": torch.ones(2, 1)})

    def saying(value: float, start: int) -> object:
        def predict(x: Tensor, sigma: float, conditioning: Conditioning) -> Tensor:
            assert x.shape == (2, 4, 12, 12) and conditioning.extra["other"].shape == (2, 1)
            assert conditioning.extra[BESIDE][0, 0, 0].tolist() == list(range(start, start + 12))
            return torch.full_like(x, value)

        return predict

    both = joined([saying(0.0, 0), saying(1.0, 8)], found)  # type: ignore[list-item]
    row = both(torch.zeros(2, 4, 12, 20), 1.0, words)[0, 0, 0].tolist()
    assert row[:8] == [0.0] * 8 and row[12:] == [1.0] * 8
    assert [round(each, 3) for each in row[8:12]] == [0.125, 0.375, 0.625, 0.875]


def test_neighbours_draw_the_same_noise_where_they_overlap() -> None:
    left, right = windows(12, 20)
    for kind in ("ancestral", "brownian"):
        drawn = []
        for window in (left, right):
            noise = window.noise(Noise([7], (4, 12, 20), kind=kind, sigmas=[5.0, 1.0, 0.0]))
            x = torch.zeros(1, 4, 12, 12)
            drawn.append([noise(x, 5.0, 1.0), noise(x, 1.0, 0.5)])
        for one, other in zip(*drawn, strict=True):
            assert torch.equal(one[..., 8:], other[..., :4]) and one.std() > 0.8


def test_a_guess_is_shown_within_the_whole() -> None:
    before = torch.zeros(1, 4, 12, 20)
    mosaic = Mosaic(before)
    left, right = windows(12, 20)
    mosaic.put(left)(torch.ones(1, 4, 12, 12))
    whole = mosaic.put(right)(torch.full((1, 4, 12, 12), 2.0))
    assert whole[0, 0, 0].tolist() == [1.0] * 8 + [2.0] * 12 and not before.any()
