"""A full-size Stable Diffusion 1.5 with random weights: what it takes does not depend on what the weights say."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from modules.settings import ROOT
from tests.fake_models import INDEX, SCHEDULER, checkpoints, write_folder, write_json

NAME = "full-size"
STARTER = ROOT / "models" / "Stable-diffusion" / "starter"

UNET = {
    "_class_name": "UNet2DConditionModel",
    "sample_size": 64,
    "in_channels": 4,
    "out_channels": 4,
    "block_out_channels": [320, 640, 1280, 1280],
    "layers_per_block": 2,
    "cross_attention_dim": 768,
    "attention_head_dim": 8,
    "down_block_types": ["CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"],
    "up_block_types": ["UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"],
}
VAE = {
    "_class_name": "AutoencoderKL",
    "block_out_channels": [128, 256, 512, 512],
    "layers_per_block": 2,
    "latent_channels": 4,
    "sample_size": 512,
    "down_block_types": ["DownEncoderBlock2D"] * 4,
    "up_block_types": ["UpDecoderBlock2D"] * 4,
    "scaling_factor": 0.18215,
}
TEXT = {
    "architectures": ["CLIPTextModel"],
    "model_type": "clip_text_model",
    "vocab_size": 49408,
    "hidden_size": 768,
    "intermediate_size": 3072,
    "projection_dim": 768,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "max_position_embeddings": 77,
    "hidden_act": "quick_gelu",
    "bos_token_id": 49406,
    "eos_token_id": 49407,
    "pad_token_id": 49407,
}


@contextmanager
def full_size() -> Iterator[Path]:
    """Make a data folder with the model in a temporary place; 2.1 GB, gone afterwards.

    Its scheduler is Euler's, so that diffusers' pipeline calls the network as often as ours: once a step.
    """
    with tempfile.TemporaryDirectory(prefix="easel-benchmark-") as place:
        folder = checkpoints(Path(place)) / NAME
        euler = {
            **SCHEDULER,
            "_class_name": "EulerDiscreteScheduler",
            "timestep_spacing": "linspace",
            "steps_offset": 1,
        }
        write_folder(folder, UNET, VAE, TEXT, scheduler=euler, easel=None)
        write_json(folder / "model_index.json", {**INDEX, "scheduler": ["diffusers", "EulerDiscreteScheduler"]})
        shutil.copytree(STARTER / "tokenizer", folder / "tokenizer")
        yield Path(place)
