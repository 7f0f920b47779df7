"""Noise: known numbers, streams of their own, and what a Brownian path must satisfy."""

from __future__ import annotations

import math
import warnings

import pytest
import torch
import torchsde
from hypothesis import given, settings
from hypothesis import strategies as st

from modules.sampling.noise import Noise, Philox, Source, Turned, slerp, stream
from modules.sampling.sampler import NoiseKind

SHAPE = (4, 8, 8)
SIGMAS = (14.6146, 5.0, 1.0, 0.0292, 0.0)


def noise(*seeds: int, kind: NoiseKind = "ancestral", source: Source = "CPU") -> Noise:
    return Noise(seeds, SHAPE, kind=kind, source=source, sigmas=SIGMAS)


def test_philox_gives_the_numbers_of_cuda() -> None:
    expected = [
        [-0.92466259, -0.42534415, -2.6438457, 0.14518388],
        [-0.12086647, -0.57972564, -0.62285122, -0.32838709],
        [-1.07454231, -0.36314407, -1.67105067, 2.26550497],
    ]
    torch.testing.assert_close(Philox(0)((3, 4)), torch.tensor(expected), rtol=1e-6, atol=1e-7)


def test_philox_uses_all_of_the_seed_and_moves_on() -> None:
    draw = Philox(1)
    first, second = draw((64,)), draw((64,))
    assert not torch.equal(first, second)
    assert torch.equal(first, Philox(1)((64,)))
    assert not torch.equal(first, Philox(1 + 2**32)((64,)))


@pytest.mark.parametrize("source", ["CPU", "NV", "GPU"])
def test_noise_is_unit_normal(source: Source) -> None:
    drawn = stream(5, source)((100_000,))
    assert drawn.dtype == torch.float32
    assert abs(float(drawn.mean())) < 0.02
    assert float(drawn.std()) == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize("source", ["CPU", "NV", "GPU"])
@pytest.mark.parametrize("seed", [0, 2**32, 2**63 - 1, 2**63, 2**64 - 1])
def test_every_seed_is_taken(seed: int, source: Source) -> None:
    for kind in ("ancestral", "brownian"):
        drawn = noise(seed, kind=kind, source=source)(torch.zeros(1, *SHAPE), 5.0, 1.0)
        assert drawn.isfinite().all()


@pytest.mark.parametrize("seed", [-1, 2**64])
def test_a_seed_out_of_range_is_refused(seed: int) -> None:
    with pytest.raises(ValueError, match="seed"):
        noise(seed)


def test_the_cpu_stream_is_torchs_own() -> None:
    expected = torch.randn(SHAPE, generator=torch.Generator().manual_seed(42))
    assert torch.equal(noise(42).initial()[0], expected)


@pytest.mark.parametrize("source", ["CPU", "NV"])
@pytest.mark.parametrize("kind", ["ancestral", "brownian"])
def test_each_image_has_its_own_stream(kind: NoiseKind, source: Source) -> None:
    x = torch.zeros(2, *SHAPE)
    together, first, second = (noise(*seeds, kind=kind, source=source) for seeds in ((7, 8), (7,), (8,)))
    assert torch.equal(together.initial(), torch.cat([first.initial(), second.initial()]))
    for step in ((14.6146, 5.0), (5.0, 1.0)):
        apart = torch.cat([first(x[:1], *step), second(x[1:], *step)])
        assert torch.equal(together(x, *step), apart)


def test_steps_do_not_depend_on_whether_the_start_was_asked_for() -> None:
    x = torch.zeros(1, *SHAPE)
    asked, unasked = noise(3), noise(3)
    asked.initial().zero_()
    assert torch.equal(asked.initial(), unasked.initial())
    assert torch.equal(asked(x, 5.0, 1.0), unasked(x, 5.0, 1.0))


def test_drawn_noise_is_like_x() -> None:
    x = torch.zeros(1, 2, 3, 5, dtype=torch.float64)
    drawn = noise(3)(x, 5.0, 1.0)
    assert drawn.shape == x.shape and drawn.dtype == x.dtype


def test_a_sampler_that_declared_no_noise_gets_none() -> None:
    with pytest.raises(ValueError, match="draws no noise"):
        noise(3, kind="none")(torch.zeros(1, *SHAPE), 5.0, 1.0)


def test_another_batch_size_is_refused() -> None:
    with pytest.raises(ValueError, match="1 streams"):
        noise(3)(torch.zeros(2, *SHAPE), 5.0, 1.0)


def test_brownian_noise_is_the_trees_increment() -> None:
    """As k-diffusion draws it: from the higher level to the lower, over the root of the distance."""
    tree = torchsde.BrownianTree(0.0292, torch.zeros(SHAPE), 14.6146, entropy=11)
    expected = -tree(1.0, 5.0) / math.sqrt(4.0)
    torch.testing.assert_close(noise(11, kind="brownian")(torch.zeros(1, *SHAPE), 5.0, 1.0)[0], expected)


def test_brownian_steps_add_up_and_do_not_depend_on_their_order() -> None:
    x = torch.zeros(1, *SHAPE)
    forward, backward = noise(2, kind="brownian"), noise(2, kind="brownian")
    whole, upper, lower = forward(x, 5.0, 0.5), forward(x, 5.0, 2.0), forward(x, 2.0, 0.5)
    torch.testing.assert_close(
        whole * math.sqrt(4.5), upper * math.sqrt(3.0) + lower * math.sqrt(1.5), rtol=1e-4, atol=1e-4
    )
    assert torch.equal(backward(x, 2.0, 0.5), lower)


def test_brownian_noise_needs_levels() -> None:
    with pytest.raises(ValueError, match="sigmas"):
        Noise([1], SHAPE, kind="brownian")


@settings(deadline=None, max_examples=60)
@given(st.floats(0, 1), st.floats(-12, 0))
def test_brownian_steps_of_any_size_are_unit_normal(part: float, exponent: float) -> None:
    source = Noise([6], (4, 32, 32), kind="brownian", sigmas=(1.0, 0.003, 0.0))
    high = 0.003 + part * 0.997
    low = max(0.003, high - 10**exponent)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        drawn = source(torch.zeros(1, 4, 32, 32), high, low)
    assert float(drawn.std()) == pytest.approx(1, abs=0.08)


def test_a_variation_turns_the_noise_towards_that_of_the_second_seed() -> None:
    plain, second = Noise([1], (4, 16, 16)).initial(), Noise([2], (4, 16, 16)).initial()
    half = Noise([1], (4, 16, 16), turned=Turned([2], 0.5)).initial()
    assert torch.allclose(Noise([1], (4, 16, 16), turned=Turned([2], 1.0)).initial(), second, atol=1e-5)
    assert torch.equal(Noise([1], (4, 16, 16), turned=Turned([2], 0.0)).initial(), plain)

    def likeness(one: torch.Tensor, other: torch.Tensor) -> float:
        return float(torch.cosine_similarity(one.flatten(), other.flatten(), dim=0))

    assert likeness(half, plain) == pytest.approx(likeness(half, second), abs=0.05)
    assert likeness(half, plain) > likeness(second, plain) + 0.5
    assert float(half.std()) == pytest.approx(1, abs=0.1), "an arc keeps the strength of noise, a mean would not"


def test_slerp_gives_what_the_formula_says_for_right_angles() -> None:
    low, high = torch.tensor([[[1.0], [0.0]]]), torch.tensor([[[0.0], [1.0]]])
    turned = slerp(low, high, 1 / 3)
    assert turned.flatten().tolist() == pytest.approx([math.cos(math.pi / 6), math.sin(math.pi / 6)], abs=1e-6)


@pytest.mark.parametrize("size", [(8, 8), (24, 8), (8, 24), (32, 32)])
def test_noise_of_another_size_lies_in_the_middle(size: tuple[int, int]) -> None:
    own, other = Noise([3], (4, 16, 16)).initial()[0], Noise([3], (4, *size)).initial()[0]
    mixed = Noise([3], (4, 16, 16), turned=Turned(size=size)).initial()[0]
    rows, columns = (slice(max(0, (16 - side) // 2), min(16, (16 + side) // 2)) for side in size)
    theirs = tuple(slice(max(0, (side - 16) // 2), min(side, (side + 16) // 2)) for side in size)
    assert torch.equal(mixed[:, rows, columns], other[:, theirs[0], theirs[1]])
    outside = torch.ones(16, 16, dtype=torch.bool)
    outside[rows, columns] = False
    assert torch.equal(mixed[:, outside], own[:, outside])


def test_a_shift_changes_the_steps_and_not_the_start() -> None:
    x = torch.zeros(1, 4, 8, 8)
    plain, moved, other = Noise([5], (4, 8, 8)), Noise([5], (4, 8, 8), delta=31337), Noise([31342], (4, 8, 8))
    assert torch.equal(plain.initial(), moved.initial())
    assert torch.equal(moved(x, 1, 0.5)[0], other.initial()[0]), "the first numbers of the stream of that seed"
