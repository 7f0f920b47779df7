"""ControlNet's kin: T2I-Adapter, Control-LoRA, ControlNet Union and Reference, against diffusers' own models."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from diffusers import ControlNetModel
from torch import Tensor

from modules.controls.control import NEGATIVE, Guide, Loaded
from modules.controls.control_lora import ControlLora
from modules.controls.reference import Reference
from modules.controls.t2i_adapter import T2IAdapter
from modules.controls.union import Union
from modules.errors import BadRequest
from modules.families.family import Conditioning, Header
from modules.families.unet.model import UnetModel
from modules.model_manager.control_kinds import built_in_controls, control_of
from modules.model_manager.header import read_header
from tests.fake_controls import (
    HINT_WIDTHS,
    adapter_state,
    control_lora_state,
    make_adapter,
    make_union,
    stirred,
    write_control_file,
    write_state,
)
from tests.fake_models import (
    POOLED,
    SDXL_UNET,
    UNET,
    WIDTH,
    WIDTH_2,
    checkpoints,
    engine_on,
    make_sd1,
    make_sdxl,
    write_part,
)

SIGMA = 3.0


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("kin")
    make_sd1(checkpoints(folder) / "one", seed=1)
    make_sd1(checkpoints(folder) / "even", seed=3, unet={**UNET, "block_out_channels": [32, 32]})
    make_sdxl(checkpoints(folder) / "xl", seed=2)
    return folder


@pytest.fixture(scope="module")
def models(data: Path) -> Iterator[dict[str, UnetModel]]:
    engine = engine_on(data)
    with (
        engine.models.borrow(engine.catalog.find("one")) as one,
        engine.models.borrow(engine.catalog.find("xl")) as xl,
        engine.models.borrow(engine.catalog.find("even")) as even,
    ):
        assert isinstance(one, UnetModel) and isinstance(xl, UnetModel) and isinstance(even, UnetModel)
        yield {"sd1": one, "sdxl": xl, "even": even}


def inputs(family: str, rows: int = 2) -> tuple[Tensor, Conditioning, Tensor]:
    random = torch.Generator().manual_seed(3)
    width = WIDTH if family == "sd1" else WIDTH + WIDTH_2
    sizes = ((rows, 4, 8, 8), (rows, 77, width), (rows, POOLED), (1, 3, 64, 64))
    x, context, pooled, hint = (torch.randn(size, generator=random) for size in sizes)
    negative = (torch.arange(rows) % 2)[:, None]
    words = Conditioning(context, pooled if family == "sdxl" else None, {NEGATIVE: negative})
    return SIGMA * x, words, hint.sigmoid()


def guess(model: UnetModel, family: str, loaded: Loaded | None = None, guide: Guide | None = None) -> Tensor:
    x, words, hint = inputs(family)
    predict = model.predict if loaded is None else loaded.ring(model, guide or Guide(hint))(model.predict)
    return predict(x, SIGMA, words)


@torch.inference_mode()
@pytest.mark.parametrize("kind", ["full_adapter", "light_adapter", "full_adapter_xl"])
@pytest.mark.parametrize("layout", ["original", "diffusers", "folder"])
def test_an_adapter_says_what_diffusers_says(data: Path, models: dict[str, UnetModel], kind: str, layout: str) -> None:
    family = "sdxl" if kind == "full_adapter_xl" else "sd1"
    light = kind == "light_adapter"  # its last level is as wide as the one before
    network = make_adapter(kind, [32] if light else [32, 64], colours=1 if layout == "folder" else 3)
    path = data / f"{kind}-{layout}"
    if layout == "folder":
        config = {name: each for name, each in network.config.items() if name != "_use_default_values"}
        write_part(path, config, "diffusion_pytorch_model", network, torch.float32)
    else:
        path = path.with_suffix(".safetensors")
        write_state(path, adapter_state(network) if layout == "original" else network.state_dict())
    header, model = read_header(path), models["even" if light else family]
    assert control_of(header, built_in_controls()).name == T2IAdapter.name
    assert T2IAdapter().family(header, lambda each: "") == family
    x, words, hint = inputs(family)
    hint_in = hint.mean(dim=1, keepdim=True) if network.config.in_channels == 1 else hint
    within = [0.8 * each.expand(2, -1, -1, -1) for each in network(hint_in)]
    said = model.unet(
        model.prediction.scale(x, SIGMA),
        model.time(SIGMA),
        words.context,
        added_cond_kwargs=model.about(x, words),
        down_intrablock_additional_residuals=within,
        return_dict=False,
    )[0]
    wanted = model.prediction.denoised(x, SIGMA, said)
    found = guess(model, family, T2IAdapter().load(header, model), Guide(hint, weight=0.8))
    assert torch.allclose(found, wanted, atol=1e-5)
    assert not torch.allclose(found, guess(model, family), atol=1e-3)
    assert T2IAdapter().misfit(header, model.unet.config) is None
    widths = "32, 32" if light else "32, 64"
    assert T2IAdapter().misfit(header, {"block_out_channels": [64, 128, 160]}) == (widths, "64, 128, 160")


@torch.inference_mode()
@pytest.mark.parametrize("family", ["sd1", "sdxl"])
def test_a_control_lora_is_the_controlnet_it_makes(data: Path, models: dict[str, UnetModel], family: str) -> None:
    model = models[family]
    network = ControlNetModel.from_unet(model.unet, conditioning_embedding_out_channels=HINT_WIDTHS)
    stirred(network)
    state, whole = control_lora_state(network, model.unet)
    header = read_header(write_state(data / f"{family}-lora.safetensors", state))
    kind = control_of(header, built_in_controls())
    assert kind.name == ControlLora.name
    assert kind.misfit(header, UNET if family == "sd1" else SDXL_UNET) is None
    network.load_state_dict(whole)
    full = read_header(write_control_file(data / f"{family}-whole.safetensors", network.eval()))
    wanted = guess(model, family, control_of(full, built_in_controls()).load(full, model))
    assert torch.allclose(guess(model, family, kind.load(header, model)), wanted, atol=1e-4)
    assert not torch.allclose(wanted, guess(model, family), atol=1e-3)


@torch.inference_mode()
def test_a_control_lora_follows_what_is_done_to_the_checkpoint(data: Path, models: dict[str, UnetModel]) -> None:
    """A LoRA of the prompt changes the U-Net, and so what is built on it."""
    model = models["sd1"]
    header = read_header(data / "sd1-lora.safetensors")
    loaded = ControlLora().load(header, model)
    before, weight = guess(model, "sd1", loaded), model.unet.conv_in.weight
    original = weight.data.clone()
    weight.data.mul_(1.5)
    changed = guess(model, "sd1", loaded)
    weight.data.copy_(original)
    assert not torch.allclose(changed, before, atol=1e-3)
    assert torch.equal(guess(model, "sd1", loaded), before)


@torch.inference_mode()
def test_a_union_says_what_diffusers_says(data: Path, models: dict[str, UnetModel]) -> None:
    model, network = models["sdxl"], make_union(SDXL_UNET)
    header = read_header(write_state(data / "union.safetensors", network.state_dict()))
    assert control_of(header, built_in_controls()).name == Union.name
    x, words, hint = inputs("sdxl")
    scaled, time, about = model.prediction.scale(x, SIGMA), model.time(SIGMA), model.about(x, words)
    types = torch.zeros(2, 6)
    types[:, 3] = 1
    down, middle = network(
        scaled,
        time,
        words.context,
        [hint.expand(2, -1, -1, -1)],
        types,
        [3],
        added_cond_kwargs=about,
        return_dict=False,
    )
    said = model.unet(
        scaled,
        time,
        words.context,
        added_cond_kwargs=about,
        down_block_additional_residuals=down,
        mid_block_additional_residual=middle,
        return_dict=False,
    )[0]
    loaded = Union().load(header, model)
    found = guess(model, "sdxl", loaded, Guide(hint, kinds=("Canny",)))
    assert torch.allclose(found, model.prediction.denoised(x, SIGMA, said), atol=1e-5)
    assert torch.equal(found, guess(model, "sdxl", loaded, Guide(hint, options={"union_control_type": 3})))
    assert not torch.allclose(found, guess(model, "sdxl", loaded, Guide(hint, kinds=("Depth",))), atol=1e-4)
    with pytest.raises(BadRequest, match="must be told"):
        guess(model, "sdxl", loaded, Guide(hint))


@torch.inference_mode()
@pytest.mark.parametrize("family", ["sd1", "sdxl"])
def test_reference_looks_at_the_picture_and_leaves_nothing_behind(models: dict[str, UnetModel], family: str) -> None:
    model = models[family]
    loaded, hint = Reference().load(Header(Path(), {}), model), inputs(family)[2]
    before = {name: id(each) for name, each in model.unet.attn_processors.items()}
    plain = guess(model, family)
    found = guess(model, family, loaded, Guide(hint))
    other = guess(model, family, loaded, Guide(1 - hint))
    assert (found - plain).abs().max() > 1e-4
    assert (found - other).abs().max() > 1e-5
    assert {name: id(each) for name, each in model.unet.attn_processors.items()} == before
    assert torch.equal(guess(model, family), plain)
    more = guess(model, family, loaded, Guide(hint, mode="control"))
    assert torch.allclose(more[1::2], plain[1::2], atol=1e-5), "negative prompts see nothing of it"
    assert torch.allclose(more[0::2], found[0::2], atol=1e-5)


@torch.inference_mode()
def test_reference_is_undone_when_a_guess_fails(models: dict[str, UnetModel]) -> None:
    model = models["sd1"]
    x, words, hint = inputs("sd1")
    before = {name: id(each) for name, each in model.unet.attn_processors.items()}

    def fails(x: Tensor, sigma: float, conditioning: Conditioning) -> Tensor:
        raise RuntimeError("no room")

    with pytest.raises(RuntimeError):
        Reference().load(Header(Path(), {}), model).ring(model, Guide(hint))(fails)(x, SIGMA, words)
    assert {name: id(each) for name, each in model.unet.attn_processors.items()} == before
