"""Conversions: the same weights, bit for bit, in a form that other programs load."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from safetensors.torch import load_file
from torch import Tensor
from transformers import CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

from modules.model_manager.catalog import Catalog
from modules.model_manager.convert import convert
from modules.model_manager.file_tasks import settled_file_task
from modules.settings import Settings
from modules.tasks import Convert, make_file_task
from tests.fake_checkpoints import write_single
from tests.fake_models import DEEP_UNET, checkpoints, make_sd1
from tests.model_manager.test_merge import no_news


def made(root: Path, **values: Any) -> Path:
    """Convert a checkpoint of the data folder `root` as the worker does."""
    catalog = Catalog(Settings(data_dir=root))
    task = settled_file_task(make_file_task(Convert, values), catalog)
    assert isinstance(task, Convert)
    return convert(task, catalog, no_news)


def weights(path: Path) -> dict[str, Tensor]:
    """Return the weights of a file, without tables of numbers and the leftovers of a training."""
    return {
        key: value
        for key, value in load_file(path).items()
        if value.is_floating_point() and not key.startswith("model_ema.")
    }


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return set(one) == set(other) and all(torch.equal(value, other[key]) for key, value in one.items())


@pytest.mark.parametrize("kind", ["sd1", "sd2", "sdxl", "sd1-inpaint"])
def test_there_and_back_is_the_same_file(tmp_path: Path, kind: str) -> None:
    first = write_single(checkpoints(tmp_path) / "a.safetensors", kind)
    folder = made(tmp_path, model="a", form="diffusers", name="folder")
    assert (folder / "model_index.json").is_file()
    again = made(tmp_path, model="folder", name="again")
    before = weights(first)
    kept = {key: value for key, value in weights(again).items() if key in before}
    # A folder has no place for what nothing reads: SD 2's last layer, a scale of training, tables of noise.
    unread = ("logit_scale", "text_projection")
    lost = {key for key in set(before) - set(kept) if "." in key and not key.endswith(unread)}
    assert lost <= {key for key in before if ".resblocks." in key}
    assert all(torch.equal(value, before[key]) for key, value in kept.items())
    assert {file.family for file in Catalog(Settings(data_dir=tmp_path)).checkpoints()} == {kind.split("-")[0]}


def test_diffusers_loads_the_folder(tmp_path: Path) -> None:
    write_single(checkpoints(tmp_path) / "a.safetensors", "sdxl")
    folder = made(tmp_path, model="a", form="diffusers", name="folder")
    parts = {
        "unet": UNet2DConditionModel,
        "vae": AutoencoderKL,
        "text_encoder": CLIPTextModel,
        "text_encoder_2": CLIPTextModelWithProjection,
    }
    for name, kind in parts.items():
        module = kind.from_pretrained(folder / name, local_files_only=True)
        assert any(parameter.abs().sum() > 0 for parameter in module.parameters())
    for name in ("tokenizer", "tokenizer_2"):
        tokenizer = CLIPTokenizer.from_pretrained(folder / name)
        assert tokenizer("a red circle").input_ids[1:-1] == [320, 736, 7117]
    assert CLIPTokenizer.from_pretrained(folder / "tokenizer_2").pad_token == "!"


def test_half_the_size(tmp_path: Path) -> None:
    write_single(checkpoints(tmp_path) / "a.safetensors", "sd1", dtype=torch.float32)
    half = load_file(made(tmp_path, model="a", name="half", half=True))
    assert {value.dtype for value in half.values() if value.is_floating_point()} == {torch.float16}


def test_a_folder_becomes_one_file_with_what_only_the_folder_said(tmp_path: Path) -> None:
    make_sd1(checkpoints(tmp_path) / "tiny", unet=DEEP_UNET)
    made(tmp_path, model="tiny", name="one")
    catalog = Catalog(Settings(data_dir=tmp_path))
    assert catalog.find("one").native_size == catalog.find("tiny").native_size == 64
