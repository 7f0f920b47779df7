"""Taggers from folders: what timm itself is sure of, the meaning of their tables, and nothing that is not there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor

from modules.captioners.wd14 import captioners
from modules.engine.captions import Captions
from modules.errors import BrokenFile, ModelError
from modules.model_manager.caption_files import CaptionFiles
from modules.settings import Settings
from tests import fake_onnx
from tests.fake_captioners import TAGS, put_tagger, put_tags
from tests.fake_upscalers import scene
from tests.fakes import RecordingReport

CPU = torch.device("cpu")


def said(data: Path, image: Image.Image, name: str = "", **options: Any) -> str:
    settings = Settings(data_dir=data, **options)
    captions = Captions(CaptionFiles(settings, {each.name: each for each in captioners()}), CPU, lambda: False)
    captions.tell(settings)
    return captions.say(name, image, RecordingReport())


def refusal(data: Path) -> ModelError:
    with pytest.raises(ModelError) as refused:
        said(data, scene())
    return refused.value


def test_it_tells_what_it_is_sure_of_but_no_ratings(tmp_path: Path) -> None:
    put_tagger(tmp_path)
    assert said(tmp_path, scene(), "WD14/tiny") == r"^_^, long hair, red, saber \(fate\)"
    few: dict[str, Any] = {
        "interrogate_deepbooru_score_threshold": 0.7,
        "deepbooru_escape": False,
        "deepbooru_sort_alpha": False,
    }
    assert said(tmp_path, scene(), **few) == "long hair, saber (fate)"
    assert said(tmp_path, scene(), deepbooru_filter_tags="red, ^_^", deepbooru_use_spaces=False) == (
        r"long_hair, saber_\(fate\)"
    )


def test_it_sees_the_whole_picture_on_white_as_it_has_learnt_to(tmp_path: Path) -> None:
    folder = put_tagger(tmp_path, sure=None)
    settings = json.loads((folder / "config.json").read_text())["model_args"]
    make: Any = timm.create_model
    network = make("vit_base_patch16_224", num_classes=len(TAGS), **settings).eval()
    network.load_state_dict(load_file(folder / "model.safetensors"))
    image = scene(64, 32, mode="RGBA")
    square = Image.new("RGBA", (64, 64), "white")
    square.alpha_composite(image, (0, 16))
    small = np.asarray(square.convert("RGB").resize((32, 32), Image.Resampling.BICUBIC), np.float32)[:, :, ::-1]
    pixels = torch.from_numpy(small.copy()).permute(2, 0, 1)[None] / 127.5 - 1
    with torch.inference_mode():
        wanted: Tensor = network(pixels)[0].sigmoid()
    (captioner,) = captioners()
    found = captioner.load(folder, CPU)(image)
    assert isinstance(found, dict) and list(found) == list(TAGS[1:])
    assert np.allclose(list(found.values()), wanted[1:].tolist(), atol=1e-4)


def test_a_network_in_an_onnx_file_is_a_tagger_too(tmp_path: Path) -> None:
    folder = tmp_path / "models" / "WD14" / "second"
    put_tags(folder)
    fake_onnx.put_tagger(folder / "model.onnx", len(TAGS), red=2)
    assert said(tmp_path, Image.new("RGB", (40, 40), "red")) == "red"
    assert said(tmp_path, Image.new("RGB", (40, 40), "blue")) == ""
    assert said(tmp_path, Image.new("RGBA", (40, 40), (0, 0, 255, 0))) == "red", "white has red in it"
    assert said(tmp_path, Image.new("RGB", (40, 10), "blue")) == "red", "it is made square with white"


def test_what_is_not_whole_or_something_else_says_so(tmp_path: Path) -> None:
    folder = put_tagger(tmp_path)
    config = json.loads((folder / "config.json").read_text())
    for change in ({"architecture": "hf-hub:someone/else"}, {"architecture": "resnet18"}, {"model_args": {"depth": 2}}):
        (folder / "config.json").write_text(json.dumps(config | change))
        assert refusal(tmp_path).key == "caption_broken"
    (folder / "config.json").write_text("[]")
    assert refusal(tmp_path).key == "caption_broken"
    (folder / "config.json").write_text(json.dumps(config))
    table = (folder / "selected_tags.csv").read_text()
    (folder / "selected_tags.csv").write_text(table + "\n99,one_more,0,1")
    assert refusal(tmp_path).key == "caption_broken", "a tag without an answer"
    (folder / "selected_tags.csv").write_text("a,b\n1,2")
    assert refusal(tmp_path).key == "caption_broken"
    (folder / "selected_tags.csv").write_text(table)
    assert said(tmp_path, scene()), "it is whole again"
    (folder / "model.safetensors").unlink()
    lacking = refusal(tmp_path)
    assert isinstance(lacking, BrokenFile) and "model.safetensors / model.onnx" in str(lacking)
    (folder / "model.onnx").write_bytes(b"nothing")
    assert refusal(tmp_path).key == "not_onnx"


def test_what_timm_would_take_for_itself_is_not_taken_from_the_folder(tmp_path: Path) -> None:
    folder = put_tagger(tmp_path)
    config = json.loads((folder / "config.json").read_text())
    config["model_args"] |= {"checkpoint_path": str(tmp_path / "gone.pth"), "pretrained": True}
    (folder / "config.json").write_text(json.dumps(config))
    assert said(tmp_path, scene())
