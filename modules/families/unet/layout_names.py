"""The names of every module in diffusers and in the original code (ldm, sgm): one table, read in both directions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

from modules.families.unet.layout_blocks import Blocks, blocks_of_config

Pair = tuple[str, str]  # diffusers' module path, the original's

UNET_ENDS: tuple[Pair, ...] = (
    ("time_embedding.linear_1", "time_embed.0"),
    ("time_embedding.linear_2", "time_embed.2"),
    ("conv_in", "input_blocks.0.0"),
    ("conv_norm_out", "out.0"),
    ("conv_out", "out.2"),
    ("add_embedding.linear_1", "label_emb.0.0"),  # SDXL's sizes and pooled words
    ("add_embedding.linear_2", "label_emb.0.2"),
)
UNET_RESNET: tuple[Pair, ...] = (
    ("norm1", "in_layers.0"),
    ("conv1", "in_layers.2"),
    ("time_emb_proj", "emb_layers.1"),
    ("norm2", "out_layers.0"),
    ("conv2", "out_layers.3"),
    ("conv_shortcut", "skip_connection"),
)
TRANSFORMER = (
    *(f"attn{n}.{each}" for n in (1, 2) for each in ("to_q", "to_k", "to_v", "to_out.0")),
    *("ff.net.0.proj", "ff.net.2", "norm1", "norm2", "norm3"),
)
VAE_RESNET: tuple[Pair, ...] = (
    ("norm1", "norm1"),
    ("conv1", "conv1"),
    ("norm2", "norm2"),
    ("conv2", "conv2"),
    ("conv_shortcut", "nin_shortcut"),
)
VAE_ATTENTION: tuple[Pair, ...] = (
    ("group_norm", "norm"),
    ("to_q", "q"),
    ("to_k", "k"),
    ("to_v", "v"),
    ("to_out.0", "proj_out"),
)
VAE_ENDS = ("conv_in", "conv_norm_out", "conv_out")
CLIP_LAYER = (
    "layer_norm1",
    "layer_norm2",
    *(f"self_attn.{n}_proj" for n in ("q", "k", "v", "out")),
    "mlp.fc1",
    "mlp.fc2",
)
OPEN_CLIP_LAYER: tuple[Pair, ...] = (
    ("layer_norm1", "ln_1"),
    ("layer_norm2", "ln_2"),
    ("self_attn.q_proj", "attn.in_proj"),  # one matrix there: q, k and v above each other
    ("self_attn.k_proj", "attn.in_proj"),
    ("self_attn.v_proj", "attn.in_proj"),
    ("self_attn.out_proj", "attn.out_proj"),
    ("mlp.fc1", "mlp.c_fc"),
    ("mlp.fc2", "mlp.c_proj"),
)


def unet_names(config: Mapping[str, Any]) -> Mapping[str, str]:
    """Return diffusers' module path -> the original's, without prefix, for every module of a U-Net with weights.

    "down_blocks.0.resnets.0.conv1" -> "input_blocks.1.0.in_layers.2". Resnets' "conv_shortcut" and SDXL's
    "add_embedding" are named whether the network has them or not.
    """
    return MappingProxyType(dict(unet_pairs(blocks_of_config(config))))


def text_names(part: str, config: Mapping[str, Any]) -> Mapping[str, str]:
    """Return diffusers' module path -> OpenCLIP's, without prefix, for every module of a text encoder with weights.

    "text_model.encoder.layers.0.mlp.fc1" -> "transformer.resblocks.0.mlp.c_fc"; q, k and v all name the one
    "attn.in_proj" they are stored in, in that order. `part` is "text_encoder" (SD 2) or "text_encoder_2" (SDXL), which
    alone has a projection.
    """
    layers = int(config.get("num_hidden_layers", 12))
    return MappingProxyType(dict(open_clip_pairs(layers, projection=part == "text_encoder_2")))


def unet_pairs(blocks: Blocks) -> Iterator[Pair]:
    """Yield the pairs of a U-Net, those too that only some networks have."""
    yield from UNET_ENDS
    block = 1
    for level, depths in enumerate(blocks.down):
        for layer, depth in enumerate(depths):
            yield from _unet_layer(f"down_blocks.{level}", layer, f"input_blocks.{block}", depth)
            block += 1
        if level < len(blocks.down) - 1:
            yield f"down_blocks.{level}.downsamplers.0.conv", f"input_blocks.{block}.0.op"
            block += 1
    if blocks.middle is not None:
        yield from _unet_layer("mid_block", 0, "middle_block", blocks.middle)
        if blocks.middle:
            yield from _within("mid_block.resnets.1", "middle_block.2", UNET_RESNET)
    block = 0
    for level, depths in enumerate(blocks.up):
        for layer, depth in enumerate(depths):
            yield from _unet_layer(f"up_blocks.{level}", layer, f"output_blocks.{block}", depth)
            block += 1
        if level < len(blocks.up) - 1 and depths:
            place = 2 if depths[-1] else 1  # it comes after the attention
            yield f"up_blocks.{level}.upsamplers.0.conv", f"output_blocks.{block - 1}.{place}.conv"


def vae_pairs(levels: int, layers: int) -> Iterator[Pair]:
    """Yield the pairs of an autoencoder, those too that only some have; a decoder counts levels from the other end."""
    for side, ours, theirs in (("encoder", "down", "down"), ("decoder", "up", "up")):
        yield from ((f"{side}.{each}", f"{side}.{each.replace('conv_norm_out', 'norm_out')}") for each in VAE_ENDS)
        for level in range(levels):
            place = level if side == "encoder" else levels - 1 - level
            for layer in range(layers + (side == "decoder")):
                own = f"{side}.{ours}_blocks.{level}.resnets.{layer}"
                yield from _within(own, f"{side}.{theirs}.{place}.block.{layer}", VAE_RESNET)
            if level < levels - 1:
                step = f"{ours}samplers.0.conv"
                yield f"{side}.{ours}_blocks.{level}.{step}", f"{side}.{theirs}.{place}.{theirs}sample.conv"
        yield from _within(f"{side}.mid_block.resnets.0", f"{side}.mid.block_1", VAE_RESNET)
        yield from _within(f"{side}.mid_block.resnets.1", f"{side}.mid.block_2", VAE_RESNET)
        yield from _within(f"{side}.mid_block.attentions.0", f"{side}.mid.attn_1", VAE_ATTENTION)
    yield from (("quant_conv", "quant_conv"), ("post_quant_conv", "post_quant_conv"))


def clip_pairs(layers: int, prefix: str) -> Iterator[Pair]:
    """Yield the pairs of a CLIP text encoder as transformers has it; `prefix` is "text_model." or "" in the file."""
    for each in ("embeddings.token_embedding", "embeddings.position_embedding", "final_layer_norm"):
        yield f"text_model.{each}", f"{prefix}{each}"
    for layer in range(layers):
        for each in CLIP_LAYER:
            yield f"text_model.encoder.layers.{layer}.{each}", f"{prefix}encoder.layers.{layer}.{each}"


def open_clip_pairs(layers: int, projection: bool) -> Iterator[Pair]:
    """Yield the pairs of a CLIP text encoder as OpenCLIP has it."""
    yield "text_model.embeddings.token_embedding", "token_embedding"
    yield "text_model.embeddings.position_embedding", "positional_embedding"
    yield "text_model.final_layer_norm", "ln_final"
    for layer in range(layers):
        yield from _within(f"text_model.encoder.layers.{layer}", f"transformer.resblocks.{layer}", OPEN_CLIP_LAYER)
    if projection:
        yield "text_projection", "text_projection"


def _unet_layer(own: str, layer: int, theirs: str, depth: int) -> Iterator[Pair]:
    yield from _within(f"{own}.resnets.{layer}", f"{theirs}.0", UNET_RESNET)
    if depth:
        for each in ("norm", "proj_in", "proj_out"):
            yield f"{own}.attentions.{layer}.{each}", f"{theirs}.1.{each}"
    for block in range(depth):
        for each in TRANSFORMER:
            inner = f"transformer_blocks.{block}.{each}"
            yield f"{own}.attentions.{layer}.{inner}", f"{theirs}.1.{inner}"


def _within(own: str, theirs: str, pairs: tuple[Pair, ...]) -> Iterator[Pair]:
    return ((f"{own}.{mine}", f"{theirs}.{its}") for mine, its in pairs)
