from __future__ import annotations

import json
import random
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import UNet2DConditionModel
from diffusers.loaders.single_file_utils import (
    convert_ldm_clip_checkpoint,
    convert_ldm_unet_checkpoint,
    convert_ldm_vae_checkpoint,
    convert_open_clip_checkpoint,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from torch import Tensor

from modules.errors import BrokenFile
from modules.families.family import Header
from modules.families.unet.layout import original, standard, text_names, unet_names
from modules.families.unet.layout_metadata import stating
from modules.families.unet.weights import Mapped
from modules.families.unet.writing import Outgoing, read_entry, read_stored, write_tensors
from modules.model_manager.header import read_header, read_safetensors
from modules.settings import ROOT
from tests.fake_checkpoints import KINDS, POOLED, make_networks, save_single, write_single
from tests.fake_models import make_sd1

PARTS = ("unet", "vae", "text_encoder", "text_encoder_2")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    """One tiny checkpoint of every kind."""
    folder = tmp_path_factory.mktemp("kinds")
    return {kind: write_single(folder / f"{kind}.safetensors", kind, dtype=torch.float32) for kind in KINDS}


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def weights(header: Header, part: str) -> dict[str, Tensor]:
    """Read the weights of one component."""
    entries = header.part(part)
    maps = {file: Mapped(file) for file in {each.file for each in entries.values()}}
    return {key: maps[each.file].tensor(each) for key, each in entries.items()}


def same(some: Mapping[str, Tensor], others: Mapping[str, Tensor]) -> None:
    assert some.keys() == others.keys()
    for key, value in some.items():
        assert value.dtype == others[key].dtype and torch.equal(value, others[key]), key


def write_back(header: Header, path: Path) -> Path:
    """Write a checkpoint as a single file of the original layout."""
    tensors = [Outgoing(each.key, each.dtype, each.shape, partial(read_stored, each)) for each in original(header)]
    write_tensors(path, tensors, {"format": "pt", **header.metadata, **stating(header)})
    return path


def without_prefix(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Name a text encoder's weights with "text_model.", which some versions of transformers leave out."""
    whole = ("text_model.", "text_projection.")
    return {key if key.startswith(whole) else f"text_model.{key}": value for key, value in state.items()}


def test_every_kind_comes_back_as_the_networks_it_was_written_from(files: Mapping[str, Path], kind: str) -> None:
    header, networks = read_header(files[kind]), make_networks(kind)
    same(weights(header, "unet"), networks.unet.state_dict())
    same(weights(header, "vae"), networks.vae.state_dict())
    parts = {"clip": "text_encoder", "open": "text_encoder_2" if KINDS[kind].numbers else "text_encoder"}
    for name, module in networks.texts:
        found = weights(header, parts[name])
        wanted = without_prefix(module.state_dict())
        if parts[name] == "text_encoder" and name == "open":  # SD 2 does not read the last of its layers
            wanted = {key: value for key, value in wanted.items() if ".layers.2." not in key}
        same(found, {key: value for key, value in wanted.items() if not key.endswith("position_ids")})
    assert {part for part in PARTS if header.part(part)} == {
        "unet",
        "vae",
        *(parts[name] for name in KINDS[kind].texts),
    }


def test_diffusers_own_converters_say_the_same(files: Mapping[str, Path], kind: str) -> None:
    header = read_header(files[kind])
    state = load_file(files[kind])
    config = UNet2DConditionModel.from_config(dict(header.configs["unet"])).config
    same(weights(header, "unet"), convert_ldm_unet_checkpoint(dict(state), dict(config)))
    same(weights(header, "vae"), convert_ldm_vae_checkpoint(dict(state), dict(header.configs["vae"])))
    stage = "conditioner.embedders.0" if KINDS[kind].numbers else "cond_stage_model"
    if "clip" in KINDS[kind].texts:
        theirs = convert_ldm_clip_checkpoint(dict(state))
        same(weights(header, "text_encoder"), {k: v for k, v in theirs.items() if not k.endswith("position_ids")})
    if "open" in KINDS[kind].texts:
        part, stage = ("text_encoder_2", "conditioner.embedders.1") if "clip" in KINDS[kind].texts else ("", stage)
        part = part or ("text_encoder_2" if KINDS[kind].numbers else "text_encoder")
        square = {**state, f"{stage}.model.text_projection": state[f"{stage}.model.text_projection"]}
        theirs = convert_open_clip_checkpoint(None, square, f"{stage}.model.")
        theirs.pop("text_projection.weight" if part == "text_encoder" else "", None)
        if part == "text_encoder":
            theirs = {key: value for key, value in theirs.items() if ".layers.2." not in key}
        same(weights(header, part), theirs)


def test_what_is_written_back_is_the_very_same_file(files: Mapping[str, Path], kind: str, tmp_path: Path) -> None:
    again = write_back(read_header(files[kind]), tmp_path / "again.safetensors")
    before, after = load_file(files[kind]), load_file(again)
    before = {key: value for key, value in before.items() if not key.startswith("model_ema.")}
    same(after, before)
    same_header = read_header(again)
    for part, config in read_header(files[kind]).configs.items():
        if part in PARTS:
            assert same_header.configs[part] == config


@pytest.mark.parametrize("ckpt", [False, True])
def test_what_trainers_add_is_left_out(tmp_path: Path, files: Mapping[str, Path], ckpt: bool) -> None:
    file = write_single(
        tmp_path / ("a.ckpt" if ckpt else "a.safetensors"), "sd1", dtype=torch.float32, ema=True, ckpt=ckpt
    )
    header = read_header(file)
    assert header.entries.keys() == read_header(files["sd1"]).entries.keys()
    assert not [key for key in header.entries if "ema" in key]
    for part in ("unet", "vae", "text_encoder"):
        same(weights(header, part), weights(read_header(files["sd1"]), part))


@pytest.mark.parametrize(
    ("dtype", "first", "vae", "text"),
    [
        (torch.float32, "F32", "F32", "F32"),
        (torch.float16, "F16", "F16", "F16"),
        (torch.bfloat16, "BF16", "BF16", "BF16"),
        (torch.float8_e4m3fn, "F8_E4M3", "F8_E4M3", "F8_E4M3"),
        (torch.float8_e5m2, "F8_E5M2", "F8_E5M2", "F8_E5M2"),
        ("mixed", "F16", "F32", "BF16"),
    ],
)
def test_kinds_of_numbers_are_kept(tmp_path: Path, dtype: Any, first: str, vae: str, text: str) -> None:
    header = read_header(write_single(tmp_path / "a.safetensors", "sdxl", dtype=dtype))
    assert header.entries["unet.conv_in.weight"].dtype == first
    assert header.entries["vae.decoder.conv_in.weight"].dtype == vae
    third = header.entries["text_encoder_2.text_model.encoder.layers.1.self_attn.k_proj.weight"]
    assert third.dtype == text
    whole = load_file(header.path)["conditioner.embedders.1.model.transformer.resblocks.1.attn.in_proj_weight"]
    assert torch.equal(read_entry(third).float(), whole[24:48].float())


def test_parts_that_are_not_there_are_not_made_up(tmp_path: Path) -> None:
    header = read_header(write_single(tmp_path / "a.safetensors", "sdxl", vae=False, text=False))
    assert {part for part in PARTS if header.part(part) or part in header.configs} == {"unet"}


def test_markers_and_what_no_network_reads_keep_their_names(tmp_path: Path) -> None:
    header = read_header(write_single(tmp_path / "a.safetensors", "sdxl", markers=("v_pred", "ztsnr")))
    assert header.entries.keys() >= {"v_pred", "ztsnr"}
    assert {"v_pred", "ztsnr"} <= {each.key for each in original(header)}


def test_two_text_encoders_of_one_width_are_told_apart(tmp_path: Path) -> None:
    """diffusers fills the second with the first's weights when their widths are equal."""
    header = read_header(write_single(tmp_path / "a.safetensors", "sdxl", dtype=torch.float32, widths=(16, 16)))
    networks = make_networks("sdxl", widths=(16, 16))
    for part, (_, module) in zip(("text_encoder", "text_encoder_2"), networks.texts, strict=True):
        key = "text_model.encoder.layers.1.mlp.fc1.weight"
        assert torch.equal(weights(header, part)[key], without_prefix(module.state_dict())[key])
    assert header.entries["text_encoder_2.text_projection.weight"].shape == (POOLED, 16)


def test_older_and_other_spellings_are_understood(tmp_path: Path, files: Mapping[str, Path]) -> None:
    wanted = read_header(files["sd1"])
    state = load_file(files["sd1"])
    oldest = {key.replace(".transformer.text_model.", ".transformer."): value for key, value in state.items()}
    nested = {f"state_dict.{key}": value for key, value in state.items()}
    for spelling in (oldest, nested):
        header = read_header(save_single(tmp_path / "a.safetensors", spelling, {}))
        for part in ("unet", "vae", "text_encoder"):
            same(weights(header, part), weights(wanted, part))
    state = load_file(files["sdxl"])
    projection = state.pop("conditioner.embedders.1.model.text_projection")
    state["conditioner.embedders.1.model.text_projection.weight"] = projection.T.contiguous()
    header = read_header(save_single(tmp_path / "b.safetensors", state, {}))
    same(weights(header, "text_encoder_2"), weights(read_header(files["sdxl"]), "text_encoder_2"))


def test_networks_in_files_of_their_own_are_known(tmp_path: Path, files: Mapping[str, Path]) -> None:
    whole = read_header(files["sd1"])
    state = load_file(files["sd1"])
    cases: Iterable[tuple[str, str, Mapping[str, Tensor]]] = [
        (part, f"{part}-{form}.safetensors", found)
        for part, prefix in (("unet", "model.diffusion_model."), ("vae", "first_stage_model."))
        for form, found in (
            ("bare", {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}),
            ("named", {key: value for key, value in state.items() if key.startswith(prefix)}),
            ("diffusers", weights(whole, part)),
        )
    ]
    for part, name, found in cases:
        header = read_header(save_single(tmp_path / name, dict(found), {}))
        same(weights(header, part), weights(whole, part))
        assert header.configs[part] == whole.configs[part], name
    alone = write_back(read_header(tmp_path / "vae-named.safetensors"), tmp_path / "vae.safetensors")
    same(load_file(alone), load_file(tmp_path / "vae-bare.safetensors"))


@pytest.mark.parametrize(
    "keys",
    [
        ["lora_unet_down_blocks_0_attentions_0_proj_in.lora_down.weight"],
        ["emb_params"],
        ["clip_l", "clip_g"],
        ["control_model.input_blocks.0.0.weight", "control_model.zero_convs.0.0.weight", "control_model.out.2.weight"],
        ["input_blocks.0.0.weight", "out.2.weight", "zero_convs.0.0.weight"],
        ["controlnet_cond_embedding.conv_in.weight", "conv_in.weight", "down_blocks.0.resnets.0.conv1.weight"],
        ["unet.down_blocks.0.attentions.0.proj_in.lora_A.weight"],
        ["320.0.linear.0.weight"],
        ["decoder.1.weight", "encoder.0.weight"],
        ["double_blocks.0.img_attn.norm.key_norm.scale", "final_layer.linear.weight"],
        [],
    ],
    ids=str,
)
def test_other_files_keep_their_own_names(tmp_path: Path, keys: list[str]) -> None:
    file = tmp_path / "other.safetensors"
    save_file({key: torch.zeros(4, 4, 3, 3) for key in keys}, file, {"ss_tag": "x"})
    header = read_header(file)
    assert sorted(header.entries) == sorted(keys)
    assert not header.configs and header.metadata == {"ss_tag": "x"}


def test_a_folder_is_standard_already(tmp_path: Path) -> None:
    header = read_header(make_sd1(tmp_path / "tiny"))
    assert standard(header) is header


def test_unknown_weights_of_a_network_are_not_lost(tmp_path: Path, files: Mapping[str, Path]) -> None:
    """They stay with their network, so that loading it says what has no place."""
    state = load_file(files["sd1"]) | {"model.diffusion_model.fuser.weight": torch.zeros(1)}
    assert "unet.fuser.weight" in read_header(save_single(tmp_path / "a.safetensors", state, {})).entries


@pytest.mark.parametrize("gone", ["time_embed.0.weight", "input_blocks.4.0.in_layers.2.weight", "out.2.bias"])
def test_a_missing_weight_is_missing_or_an_error(tmp_path: Path, files: Mapping[str, Path], gone: str) -> None:
    state = load_file(files["sd1"])
    del state[f"model.diffusion_model.{gone}"]
    file = save_single(tmp_path / "a.safetensors", state, {})
    try:
        found = len(read_header(file).part("unet"))
    except BrokenFile as error:
        assert "a.safetensors" in str(error)
    else:
        assert found == len(read_header(files["sd1"]).part("unet")) - 1


def test_numbers_of_blocks_that_nobody_has_cost_nothing(tmp_path: Path) -> None:
    keys = (
        "input_blocks.0.0",
        "out.2",
        "input_blocks.999999999.0.in_layers.2",
        "input_blocks.4000.1.transformer_blocks.9999",
    )
    file = tmp_path / "a.safetensors"
    save_file({f"model.diffusion_model.{key}.weight": torch.zeros(4, 4, 3, 3) for key in keys}, file)
    assert len(read_header(file).entries) == len(keys)


def test_the_starter_in_one_file_has_the_same_weights_and_says_the_same(tmp_path: Path) -> None:
    folder = read_header(ROOT / "models" / "Stable-diffusion" / "starter")
    single = read_header(write_back(folder, tmp_path / "starter.safetensors"))
    same(weights(single, "unet"), weights(folder, "unet"))
    same(weights(single, "vae"), weights(folder, "vae"))
    same(weights(single, "text_encoder"), without_prefix(weights(folder, "text_encoder")))
    for part in ("unet", "vae", "text_encoder", "scheduler", "easel"):
        told, meant = single.configs[part], folder.configs[part]
        ignored = {
            "architectures",
            "dtype",
            "_class_name",
            "skip_prk_steps",
            "steps_offset",
            "set_alpha_to_one",
            "clip_sample",
        }
        for name, value in meant.items():
            if value is not None and name not in ignored:
                assert _spread(told[name]) == _spread(value), (part, name)


def _spread(value: Any) -> Any:
    return value[0] if isinstance(value, list) and value and all(each == value[0] for each in value) else value


def test_an_sd_2_folder_in_one_file_keeps_all_its_layers(tmp_path: Path, files: Mapping[str, Path]) -> None:
    """A folder holds the layers that are read; the file must not lose another one."""
    whole = read_header(files["sd2"])
    parts = ("unet.", "vae.", "text_encoder.")
    folder = replace(whole, entries={key: entry for key, entry in whole.entries.items() if key.startswith(parts)})
    header = read_header(write_back(folder, tmp_path / "a.safetensors"))
    same(weights(header, "text_encoder"), weights(whole, "text_encoder"))
    assert header.configs["text_encoder"]["num_hidden_layers"] == 2
    assert read_header(write_back(header, tmp_path / "b.safetensors")).entries.keys() == header.entries.keys()


def test_names_of_modules(files: Mapping[str, Path]) -> None:
    names = unet_names(read_header(files["sd1"]).configs["unet"])
    assert names["down_blocks.0.resnets.0.conv1"] == "input_blocks.1.0.in_layers.2"
    assert names["up_blocks.3.attentions.2.transformer_blocks.0.attn2.to_out.0"] == (
        "output_blocks.11.1.transformer_blocks.0.attn2.to_out.0"
    )
    assert names["up_blocks.0.upsamplers.0.conv"] == "output_blocks.2.1.conv"
    assert names["up_blocks.1.upsamplers.0.conv"] == "output_blocks.5.2.conv"
    assert names["mid_block.resnets.1.norm2"] == "middle_block.2.out_layers.0"
    for kind in ("sd1", "sd2", "sdxl", "refiner"):
        header = read_header(files[kind])
        modules = {key.rpartition(".")[0] for key in header.part("unet")}
        named = unet_names(header.configs["unet"])
        assert modules <= named.keys()
        assert all(name.endswith(".conv_shortcut") or "add_embedding" in name for name in named.keys() - modules)
        stored = {key.removeprefix("model.diffusion_model.") for key in load_file(files[kind])}
        assert all(f"{named[module]}.weight" in stored for module in modules)
    header = read_header(files["sdxl"])
    names = text_names("text_encoder_2", header.configs["text_encoder_2"])
    assert names.keys() == {key.rpartition(".")[0] for key in header.part("text_encoder_2")}
    assert names["text_model.encoder.layers.0.mlp.fc1"] == "transformer.resblocks.0.mlp.c_fc"
    assert names["text_model.encoder.layers.0.self_attn.v_proj"] == "transformer.resblocks.0.attn.in_proj"
    assert "text_projection" not in text_names("text_encoder", read_header(files["sd2"]).configs["text_encoder"])


def test_easels_own_metadata_is_text_others_can_read(files: Mapping[str, Path]) -> None:
    assert json.loads(stating(read_header(files["sd2-v"]))["easel"])["configs"]["scheduler"] == {
        "prediction_type": "v_prediction",
        "beta_start": 0.00085,
        "beta_end": 0.012,
    }


@given(st.integers(0, 2**32))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_keys_and_shapes_of_any_kind_are_a_header_or_an_error(files: Mapping[str, Path], seed: int) -> None:
    """Whatever is missing from a checkpoint, or has another shape, is an error of the file and not of Easel."""
    chance = random.Random(seed)
    entries = dict(read_safetensors(files[chance.choice(["sd1", "sd2", "sdxl", "refiner"])]))
    for key in chance.sample(sorted(entries), chance.choice([1, 5, 50, 400])):
        if chance.random() < 0.5:
            del entries[key]
        else:
            entries[key] = replace(entries[key], shape=tuple(chance.choices(range(9), k=chance.randrange(6))))
    try:
        header = standard(Header(Path("odd.safetensors"), entries))
        assert list(original(header))
    except BrokenFile as error:
        assert str(error)
