"""BLIP from a folder: what transformers itself says of a picture, and nothing that is not there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from transformers import BlipForConditionalGeneration, BlipProcessor

from modules.captioners.blip import LONGEST, SHORTEST, captioners
from modules.captioners.captioner import Captioner
from modules.engine.captions import Captions
from modules.errors import BrokenFile, ModelError, OutOfMemory, UnknownModel
from modules.model_manager.caption_files import CaptionFiles
from modules.settings import Settings
from tests.fake_captioners import parrot, put_blip
from tests.fake_upscalers import scene
from tests.fakes import RecordingReport

CPU = torch.device("cpu")


def files(folder: Path, *others: Captioner) -> CaptionFiles:
    return CaptionFiles(Settings(data_dir=folder), {each.name: each for each in [*captioners(), *others]})


def test_it_says_what_transformers_says(tmp_path: Path) -> None:
    folder = put_blip(tmp_path)
    captions = Captions(files(tmp_path), CPU, lambda: False)
    report = RecordingReport()
    said = captions.say("BLIP/tiny", scene(mode="RGBA"), report)
    processor: Any = BlipProcessor.from_pretrained(folder)
    model: Any = BlipForConditionalGeneration.from_pretrained(folder)
    model.eval()
    inputs = processor(images=scene(mode="RGBA").convert("RGB"), return_tensors="pt")
    tokens = model.generate(**inputs, do_sample=False, min_length=SHORTEST, max_length=LONGEST)[0]
    assert said == " ".join(processor.decode(tokens, skip_special_tokens=True).split())
    assert len(said.split()) >= 10, "random words, but words"
    assert captions.say("", scene(), report) and report.kinds() == ["loading"], "it is loaded once"


def test_another_picture_or_model_may_be_described_otherwise(tmp_path: Path) -> None:
    for seed in range(4):
        put_blip(tmp_path, f"m{seed}", seed)
    captions = Captions(files(tmp_path), CPU, lambda: False)
    assert files(tmp_path).names() == ["BLIP/m0", "BLIP/m1", "BLIP/m2", "BLIP/m3"]
    said = {captions.say(f"BLIP/m{seed}", scene(), RecordingReport()) for seed in range(4)}
    assert len(said) > 1


def refusal(folder: Path, name: str = "BLIP/tiny") -> ModelError:
    with pytest.raises(ModelError) as refused:
        Captions(files(folder), CPU, lambda: False).say(name, scene(), RecordingReport())
    return refused.value


def test_what_is_not_there_says_what_to_put_where(tmp_path: Path) -> None:
    none = refusal(tmp_path, "")
    assert isinstance(none, UnknownModel) and str(tmp_path / "models" / "BLIP") in str(none)
    put_blip(tmp_path)
    other = refusal(tmp_path, "../../etc")
    assert isinstance(other, UnknownModel) and "BLIP/tiny" in str(other)


def test_weights_are_read_from_safetensors_alone(tmp_path: Path) -> None:
    folder = put_blip(tmp_path)
    state = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    torch.save(state, folder / "pytorch_model.bin")
    lacking = refusal(tmp_path)
    assert isinstance(lacking, BrokenFile) and "model.safetensors" in str(lacking) and str(folder) in str(lacking)


def test_a_damaged_or_foreign_folder_is_refused_with_a_reason(tmp_path: Path) -> None:
    folder = put_blip(tmp_path)
    (folder / "model.safetensors").write_bytes(b"\x08\0\0\0\0\0\0\0nonsense")
    assert refusal(tmp_path).key == "caption_broken"
    (folder / "config.json").write_text(json.dumps({"model_type": "bert"}))
    assert files(tmp_path).names() == []


def test_a_folder_elsewhere_is_not_followed(tmp_path: Path) -> None:
    real = put_blip(tmp_path / "elsewhere")
    home = tmp_path / "data" / "models" / "BLIP"
    home.mkdir(parents=True)
    (home / "link").symlink_to(real, target_is_directory=True)
    assert files(tmp_path / "data").names() == []


def test_a_captioner_may_need_no_model(tmp_path: Path) -> None:
    found = files(tmp_path, parrot())
    assert found.names() == ["Parrot"]
    captions = Captions(found, CPU, lambda: False)
    assert captions.say("Parrot", scene(), RecordingReport()) == "a picture of 90 by 61", "on one line"


def test_without_room_other_weights_go_first(tmp_path: Path) -> None:
    asked: list[int] = []

    def load(path: Path, device: torch.device) -> object:
        def say(image: Image.Image) -> str:
            if len(asked) < 2:
                raise MemoryError
            return "fine"

        return say

    def room(most: int) -> bool:
        asked.append(1)
        return len(asked) <= most

    greedy = files(tmp_path, Captioner("Greedy", load))  # type: ignore[arg-type]
    assert Captions(greedy, CPU, lambda: room(9)).say("Greedy", scene(), RecordingReport()) == "fine"
    asked.clear()
    with pytest.raises(OutOfMemory):
        Captions(greedy, CPU, lambda: room(0)).say("Greedy", scene(), RecordingReport())


def test_weights_of_another_shape_are_refused(tmp_path: Path) -> None:
    folder = put_blip(tmp_path)
    state = load_file(folder / "model.safetensors")
    name = next(key for key in state if key.endswith("dense.weight"))
    state[name] = state[name][:3].contiguous()
    save_file(state, folder / "model.safetensors", {"format": "pt"})
    assert refusal(tmp_path, "").key == "caption_broken"
