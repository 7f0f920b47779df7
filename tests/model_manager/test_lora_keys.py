from __future__ import annotations

from pathlib import Path

import pytest

from modules.families.family import Entry, Header
from modules.model_manager.lora_family import lora_family
from modules.model_manager.lora_keys import flat_path, inputs, is_lora, places, sort_keys

FILE = Path("some.safetensors")
BLOCK = "down_blocks.0.attentions.0.transformer_blocks.0"


def header(*keys: str, metadata: dict[str, str] | None = None, **shapes: tuple[int, ...]) -> Header:
    """A header of `keys`, and of dotted keys with shapes (written with two underlines for a dot)."""
    entries = {key: Entry(FILE, "F16", (4, 8), 0, 0) for key in keys}
    entries |= {key.replace("__", "."): Entry(FILE, "F16", shape, 0, 0) for key, shape in shapes.items()}
    return Header(FILE, entries, {}, metadata or {})


@pytest.mark.parametrize(
    ("key", "role"),
    [
        (f"lora_unet_{BLOCK.replace('.', '_')}_attn1_to_q.lora_down.weight", "down"),
        (f"unet.{BLOCK}.attn1.to_q.lora_A.weight", "down"),
        (f"unet.{BLOCK}.attn1.to_q.lora_B.default.weight", "up"),
        (f"unet.{BLOCK}.attn1.to_q.lora.up.weight", "up"),
        (f"unet.{BLOCK}.attn1.processor.to_q_lora.down.weight", "down"),
        (f"unet.{BLOCK}.attn1.to_q.lora_linear_layer.up.weight", "up"),
        (f"base_model.model.{BLOCK}.attn1.to_q.lora_A.weight", "down"),
        (f"unet.base_model.model.{BLOCK}.attn1.to_q.lora_magnitude_vector", "dora_scale"),
        (f"{BLOCK}.attn1.to_q.lora_magnitude_vector.default.weight", "dora_scale"),
        (f"diffusion_model.{BLOCK}.attn1.to_q.alpha", "alpha"),
        (f"lycoris_{BLOCK.replace('.', '_')}_attn1_to_q.hada_w1_a", "hada_w1_a"),
        (f"oft_unet_{BLOCK.replace('.', '_')}_attn1_to_q.oft_blocks", "oft_blocks"),
    ],
)
def test_a_module_is_found_under_every_name_trainers_give_it(key: str, role: str) -> None:
    keys = sort_keys(header(key))
    ((name, roles),) = keys.layers.items()
    assert list(roles) == [role]
    assert ("unet", flat_path(f"{BLOCK}.attn1.to_q")) in places(name)
    assert keys.unknown == ()


@pytest.mark.parametrize(
    ("key", "part"),
    [
        ("lora_te_text_model_encoder_layers_0_self_attn_q_proj.alpha", "text_encoder"),
        ("lora_te1_text_model_encoder_layers_0_self_attn_q_proj.alpha", "text_encoder"),
        ("lora_te2_text_model_encoder_layers_0_self_attn_q_proj.alpha", "text_encoder_2"),
        ("text_encoder.text_model.encoder.layers.0.self_attn.q_proj.lora_A.weight", "text_encoder"),
        ("text_encoder.text_model.encoder.layers.0.self_attn.to_q_lora.up.weight", "text_encoder"),
        ("text_encoder_2.text_model.encoder.layers.0.self_attn.q_proj.lora_A.weight", "text_encoder_2"),
        ("text_encoders.clip_g.transformer.text_model.encoder.layers.0.self_attn.q_proj.diff", "text_encoder_2"),
    ],
)
def test_text_encoders_are_told_apart(key: str, part: str) -> None:
    (name,) = sort_keys(header(key)).layers
    assert next(places(name)) == (part, "encoder_layers_0_self_attn_q_proj")


def test_the_output_of_an_attention_is_called_differently_in_the_first_loras_of_diffusers() -> None:
    (name,) = sort_keys(header(f"unet.{BLOCK}.attn1.processor.to_out_lora.up.weight")).layers
    assert next(places(name))[1] == flat_path(f"{BLOCK}.attn1.to_out.0")


def test_a_bare_weight_is_ia3_only_where_it_says_so() -> None:
    keys = sort_keys(header("lora_unet_x_to_k.weight", "lora_unet_x_to_k.on_input", "lora_unet_y_to_k.weight"))
    assert keys.layers == {"lora_unet_x_to_k": keys.layers["lora_unet_x_to_k"]}
    assert set(keys.layers["lora_unet_x_to_k"]) == {"ia3", "on_input"}
    assert keys.unknown == ("lora_unet_y_to_k.weight",)


def test_bundled_embeddings_are_set_apart() -> None:
    keys = sort_keys(header("bundle_emb.my word.string_to_param.*", "bundle_emb.pair.clip_l", "bundle_emb.pair.clip_g"))
    assert {name: set(roles) for name, roles in keys.bundled.items()} == {
        "my word": {"string_to_param.*"},
        "pair": {"clip_l", "clip_g"},
    }
    assert not is_lora(header("bundle_emb.a.clip_l"))
    assert is_lora(header("lora_unet_x.lora_up.weight"))
    assert not is_lora(header("model.diffusion_model.x.weight", "lora_unet_x.alpha"))


def test_inputs_are_told_by_every_format() -> None:
    def width(**shapes: tuple[int, ...]) -> int | None:
        return inputs({role: Entry(FILE, "F16", shape, 0, 0) for role, shape in shapes.items()})

    assert width(down=(4, 768), up=(320, 4)) == 768
    assert width(hada_w1_a=(320, 4), hada_w1_b=(4, 768)) == 768
    assert width(hada_t1=(4, 4, 3, 3), hada_w1_a=(4, 320), hada_w1_b=(4, 640)) == 640
    assert width(lokr_w1=(8, 16), lokr_w2_a=(40, 4), lokr_w2_b=(4, 48)) == 768
    assert width(diff=(320, 768)) == 768
    assert width(a1=(768, 4), a2=(4, 768), b1=(320, 4), b2=(4, 768)) == 768
    assert width(oft_blocks=(4, 80, 80)) is None
    assert width(ia3=(768,)) is None


@pytest.mark.parametrize(
    ("family", "file"),
    [
        ("sd1", header(lora_unet_mid_block_attentions_0_transformer_blocks_0_attn2_to_k__lora_down__weight=(4, 768))),
        ("sd2", header(lora_unet_mid_block_attentions_0_transformer_blocks_0_attn2_to_k__lora_down__weight=(4, 1024))),
        ("sdxl", header(lora_unet_mid_block_attentions_0_transformer_blocks_0_attn2_to_k__lora_down__weight=(4, 2048))),
        ("sd1", header(text_encoder__text_model__encoder__layers__0__self_attn__q_proj__lora_A__weight=(4, 768))),
        ("sd2", header(lora_te_text_model_encoder_layers_0_self_attn_k_proj__lora_down__weight=(4, 1024))),
        ("sdxl", header("lora_te2_text_model_encoder_layers_0_mlp_fc1.lora_up.weight")),
        ("sdxl", header("lora_te1_text_model_encoder_layers_0_mlp_fc1.lora_up.weight")),
        ("sdxl", header("lora_unet_input_blocks_4_1_transformer_blocks_1_attn1_to_k.lora_up.weight")),
        ("sd1", header(unet__down_blocks__0__attentions__0__proj_in__lora_A__weight=(4, 32, 1, 1))),
        ("", header(unet__down_blocks__0__attentions__0__proj_in__lora_A__weight=(4, 32))),
        ("", header("lora_unet_double_blocks_0_img_attn_qkv.lora_up.weight", "lora_te1_text_model_x.alpha")),
        ("", header("transformer.transformer_blocks.1.attn.to_k.lora_A.weight")),
        ("", header("something else")),
        ("sdxl", header("lora_unet_conv_in.diff", metadata={"ss_base_model_version": "sdxl_base_v1-0"})),
        ("sd2", header("lora_unet_conv_in.diff", metadata={"ss_v2": "True", "ss_base_model_version": "sd_v1"})),
        ("sd1", header("lora_unet_conv_in.diff", metadata={"modelspec.architecture": "stable-diffusion-v1/lora"})),
    ],
)
def test_the_family_is_told_by_keys_and_shapes(family: str, file: Header) -> None:
    assert lora_family(file) == family


def test_what_the_trainer_wrote_does_not_overrule_the_shapes() -> None:
    file = header(
        lora_unet_mid_block_attentions_0_transformer_blocks_0_attn2_to_k__lora_down__weight=(4, 768),
        metadata={"ss_base_model_version": "sdxl_base_v1-0"},
    )
    assert lora_family(file) == "sd1"
