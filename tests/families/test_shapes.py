from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import UNet2DConditionModel

from modules.errors import BrokenFile
from modules.families.family import Entry, Header
from modules.families.unet.layout import standard
from modules.families.unet.layout_blocks import blocks_of_config, blocks_of_diffusers, blocks_of_ldm
from modules.families.unet.layout_names import unet_pairs
from modules.families.unet.layout_places import places
from modules.families.unet.shapes import text_config, unet_config, vae_config
from tests.families.headers import CROSS, PLAIN, PUBLISHED, SD1, SDXL, stripped

UP = "CrossAttnUpBlock2D"
KNOWN = {name: PUBLISHED[name][1] for name in PUBLISHED if PUBLISHED[name][0]}
DISTILLED: dict[str, dict[str, Any]] = {  # what was left of SDXL and of SD 1 after layers were taken out
    "uneven": {
        **SDXL,
        "transformer_layers_per_block": [1, [2, 2], [4, 4]],
        "reverse_transformer_layers_per_block": [[4, 4, 10], [2, 1, 1], 1],
        "mid_block_type": "UNetMidBlock2D",
    },
    "one layer": {**SDXL, "layers_per_block": 1, "transformer_layers_per_block": [1, 2, 5]},
    "no middle": {
        **SD1,
        "block_out_channels": [320, 640, 1280],
        "down_block_types": [CROSS] * 3,
        "up_block_types": [UP] * 3,
        "layers_per_block": 1,
        "mid_block_type": None,
    },
}


def raw(unet: dict[str, Entry]) -> Header:
    """Return the header of a single file with this U-Net."""
    entries = {}
    for own, place in places(unet_pairs(blocks_of_diffusers(unet))):
        if own in unet:
            entries[f"model.diffusion_model.{place.key}"] = unet[own]
    assert len(entries) == len(unet)
    return Header(Path("model.safetensors"), entries)


def meta(config: dict[str, Any]) -> UNet2DConditionModel:
    with torch.device("meta"):
        return UNet2DConditionModel.from_config({**config, "sample_size": 64})


def entries_of(network: torch.nn.Module) -> dict[str, Entry]:
    return {
        key: Entry(Path("model.safetensors"), "F16", tuple(value.shape), 0, 0)
        for key, value in network.state_dict().items()
    }


def spread(value: Any) -> Any:
    return value[0] if isinstance(value, list) and len(set(map(str, value))) == 1 else value


@pytest.mark.parametrize("name", KNOWN)
def test_configs_of_published_checkpoints_are_derived_in_full(name: str) -> None:
    config = standard(raw(stripped(name).part("unet"))).configs["unet"]
    assert blocks_of_config(config) == blocks_of_config(KNOWN[name])
    for field, value in KNOWN[name].items():
        if field != "transformer_layers_per_block":  # compared above: there are several ways to say it
            assert spread(config[field]) == spread(value), field
    assert config["attention_head_dim"] == KNOWN[name].get("attention_head_dim", 8)


@pytest.mark.parametrize("name", DISTILLED)
def test_what_was_distilled_is_built_as_it_is(name: str) -> None:
    published = meta(DISTILLED[name])
    entries = entries_of(published)
    config = standard(raw(entries)).configs["unet"]
    assert entries_of(meta(dict(config))) == entries
    heads = {key: module.heads for key, module in published.named_modules() if hasattr(module, "heads")}
    assert heads == {
        key: module.heads for key, module in meta(dict(config)).named_modules() if hasattr(module, "heads")
    }
    blocks = blocks_of_diffusers(entries)
    assert blocks_of_config(DISTILLED[name]) == blocks_of_config(config) == blocks
    assert blocks_of_ldm(key.removeprefix("model.diffusion_model.") for key in raw(entries).entries) == blocks


def test_an_autoencoder_and_text_encoders_of_full_size_are_derived() -> None:
    def entry(*shape: int) -> Entry:
        return Entry(Path("m.safetensors"), "F16", shape, 0, math.prod(shape) * 2)

    widths = [128, 256, 512, 512]
    vae = {
        f"encoder.down_blocks.{n}.resnets.{m}.conv1.weight": entry(w, w, 3, 3)
        for n, w in enumerate(widths)
        for m in (0, 1)
    }
    vae |= {"encoder.conv_in.weight": entry(128, 3, 3, 3), "decoder.conv_in.weight": entry(512, 4, 3, 3)}
    vae |= {"decoder.conv_out.weight": entry(3, 128, 3, 3), "quant_conv.weight": entry(8, 8, 1, 1)}
    config = vae_config(vae)
    assert (config["block_out_channels"], config["layers_per_block"], config["norm_num_groups"]) == (widths, 2, 32)
    assert (config["latent_channels"], config["use_quant_conv"], config["use_post_quant_conv"]) == (4, True, False)
    assert "scaling_factor" not in config  # the family's to say
    for width, layers, projected, open_clip, act, heads in (
        (768, 12, False, False, "quick_gelu", 12),
        (1024, 23, False, True, "gelu", 16),
        (1024, 23, False, False, "gelu", 16),  # SD 2's text encoder as transformers writes it
        (1280, 32, True, True, "gelu", 20),
    ):
        text = {f"text_model.encoder.layers.{n}.mlp.fc1.weight": entry(width * 4, width) for n in range(layers)}
        text["text_model.embeddings.token_embedding.weight"] = entry(49408, width)
        text["text_model.embeddings.position_embedding.weight"] = entry(77, width)
        if projected:
            text["text_projection.weight"] = entry(1280, width)
        config = text_config(text, open_clip=open_clip)
        assert (config["hidden_act"], config["num_attention_heads"], config["num_hidden_layers"]) == (
            act,
            heads,
            layers,
        )
        assert (config["hidden_size"], config["intermediate_size"], config["vocab_size"]) == (width, width * 4, 49408)
        assert config["projection_dim"] == (1280 if projected else width)
        assert config["eos_token_id"] == 49407
    assert text_config(text, stated=5)["num_attention_heads"] == 5


def test_a_structure_that_cannot_be_read_is_an_error_of_the_file() -> None:
    entries = stripped("sd1").part("unet")
    for key in ("conv_in.weight", "conv_out.weight", "down_blocks.2.resnets.0.conv1.weight"):
        with pytest.raises(BrokenFile, match="safetensors"):
            unet_config({name: entry for name, entry in entries.items() if name != key})
    flat = Entry(Path("model.safetensors"), "F16", (320, 4), 0, 0)
    with pytest.raises(BrokenFile):
        unet_config({**entries, "conv_in.weight": flat})


def test_levels_without_attention_are_plain_blocks() -> None:
    config = standard(raw(stripped("sdxl-refiner").part("unet"))).configs["unet"]
    assert config["down_block_types"] == [PLAIN, CROSS, CROSS, PLAIN]
    assert config["up_block_types"] == ["UpBlock2D", UP, UP, "UpBlock2D"]
