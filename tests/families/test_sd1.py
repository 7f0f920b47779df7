from __future__ import annotations

import json
import socket
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers.models.attention_processor import AttnProcessor2_0
from safetensors.torch import load_file, save_file

from modules.errors import BrokenFile
from modules.families.family import Conditioning, Family
from modules.families.sd1 import Sd1, families
from modules.families.unet.attention import SlicedAttention
from modules.families.unet.model import UnetModel
from modules.model_manager.header import read_header
from modules.prompts.chunks import chunks
from modules.prompts.syntax import attention
from modules.sampling.prediction import Eps, V
from tests.fake_models import DEEP_UNET, SCHEDULER, UNET, VAE, make_sd1

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_sd1(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="module")
def deep(tmp_path_factory: pytest.TempPathFactory) -> UnetModel:
    return load(make_sd1(tmp_path_factory.mktemp("models") / "deep", unet=DEEP_UNET))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A tiny model of the test's own, to break."""
    return make_sd1(tmp_path / "tiny")


def load(folder: Path, dtype: torch.dtype = torch.float32) -> UnetModel:
    model = Sd1().load(read_header(folder), CPU, dtype)
    assert isinstance(model, UnetModel)
    return model


def words(model: UnetModel, *texts: str) -> Conditioning:
    return model.encode([chunks(attention(text), model.tokenizer) for text in texts])


def rewrite(file: Path, change: Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]]) -> None:
    """Write the tensors of a safetensors file anew, as `change` returns them."""
    save_file(change({key: value.clone() for key, value in load_file(file).items()}), file)


def test_it_is_offered_as_a_family() -> None:
    (family,) = families()
    assert isinstance(family, Family)
    assert (family.name, family.latent.channels, family.latent.factor) == ("sd1", 4, 8)


def test_it_detects_its_own_folder_by_keys_and_shapes_alone(tiny: Path) -> None:
    header = read_header(tiny)
    assert Sd1().detect(header)
    without_conv_in = {key: entry for key, entry in header.entries.items() if key != "unet.conv_in.weight"}
    for entries in ({}, without_conv_in):
        assert not Sd1().detect(replace(header, entries=entries))
    assert Sd1().detect(replace(header, configs={}, metadata={}))


def test_sd2_with_its_linear_projections_is_not_sd1(tmp_path: Path) -> None:
    folder = make_sd1(tmp_path / "two")
    rewrite(
        folder / "unet" / "diffusion_pytorch_model.safetensors",
        lambda tensors: {
            key: value.flatten(1) if key.endswith("proj_in.weight") else value for key, value in tensors.items()
        },
    )
    assert not Sd1().detect(read_header(folder))


def test_encode_predict_and_decode_have_their_shapes(tiny: Path) -> None:
    model = load(tiny)
    with torch.inference_mode():
        said = words(model, "a red circle", "")
        assert said.context.shape == (2, 77, 16)
        x = torch.randn(2, 4, 8, 8)
        clean = model.predict(x, 3.0, said)
        assert (clean.shape, clean.dtype) == (x.shape, torch.float32)
        pictures = model.decode(clean)
        assert (pictures.shape, pictures.dtype) == ((2, 3, 64, 64), torch.float32)


@pytest.mark.parametrize("size", [(9, 17), (8, 13), (1, 1), (25, 8)])
def test_any_latent_size_works(deep: UnetModel, size: tuple[int, int]) -> None:
    model = deep
    with torch.inference_mode():
        x = torch.randn(1, 4, *size)
        assert model.predict(x, 3.0, words(model, "")).shape == x.shape
        assert model.decode(x).shape[2:] == (8 * size[0], 8 * size[1])


def test_weights_of_words_change_only_those_that_have_some(tiny: Path) -> None:
    model = load(tiny)
    with torch.inference_mode():
        plain, one, strong = words(model, "a red circle", "a (red:1) circle", "a (red:1.2) circle").context
    assert torch.equal(plain, one)
    assert not torch.equal(plain, strong)


def test_a_long_prompt_is_read_in_chunks(tiny: Path) -> None:
    model = load(tiny)
    with torch.inference_mode():
        long = words(model, "circle " * 100).context
        short = words(model, "circle " * 75).context
    assert long.shape == (1, 154, 16)
    assert torch.allclose(long[:, :77], short, atol=1e-5)


def test_loading_needs_no_network(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*_: object, **__: object) -> None:
        raise AssertionError("loading a model opened a socket")

    monkeypatch.setattr(socket, "socket", forbidden)
    monkeypatch.setattr(socket, "create_connection", forbidden)
    assert load(tiny)


def test_weights_are_what_the_files_hold(tiny: Path) -> None:
    model = load(tiny)
    stored = load_file(tiny / "unet" / "diffusion_pytorch_model.safetensors")
    loaded = model.unet.state_dict()
    assert stored.keys() == loaded.keys()
    assert all(torch.equal(stored[key].float(), loaded[key]) for key in stored)
    assert not any(parameter.is_meta or parameter.requires_grad for parameter in model.unet.parameters())
    assert not any(buffer.is_meta for buffer in model.parts["text_encoder"].buffers())


def test_weights_of_the_wanted_kind_stay_mapped_and_changing_them_leaves_the_file_alone(tmp_path: Path) -> None:
    folder = make_sd1(tmp_path / "bf16", dtype=torch.bfloat16)
    file = folder / "text_encoder" / "model.safetensors"
    before = file.read_bytes()
    model = load(folder, torch.bfloat16)
    for parameter in model.parts["text_encoder"].parameters():
        parameter.add_(1)
    assert file.read_bytes() == before


def test_older_files_are_read_with_their_names(folder: Path) -> None:
    expected = load(folder)
    rewrite(
        folder / "text_encoder" / "model.safetensors",
        lambda tensors: (
            {f"text_model.{key.removeprefix('text_model.')}": value for key, value in tensors.items()}
            | {"text_model.embeddings.position_ids": torch.arange(77)[None]}
        ),
    )
    with torch.inference_mode():
        assert torch.equal(words(load(folder), "red").context, words(expected, "red").context)


def test_attention_of_older_autoencoders_is_renamed(tmp_path: Path) -> None:
    folder = make_sd1(tmp_path / "old")
    names = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}

    def older(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        renamed = {}
        for key, value in tensors.items():
            for new, old in names.items():
                key = key.replace(f".attentions.0.{new}.", f".attentions.0.{old}.")
            renamed[key] = value
        assert renamed.keys() != tensors.keys()
        return renamed

    expected = load(folder).vae.state_dict()
    rewrite(folder / "vae" / "diffusion_pytorch_model.safetensors", older)
    assert all(torch.equal(value, expected[key]) for key, value in load(folder).vae.state_dict().items())


def test_missing_weights_are_named(folder: Path) -> None:
    rewrite(
        folder / "unet" / "diffusion_pytorch_model.safetensors",
        lambda tensors: {key: value for key, value in tensors.items() if key != "conv_out.weight"},
    )
    with pytest.raises(BrokenFile, match=r"1 of its weights are missing \(conv_out.weight\)"):
        load(folder)


def test_weights_without_a_place_are_named(folder: Path) -> None:
    rewrite(
        folder / "vae" / "diffusion_pytorch_model.safetensors",
        lambda tensors: tensors | {"encoder.fifth_wheel": torch.zeros(1)},
    )
    with pytest.raises(BrokenFile, match=r"encoder\.fifth_wheel"):
        load(folder)


def test_weights_of_another_shape_are_named(folder: Path) -> None:
    config = folder / "vae" / "config.json"
    config.write_text(json.dumps({**VAE, "block_out_channels": [8, 8, 8, 16]}))
    with pytest.raises(BrokenFile, match=r"shape|missing"):
        load(folder)


@pytest.mark.parametrize("change", [{"block_out_channels": "wide"}, {"down_block_types": ["Nonsense"]}])
def test_a_config_that_makes_no_sense_is_an_error_of_the_file(folder: Path, change: dict[str, Any]) -> None:
    (folder / "unet" / "config.json").write_text(json.dumps({**UNET, **change}))
    with pytest.raises(BrokenFile, match="unet"):
        load(folder)


def test_a_missing_part_is_named(folder: Path) -> None:
    (folder / "vae" / "config.json").unlink()
    with pytest.raises(BrokenFile, match=r"no VAE.*models/VAE"):
        load(folder)


def test_prediction_and_betas_come_from_the_scheduler(tmp_path: Path) -> None:
    model = load(make_sd1(tmp_path / "eps"))
    assert isinstance(model.prediction, Eps)
    assert model.prediction.sigma_max == pytest.approx(14.614642, rel=1e-5)
    shifted = {**SCHEDULER, "prediction_type": "v_prediction", "beta_schedule": "linear", "beta_end": 0.02}
    other = load(make_sd1(tmp_path / "v", scheduler=shifted))
    assert isinstance(other.prediction, V)
    assert other.prediction.sigma_max > 15


@pytest.mark.parametrize(
    "scheduler", [{"beta_schedule": "cosine"}, {"prediction_type": "sample"}, {"num_train_timesteps": 0}]
)
def test_an_unknown_prediction_is_refused(tmp_path: Path, scheduler: dict[str, Any]) -> None:
    with pytest.raises(BrokenFile):
        load(make_sd1(tmp_path / "odd", scheduler={**SCHEDULER, **scheduler}))


def test_the_folder_says_its_size_and_colours(tmp_path: Path) -> None:
    colours = {
        "native_size": 128,
        "latent_rgb": [[1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 0, 0]],
        "latent_rgb_bias": [0.1, 0, 0],
    }
    model = load(make_sd1(tmp_path / "own", easel=colours))
    assert model.native_size == 128
    assert model.latent.rgb[0] == (1.0, 0.0, 0.0)
    assert model.latent.bias == (0.1, 0.0, 0.0)
    assert model.latent.scale == VAE["scaling_factor"]
    plain = load(make_sd1(tmp_path / "plain", easel=None))
    assert plain.native_size == 8 * UNET["sample_size"]  # type: ignore[operator]
    assert plain.latent.rgb == Sd1.latent.rgb


def test_sliced_attention_says_what_torchs_own_says(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("modules.families.unet.attention.SLICE", 1000)  # many slices, even on a tiny picture
    model = load(tiny)
    with torch.inference_mode():
        x, said = torch.randn(2, 4, 24, 24), words(model, "a", "b")
        model.unet.set_attn_processor(AttnProcessor2_0())
        model.vae.set_attn_processor(AttnProcessor2_0())
        expected, picture = model.predict(x, 3.0, said), model.decode(x)
        model.unet.set_attn_processor(SlicedAttention())
        model.vae.set_attn_processor(SlicedAttention())
        assert torch.allclose(model.predict(x, 3.0, said), expected, atol=1e-4)
        assert torch.allclose(model.decode(x), picture, atol=1e-4)


def test_bf16_says_about_the_same(tiny: Path) -> None:
    full, half = load(tiny), load(tiny, torch.bfloat16)
    x = torch.randn(1, 4, 8, 8)
    with torch.inference_mode():
        expected = full.predict(x, 3.0, words(full, "red"))
        said = half.predict(x, 3.0, words(half, "red"))
    assert said.dtype == torch.float32
    assert float((said - expected).abs().max()) < 0.1 * float(expected.abs().max())
