"""ControlNet-LLLite: the formula on one layer by hand, every layer of a file, and nothing left behind."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from modules.controls.control import NEGATIVE, Guide, Loaded
from modules.controls.lllite import LLLite
from modules.controls.lllite_layout import layers
from modules.controls.reference import Reference
from modules.errors import BrokenFile
from modules.families.family import Conditioning, Header, Thrift
from modules.families.unet.model import UnetModel
from modules.model_manager.control_kinds import built_in_controls, control_of
from modules.model_manager.header import read_header
from tests.fake_checkpoints import State
from tests.fake_controls import FULL_SDXL, lllite_state, write_state
from tests.fake_models import POOLED, WIDTH, WIDTH_2, checkpoints, engine_on, make_sdxl

SIGMA = 3.0
LAYER = "down_blocks.1.attentions.0.transformer_blocks.0.attn1.to_q"
NAME = "lllite_unet_input_blocks_3_1_transformer_blocks_0_attn1_to_q"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Iterator[UnetModel]:
    folder = tmp_path_factory.mktemp("lllite")
    make_sdxl(checkpoints(folder) / "xl", seed=2)
    engine = engine_on(folder)
    with engine.models.borrow(engine.catalog.find("xl")) as found:
        assert isinstance(found, UnetModel)
        yield found


def inputs(rows: int = 2, side: int = 8) -> tuple[Tensor, Conditioning]:
    random = torch.Generator().manual_seed(3)
    sizes = ((rows, 4, side, 8), (rows, 77, WIDTH + WIDTH_2), (rows, POOLED))
    x, context, pooled = (torch.randn(size, generator=random) for size in sizes)
    return SIGMA * x, Conditioning(context, pooled, {NEGATIVE: (torch.arange(rows) % 2)[:, None]})


def hint(side: int = 64) -> Tensor:
    return torch.rand(1, 3, side, 64, generator=torch.Generator().manual_seed(4))


def loaded_of(path: Path, state: State, model: UnetModel) -> Loaded:
    header = read_header(write_state(path, state))
    kind = control_of(header, built_in_controls())
    assert kind.name == LLLite.name
    assert kind.family(header, lambda each: "") == "sdxl"
    assert kind.misfit(header, model.unet.config) is None
    return kind.load(header, model)


def guess(model: UnetModel, loaded: Loaded | None = None, guide: Guide | None = None, side: int = 8) -> Tensor:
    x, words = inputs(side=side)
    predict = model.predict if loaded is None else loaded.ring(model, guide or Guide(hint(8 * side)))(model.predict)
    return predict(x, SIGMA, words)


def hooks(model: UnetModel) -> int:
    return sum(len(each._forward_hooks) + len(each._forward_pre_hooks) for each in model.unet.modules())


@torch.inference_mode()
@pytest.mark.parametrize("weight", [1.0, 0.7, 0.0])
def test_one_layer_says_what_the_formula_says(tmp_path: Path, model: UnetModel, weight: float) -> None:
    """W (x + weight * up(relu(mid([hint, relu(down(x))])))), with the hint's own part for each token."""
    state = {key: value for key, value in lllite_state(model.unet).items() if key.startswith(f"{NAME}.")}
    assert len(state) == 10
    loaded = loaded_of(tmp_path / "one.safetensors", state, model)
    layer = model.unet.get_submodule(LAYER)
    assert isinstance(layer, nn.Linear)
    seen: list[tuple[Tensor, Tensor]] = []
    plain: list[Tensor] = []
    watch = layer.register_forward_hook(lambda module, given, said: seen.append((given[0], said)))
    try:
        guess(model)
        plain.append(seen.pop()[0])
        guess(model, loaded, Guide(hint(), weight=weight))
    finally:
        watch.remove()
    (x,), said = plain, seen[0][1]

    def of(part: str, value: Tensor) -> Tensor:
        return F.linear(value, state[f"{NAME}.{part}.0.weight"], state[f"{NAME}.{part}.0.bias"])

    read = F.conv2d(2 * hint() - 1, state[f"{NAME}.conditioning1.0.weight"], state[f"{NAME}.conditioning1.0.bias"], 4)
    read = F.conv2d(read.relu(), state[f"{NAME}.conditioning1.2.weight"], state[f"{NAME}.conditioning1.2.bias"], 4)
    read = read.flatten(2).transpose(1, 2)
    assert read.shape[1] == x.shape[1] == 16
    mid = of("mid", torch.cat([read.expand(2, -1, -1), of("down", x).relu()], dim=2)).relu()
    assert torch.allclose(said, layer(x + weight * of("up", mid)), atol=1e-5)
    assert torch.equal(said, layer(x)) == (weight == 0)


@torch.inference_mode()
def test_every_layer_counts_and_nothing_stays(tmp_path: Path, model: UnetModel) -> None:
    state = lllite_state(model.unet)
    loaded = loaded_of(tmp_path / "all.safetensors", state, model)
    assert loaded.size == sum(each.nbytes for each in state.values())
    plain, before = guess(model), hooks(model)
    found = guess(model, loaded)
    assert (found - plain).abs().max() > 1e-3
    assert not torch.allclose(found, guess(model, loaded, Guide(1 - hint())), atol=1e-4), "it follows its hint"
    assert torch.equal(guess(model), plain) and hooks(model) == before
    small = guess(model, loaded, Guide(hint(), weight=1e-6))
    assert torch.allclose(small, plain, atol=1e-4)
    more = guess(model, loaded, Guide(hint(), mode="control"))
    assert torch.equal(more[1::2], plain[1::2]) and torch.allclose(more[0::2], found[0::2], atol=1e-5)
    nowhere = guess(model, loaded, Guide(hint(), mask=torch.zeros(1, 1, 64, 64)))
    assert torch.equal(nowhere, plain)


@torch.inference_mode()
def test_diffusers_names_say_the_same(tmp_path: Path, model: UnetModel) -> None:
    state = {key: value for key, value in lllite_state(model.unet).items() if key.startswith(f"{NAME}.")}
    own = {key.replace(NAME, f"lllite_unet_{LAYER.replace('.', '_')}"): value for key, value in state.items()}
    said = [
        guess(model, loaded_of(tmp_path / f"{place}.safetensors", each, model))
        for place, each in enumerate((state, own))
    ]
    assert torch.equal(*said)


@torch.inference_mode()
def test_a_size_that_its_squares_do_not_fill_is_drawn_out(tmp_path: Path, model: UnetModel) -> None:
    """7 rows of cells are 4 of the next level: the hint of 56 pixels has as many."""
    loaded = loaded_of(tmp_path / "all.safetensors", lllite_state(model.unet), model)
    assert not torch.allclose(guess(model, loaded, side=7), guess(model, side=7), atol=1e-3)


@torch.inference_mode()
def test_beside_reference_both_count(tmp_path: Path, model: UnetModel) -> None:
    """Self-attention then looks at another picture as well, which the hint is not of."""
    loaded = loaded_of(tmp_path / "all.safetensors", lllite_state(model.unet), model)
    x, words = inputs()
    reference = Reference().load(Header(Path(), {}), model).ring(model, Guide(hint()))
    both = loaded.ring(model, Guide(hint()))(reference(model.predict))(x, SIGMA, words)
    assert both.isfinite().all()
    assert all(
        (both - each).abs().max() > 1e-4 for each in (guess(model, loaded), reference(model.predict)(x, SIGMA, words))
    )


@torch.inference_mode()
def test_attention_that_saves_work_looks_at_every_token_that_a_hint_is_of(tmp_path: Path, model: UnetModel) -> None:
    loaded = loaded_of(tmp_path / "all.safetensors", lllite_state(model.unet), model)
    thrifty = model.with_thrift(Thrift(merge_ratio=0.5, tile=0, tile_depth=3))
    assert torch.equal(guess(thrifty, loaded), guess(model, loaded))
    assert not torch.equal(guess(thrifty), guess(model))


def test_the_names_of_published_files_are_layers_of_sdxl() -> None:
    known = layers(FULL_SDXL)
    for name, own in (
        ("input_blocks_4_1", "down_blocks.1.attentions.0"),
        ("input_blocks_8_1", "down_blocks.2.attentions.1"),
        ("middle_block_1", "mid_block.attentions.0"),
        ("output_blocks_5_1", "up_blocks.1.attentions.2"),
    ):
        assert known[f"{name}_transformer_blocks_1_attn2_to_q"] == f"{own}.transformer_blocks.1.attn2.to_q"


def test_layers_that_are_not_there_are_named(tmp_path: Path, model: UnetModel) -> None:
    state = {
        key.replace(NAME, "lllite_unet_input_blocks_8_1_transformer_blocks_9_attn1_to_q"): value
        for key, value in lllite_state(model.unet).items()
        if key.startswith(f"{NAME}.")
    }
    header = read_header(write_state(tmp_path / "large.safetensors", state))
    misfit = LLLite().misfit(header, model.unet.config)
    assert misfit is not None and misfit[0] == "input_blocks_8_1_transformer_blocks_9_attn1_to_q"
    with pytest.raises(BrokenFile, match="input_blocks_8_1"):
        LLLite().load(header, model)
