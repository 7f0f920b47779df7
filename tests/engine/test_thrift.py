"""Attention that saves work, as a request wants it: in which pass, written down, and gone with the picture."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from modules.engine.engine import Engine
from modules.images import infotext
from modules.request import Merging
from tests.engine.test_engine import digests, make
from tests.fake_models import engine_on

LARGER = {"hires": {"scale": 2.0, "steps": 2}, "steps": 2, "sampler": "Euler"}


def tokens_of(engine: Engine, **values: Any) -> tuple[list[int], Any]:
    """Return how many tokens the widest self-attention looked at in each call, and the picture."""
    with engine.models.borrow(engine.catalog.find("one"), None) as model:
        layer = model.parts["unet"].get_submodule("down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q")
    seen: list[int] = []
    handle = layer.register_forward_pre_hook(lambda module, given: seen.append(given[0].shape[1]))
    try:
        (picture,) = make(engine, **values)
    finally:
        handle.remove()
    return seen, picture


@pytest.mark.parametrize(
    ("asked", "tokens"),
    [
        ({"merge_ratio": 0.5}, {32, 128}),
        ({"merge_ratio": 0.5, "merge_ratio_hires": 0.25}, {32, 192}),
        ({"merge_ratio_hires": 0.25}, {64, 192}),
    ],
)
def test_each_pass_merges_its_share(engine: Engine, asked: dict[str, float], tokens: set[int]) -> None:
    seen, picture = tokens_of(engine, merging=asked, **LARGER)
    assert set(seen) == tokens
    assert picture.recipe.merging == Merging(**asked)
    text = infotext.write(picture.recipe)
    for name, entry in {"merge_ratio": "Token merging ratio", "merge_ratio_hires": "Token merging ratio hr"}.items():
        assert (f", {entry}: {asked.get(name)}, " in text) == (name in asked)


@pytest.mark.parametrize(
    ("asked", "sides"),
    [
        ({}, {32, 64}),
        ({"tile_attention": True}, {16}),
        ({"tile_attention": True, "max_tile": 256}, {32}),
        ({"tile_attention_hires": True, "max_depth": 0}, {32, 16}),
    ],
)
def test_each_pass_has_its_tiles(engine: Engine, asked: dict[str, Any], sides: set[int]) -> None:
    """Of 32 and then 64 cells; tiles have 16 of them a side at least."""
    values = {**LARGER, "width": 256, "height": 256, "cfg_scale": 1}
    seen, picture = tokens_of(engine, hypertile={"max_tile": 128, "swap_size": 1, **asked}, **values)
    assert set(seen) == {side * side for side in sides}
    assert (picture.recipe.hypertile is None) == (not asked)
    text = infotext.write(picture.recipe)
    assert ("Hypertile U-Net: True" in text) == asked.get("tile_attention", False)
    assert ("Hypertile U-Net second pass: True" in text) == asked.get("tile_attention_hires", False)
    assert ("Hypertile U-Net swap size: 1" in text) == bool(asked)


def test_none_merged_is_the_same_picture_bit_for_bit_and_the_next_knows_nothing(engine: Engine) -> None:
    plain = digests(make(engine))
    assert digests(make(engine, merging={"merge_ratio": 0})) == plain
    merged = digests(make(engine, merging={"merge_ratio": 0.5}))
    assert merged != plain and digests(make(engine, merging={"merge_ratio": 0.5})) == merged
    assert digests(make(engine)) == plain


def test_a_control_that_looks_at_single_tokens_finds_them_all(root: Path) -> None:
    engine = engine_on(root)
    image = Image.fromarray(np.random.default_rng(3).integers(0, 256, (64, 64, 3), np.uint8))
    unit = {"image": engine.inputs.keep(image), "preprocessor": "reference_only"}
    with torch.inference_mode():
        seen, picture = tokens_of(engine, controls=[unit], merging={"merge_ratio": 0.5})
    assert set(seen) == {64} and digests([picture]) == digests(make(engine, controls=[unit]))
