"""Attention that saves work: which tokens are merged, what comes of each, and that nothing is left behind."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from modules.families.family import Thrift
from modules.families.unet.attention_tiles import cut, tile_counts, tile_side, uncut
from modules.families.unet.merging import matched
from modules.families.unet.model import UnetModel
from modules.families.unet.thrift import wholly
from tests.fake_models import DEEP_UNET, make_sd1, make_sdxl
from tests.families.loading import load, words


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> UnetModel:
    return load(make_sd1(tmp_path_factory.mktemp("models") / "deep", unet=DEEP_UNET), "sd1")


def looked_at(model: UnetModel, x: Tensor, thrift: Thrift) -> tuple[Tensor, dict[str, list[int]]]:
    """Return the guess, and the rows and tokens that each self-attention asked about."""
    seen: dict[str, list[int]] = {}
    handles = [
        layer.register_forward_pre_hook(lambda module, given, name=name: seen.update({name: [*given[0].shape[:2]]}))
        for name, layer in model.unet.named_modules()
        if name.endswith("attn1.to_q")
    ]
    with torch.inference_mode():
        guess = model.with_thrift(thrift).predict(x, 3.0, words(model, *["red"] * len(x)))
    for handle in handles:
        handle.remove()
    return guess, seen


def nearest(x: Tensor, height: int, width: int, count: int) -> dict[int, int]:
    """Bolya and Hoffman, one picture, token by token: the sources that are merged, and into which destinations."""
    into = [row * width + column for row in range(0, height // 2 * 2, 2) for column in range(0, width // 2 * 2, 2)]
    found = []
    for source in sorted({*range(height * width)} - {*into}):
        likeness = [float(torch.cosine_similarity(x[source], x[place], dim=0)) for place in into]
        best = max(range(len(into)), key=lambda place: likeness[place])
        found.append((-likeness[best], source, into[best]))
    return {source: place for _, source, place in sorted(found)[:count]}


@pytest.mark.parametrize(("height", "width", "ratio"), [(4, 6, 0.5), (5, 7, 0.3), (4, 4, 0.75), (4, 4, 0.9)])
def test_the_sources_most_like_a_destination_become_one_with_it(height: int, width: int, ratio: float) -> None:
    x = torch.randn(2, height * width, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    found = matched(x, height, width, ratio)
    assert found is not None
    count = min(int(height * width * ratio), height * width - (height // 2) * (width // 2))
    assert found.merged(x).shape == (2, height * width - count, 8)
    parted = found.parted(found.merged(x))
    for picture in range(2):
        gone = nearest(x[picture], height, width, count)
        assert len(gone) == count
        for token in range(height * width):
            target = gone.get(token, token)
            together = [target, *(source for source, into in gone.items() if into == target)]
            assert torch.allclose(parted[picture, token], x[picture, together].mean(dim=0))


def test_of_too_little_nothing_is_merged() -> None:
    x = torch.randn(1, 16, 8)
    assert matched(x, 4, 4, 0.0) is None and matched(x, 4, 4, 0.05) is None
    assert matched(torch.randn(1, 5, 8), 1, 5, 0.5) is None, "there is no square"


def test_what_is_all_alike_loses_nothing() -> None:
    x = torch.randn(1, 1, 8).expand(1, 64, 8)
    found = matched(x, 8, 8, 0.75)
    assert found is not None
    assert found.merged(x).shape[1] == 16 and torch.allclose(found.parted(found.merged(x)), x, atol=1e-6)


def test_the_widest_level_looks_at_fewer_tokens_and_the_others_at_all(model: UnetModel) -> None:
    x = torch.randn(1, 4, 8, 6)
    plain, all_tokens = looked_at(model, x, Thrift())
    guess, fewer = looked_at(model, x, Thrift(merge_ratio=0.5))
    assert guess.shape == plain.shape and not torch.equal(guess, plain)
    assert {tokens for _, tokens in all_tokens.values()} == {48, 12, 4, 1}
    for name, (_, tokens) in fewer.items():
        assert tokens == (24 if all_tokens[name][1] == 48 else all_tokens[name][1])


def test_where_the_first_level_has_no_attention_the_next_one_counts(tmp_path: Path) -> None:
    large = load(make_sdxl(tmp_path / "large"), "sdxl")
    _, seen = looked_at(large, torch.randn(1, 4, 8, 8), Thrift(merge_ratio=0.5))
    assert {tokens for _, tokens in seen.values()} == {8}, "of 16"


def test_nothing_is_left_behind(model: UnetModel) -> None:
    x, said = torch.randn(2, 4, 8, 8), words(model, "red", "blue")
    before = dict(model.unet.attn_processors)
    with torch.inference_mode():
        plain = model.predict(x, 3.0, said)
        thrifty = model.with_thrift(Thrift(merge_ratio=0.5))
        first = thrifty.predict(x, 3.0, said)
        assert torch.equal(first, thrifty.predict(x, 3.0, said)), "the same each time"
        with pytest.raises(RuntimeError):
            thrifty.predict(x[:, :3], 3.0, said)
        assert model.unet.attn_processors == before
        assert torch.equal(model.predict(x, 3.0, said), plain)
        assert torch.equal(thrifty.predict(x, 3.0, wholly(said)), plain), "where all must be there, it is"
    assert not torch.equal(first, plain)


def test_a_picture_does_not_depend_on_its_neighbour(model: UnetModel) -> None:
    x, thrifty = torch.randn(2, 4, 8, 8), model.with_thrift(Thrift(merge_ratio=0.5))
    with torch.inference_mode():
        both = thrifty.predict(x, 3.0, words(model, "red", "blue"))
        alone = [thrifty.predict(x[i : i + 1], 3.0, words(model, each)) for i, each in enumerate(("red", "blue"))]
    assert torch.allclose(both, torch.cat(alone), atol=1e-5)


@pytest.mark.parametrize(
    ("side", "least", "choices", "counts"),
    [
        (64, 16, 1, [4]),
        (64, 16, 3, [4, 2, 1]),
        (52, 16, 3, [2, 1]),  # of 26 and of 52
        (12, 16, 3, [1]),
        (47, 16, 0, [1]),
        (48, 16, 9, [3, 2, 1]),
    ],
)
def test_a_side_is_cut_into_equal_tiles(side: int, least: int, choices: int, counts: list[int]) -> None:
    assert tile_counts(side, least, choices) == counts


def test_the_side_of_tiles_divides_the_picture_and_is_never_very_small() -> None:
    assert tile_side(128, 128, 32) == 32
    assert tile_side(128, 160, 64) == 32
    assert tile_side(104, 152, 32) == 16, "8 would be too small"
    assert tile_side(64, 64, 0) == 16


def test_tiles_are_parts_of_the_picture_and_come_together_again() -> None:
    x = torch.arange(6 * 8).reshape(1, 48, 1).repeat(2, 1, 1) + torch.tensor([0, 1000]).view(2, 1, 1)
    tiles = cut(x, 6, 8, 2, 2)
    assert tiles.shape == (8, 12, 1)
    assert tiles[1, :, 0].tolist() == [row * 8 + column for row in range(3) for column in range(4, 8)]
    assert tiles[6, 0, 0] == 1000 + 3 * 8
    assert torch.equal(uncut(tiles, 6, 8, 2, 2), x)


def test_each_level_down_to_the_depth_looks_at_its_tiles(model: UnetModel) -> None:
    x = torch.randn(1, 4, 128, 192)
    for depth, second in ((0, 64 * 96), (1, 32 * 32), (3, 32 * 32)):
        guess, seen = looked_at(model, x, Thrift(tile=16, tile_depth=depth))
        assert guess.shape == x.shape
        assert {each for _, each in seen.values()} == {16 * 16, second, 32 * 48, 16 * 24}, "the last two are no larger"
        assert {rows for rows, each in seen.values() if each == 256} == {8 * 12}


def test_tiles_are_cut_in_several_ways_and_the_same_ones_each_time(model: UnetModel) -> None:
    x, thrift = torch.randn(1, 4, 64, 64), Thrift(tile=16, tile_depth=3, tile_choices=3)
    guess, seen = looked_at(model, x, thrift)
    again, same = looked_at(model, x, thrift)
    assert torch.equal(guess, again) and seen == same
    assert len({rows for rows, tokens in seen.values() if rows * tokens == 64 * 64}) > 1


def test_tiles_and_merged_tokens_go_together(model: UnetModel) -> None:
    _, seen = looked_at(model, torch.randn(1, 4, 32, 32), Thrift(merge_ratio=0.5, tile=16))
    assert [4, 128] in seen.values(), "four tiles of 256 tokens, half of each merged"
