from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from modules.errors import BrokenFile, WrongFamily
from modules.families.family import Conditioning
from modules.families.unet.model import UnetModel
from modules.prompts.chunks import Chunk
from tests.fake_checkpoints import write_single
from tests.fake_models import SDXL_UNET, UNET, VAE, make_sd1, make_sdxl, write_folder
from tests.families.loading import cut, load, words


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_sd1(tmp_path_factory.mktemp("models") / "one")


@pytest.fixture(scope="module")
def model(folder: Path) -> UnetModel:
    return load(folder, "sd1")


@pytest.fixture(scope="module")
def paints(tmp_path_factory: pytest.TempPathFactory) -> UnetModel:
    """A checkpoint made for inpainting."""
    return load(make_sd1(tmp_path_factory.mktemp("models") / "paints", unet={**UNET, "in_channels": 9}), "sd1")


def read(model: UnetModel, x: Tensor, conditioning: Conditioning) -> tuple[Tensor, Tensor]:
    """Return what the network reads for `x`, and what the model guesses."""
    seen: list[Tensor] = []
    handle = model.unet.register_forward_pre_hook(lambda module, given: seen.append(given[0]))
    with torch.inference_mode():
        guess = model.predict(x, 3.0, conditioning)
    handle.remove()
    return seen[0], guess


def test_a_network_for_inpainting_reads_that_all_is_to_be_painted(paints: UnetModel) -> None:
    x = torch.randn(2, 4, 8, 16)
    inputs, guess = read(paints, x, words(paints, "red", "blue"))
    assert guess.shape == x.shape
    assert torch.allclose(inputs[:, :4], paints.prediction.scale(x, 3.0))
    assert (inputs[:, 4] == 1).all()
    grey = paints.encode_pictures(torch.zeros(1, 3, 64, 128))
    assert grey.any()
    assert torch.allclose(inputs[:, 5:], grey.expand(2, -1, -1, -1), atol=1e-6)


def test_the_grey_of_one_size_is_worked_out_once(paints: UnetModel) -> None:
    asked: list[object] = []
    handle = paints.vae.encoder.register_forward_hook(lambda *_: asked.append(1))
    said = words(paints, "red")
    for side in (16, 16, 24, 24):
        read(paints, torch.randn(1, 4, side, side), said)
    handle.remove()
    assert len(asked) == 2
    assert replace(paints)._greys == {}, "with other weights it is worked out again"


def test_what_lies_beside_the_latents_can_be_given(paints: UnetModel) -> None:
    beside = torch.randn(1, 5, 8, 8)
    said = words(paints, "red")
    inputs, _ = read(paints, torch.randn(1, 4, 8, 8), replace(said, extra={"beside": beside}))
    assert torch.equal(inputs[:, 4:], beside)


def test_a_network_that_follows_instructions_reads_zeros_where_there_is_no_picture(tmp_path: Path) -> None:
    model = load(make_sd1(tmp_path / "pix", unet={**UNET, "in_channels": 8}), "sd1")
    inputs, guess = read(model, torch.randn(1, 4, 8, 8), words(model, "red"))
    assert inputs.shape[1] == 8
    assert not inputs[:, 4:].any()
    assert guess.shape == (1, 4, 8, 8)


def test_pictures_become_latents_the_same_ones_each_time(model: UnetModel) -> None:
    pixels = torch.rand(2, 3, 64, 72) * 2 - 1
    with torch.inference_mode():
        latents = model.encode_pictures(pixels)
        assert (latents.shape, latents.dtype) == ((2, 4, 8, 9), torch.float32)
        assert torch.equal(model.encode_pictures(pixels), latents)
        mean = model.vae.encode(pixels).latent_dist.mean
    assert torch.allclose(latents, mean * model.latent.scale, atol=1e-5)


def test_a_latent_consistency_model_is_told_its_guidance(tmp_path: Path) -> None:
    model = load(make_sd1(tmp_path / "lcm", unet={**UNET, "time_cond_proj_dim": 16}))
    seen: list[Tensor] = []
    handle = model.unet.time_embedding.cond_proj.register_forward_pre_hook(lambda module, given: seen.append(given[0]))
    read(model, torch.randn(2, 4, 8, 8), words(model, "red", "blue"))
    handle.remove()
    angles = 7500 * 10_000 ** (-torch.arange(8) / 7)
    assert torch.allclose(seen[0], torch.cat([angles.sin(), angles.cos()])[None], atol=1e-2)


def test_learned_vectors_stand_where_a_chunk_names_them(model: UnetModel) -> None:
    """Learned as the very vectors of other words, they are read as these words are."""
    expected = words(model, "a red circle").context
    (chunk,) = cut(model, "a red circle")
    ids = list(chunk.ids)
    red, circle = ids[2:4]
    ids[2:4] = 0, 0
    named = Chunk(tuple(ids), chunk.weights, ((2, "thing", 0), (3, "thing", 1)))
    table: Tensor = model.parts["text_encoder"].get_input_embeddings().weight  # type: ignore[operator]
    learned = {"thing": {"text_encoder": table[[red, circle]].clone()}}
    with torch.inference_mode():
        assert torch.equal(model.encode([[named]], learned=learned).context, expected)
        assert not torch.equal(model.encode([[named]]).context, expected), "without them they are nothing known"
        assert torch.equal(words(model, "a red circle").context, expected), "nothing is left behind"


def test_each_encoder_has_learned_vectors_of_its_own(tmp_path: Path) -> None:
    model = load(make_sdxl(tmp_path / "xl"), "sdxl")
    (chunk,) = cut(model, "a red circle")
    named = Chunk(chunk.ids, chunk.weights, ((2, "thing", 0),))
    with torch.inference_mode():
        plain = model.encode([[chunk]]).context
        said = model.encode([[named]], learned={"thing": {"text_encoder_2": torch.ones(1, 24)}}).context
    assert torch.equal(said[..., :16], plain[..., :16])
    assert not torch.equal(said[..., 16:], plain[..., 16:])


@pytest.mark.parametrize("skip", [2, 12])
def test_clip_skip_reads_an_earlier_layer_with_the_final_norm(model: UnetModel, skip: int) -> None:
    encoder = model.encoders[0]
    ids = torch.tensor([cut(model, "red")[0].ids])
    with torch.inference_mode():
        states = encoder.module(input_ids=ids, output_hidden_states=True).hidden_states
        expected = encoder.core.final_layer_norm(states[-2])  # it has two layers: no more than that can be skipped
    said = words(model, "red", clip_skip=skip).context
    assert torch.equal(said, expected)
    assert not torch.equal(said, words(model, "red").context)


def test_a_checkpoint_without_a_vae_says_where_to_put_one_and_takes_one_that_is_chosen(
    tmp_path: Path, folder: Path
) -> None:
    bare = write_single(tmp_path / "bare.safetensors", "sd1", vae=False)
    with pytest.raises(BrokenFile, match=r"bare\.safetensors has no VAE.*vae-ft-mse.*models/VAE"):
        load(bare)
    model = load(bare, vae=folder)
    own = load(folder)
    assert model.latent.scale == own.latent.scale == VAE["scaling_factor"]
    latents = torch.randn(1, 4, 8, 8)
    with torch.inference_mode():
        assert torch.equal(model.decode(latents), own.decode(latents))


def test_a_checkpoint_without_a_text_encoder_says_so(tmp_path: Path) -> None:
    with pytest.raises(BrokenFile, match=r"bare\.safetensors has no text encoder"):
        load(write_single(tmp_path / "bare.safetensors", "sd1", text=False))


def test_a_vae_of_other_latents_is_refused(tmp_path: Path, folder: Path) -> None:
    wide = {**VAE, "latent_channels": 16}
    other = write_folder(tmp_path / "other", UNET, wide, None)
    with pytest.raises(WrongFamily, match=r"other.*16 channels"):
        load(folder, vae=other)
    coarse = {**VAE, "block_out_channels": [8, 8, 8], "down_block_types": ["DownEncoderBlock2D"] * 3}
    coarse["up_block_types"] = ["UpDecoderBlock2D"] * 3
    with pytest.raises(WrongFamily, match="1/4"):
        load(folder, vae=write_folder(tmp_path / "coarse", UNET, coarse, None))


def test_a_folder_without_its_network_is_not_loaded(tmp_path: Path) -> None:
    folder = make_sdxl(tmp_path / "xl", unet=SDXL_UNET)
    shutil.rmtree(folder / "unet")
    with pytest.raises(WrongFamily, match="xl"):
        load(folder)
