"""What is shipped, and that others can load what is written."""

import json
import random
from pathlib import Path

import pytest
import torch
from diffusers import StableDiffusionPipeline

from modules.starter import autoencoder, text, unet
from modules.starter.export import export, latent_rgb
from modules.starter.scenes import draw, draw_scene
from modules.starter.train import FOLDER


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    written = tmp_path_factory.mktemp("models") / "starter"
    for _ in range(2):  # the second writes over the first
        export(written, unet.build(), text.build(), autoencoder.build(), 0.7, ([[0.1, 0.2, 0.3]] * 4, [0.0, 0.0, 0.0]))
    return written


def test_diffusers_loads_what_is_written(folder: Path) -> None:
    pipeline = StableDiffusionPipeline.from_pretrained(folder, local_files_only=True)
    assert pipeline.vae.config.scaling_factor == 0.7
    assert pipeline.vae_scale_factor == 8
    assert pipeline.tokenizer.model_max_length == 77
    pipeline.set_progress_bar_config(disable=True)
    picture = pipeline("a red circle", num_inference_steps=1, height=64, width=64).images[0]
    assert picture.size == (64, 64)


def test_the_written_tokenizer_is_the_trained_one(folder: Path) -> None:
    pipeline = StableDiffusionPipeline.from_pretrained(folder, local_files_only=True)
    prompts = ["a red circle on a blue background", "An ORANGE star, sketch", ""]
    assert torch.equal(text.tokens(pipeline.tokenizer, prompts), text.tokens(text.tokenizer(), prompts))


def test_nothing_else_is_left_behind(folder: Path) -> None:
    assert [path.name for path in folder.parent.iterdir()] == ["starter"]


def test_the_preview_map_fits() -> None:
    rng = random.Random(0)
    scenes = tuple(draw_scene(rng) for _ in range(4))
    pictures = autoencoder.pixels(draw(scene) for scene in scenes)
    small = torch.nn.functional.avg_pool2d(pictures.float() / 127.5 - 1, 8)
    mean = torch.cat([small, torch.zeros_like(small[:, :1])], 1) + 0.001 * torch.randn(4, 4, 16, 16)
    rows, bias = latent_rgb(unet.Cache(scenes, mean, torch.zeros_like(mean), 1.0), pictures)
    assert torch.tensor(rows)[:3].sub(torch.eye(3)).abs().max() < 0.05
    assert max(map(abs, bias)) < 0.05


def test_the_shipped_model_is_complete_and_small() -> None:
    files = [path for path in FOLDER.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) <= 30_000_000
    assert not {path.suffix for path in files} & {".bin", ".pt", ".ckpt"}
    about = json.loads((FOLDER / "easel.json").read_text(encoding="utf-8"))
    assert about["native_size"] == 128
    assert len(about["latent_rgb"]) == 4
    assert {len(row) for row in about["latent_rgb"]} == {len(about["latent_rgb_bias"])} == {3}
    assert (FOLDER / "samples.png").stat().st_size < 1_000_000
