"""Networks that tell the parts of a picture apart, from folders: colours of the palette alone, the same each time."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import UperNetForSemanticSegmentation

from modules.controls.hints.palettes import ade20k, coco
from modules.controls.preprocessor import Pixels, Preprocessor
from modules.errors import BrokenFile, UnknownModel
from modules.model_manager.annotators import Annotators
from modules.plugins import folder_modules, make_plugins
from tests.fake_segmenters import put_oneformer, put_upernet
from tests.fake_upscalers import scene

OFFERS = make_plugins("engine", folder_modules("modules.controls.preprocessors"), None).offered(
    "preprocessors", Preprocessor
)
PUT: dict[str, tuple[Callable[..., Path], int, Callable[[], Pixels]]] = {
    "seg_ofade20k": (put_oneformer, 150, ade20k),
    "seg_ofcoco": (put_oneformer, 133, coco),
    "seg_ufade20k": (put_upernet, 150, ade20k),
}


def place(folder: Path) -> Annotators:
    return Annotators(folder, torch.device("cpu"))


@pytest.mark.parametrize("name", PUT)
def test_each_pixel_has_a_colour_of_the_palette(name: str, tmp_path: Path) -> None:
    put, classes, palette = PUT[name]
    put(tmp_path / "whatever" / "it is called", classes)
    run = OFFERS[name].load(place(tmp_path))
    colours = {tuple(each) for each in palette().tolist()}
    seen = set()
    for size in ((90, 61), (50, 120)):
        picture = np.asarray(scene(*size))
        first, again = run(picture.copy(), {}), run(picture.copy(), {})
        assert first.shape == picture.shape and first.dtype == np.uint8
        assert np.array_equal(first, again)
        seen |= {tuple(each) for each in first.reshape(-1, 3).tolist()}
    assert seen <= colours and len(seen) > 1


def test_the_palettes_are_the_published_ones() -> None:
    walls, sky, people = ade20k()[0], ade20k()[2], ade20k()[12]
    assert (walls.tolist(), sky.tolist(), people.tolist()) == ([120, 120, 120], [6, 230, 230], [150, 5, 61])
    assert ade20k().shape == (150, 3)
    person, sky, rug = coco()[0], coco()[119], coco()[132]
    assert (person.tolist(), sky.tolist(), rug.tolist()) == ([220, 20, 60], [70, 130, 180], [250, 141, 255])
    assert coco().shape == (133, 3) and len(np.unique(coco(), axis=0)) == 133


def test_a_pixel_has_the_colour_of_the_class_that_is_the_likeliest(tmp_path: Path) -> None:
    folder = put_upernet(tmp_path / "a")
    model: Any = UperNetForSemanticSegmentation.from_pretrained(folder)
    with torch.inference_mode(False):
        model.decode_head.classifier.bias.data[17] += 1e6
        model.save_pretrained(folder)
    found = OFFERS["seg_ufade20k"].load(place(tmp_path))(np.asarray(scene()), {})
    assert np.unique(found.reshape(-1, 3), axis=0).tolist() == [ade20k()[17].tolist()]


def test_a_model_of_other_classes_is_another_model(tmp_path: Path) -> None:
    put_oneformer(tmp_path / "oneformer_ade20k_swin_large", 133)
    with pytest.raises(UnknownModel, match="oneformer_ade20k_swin_large, which is not there"):
        OFFERS["seg_ofade20k"].load(place(tmp_path))
    OFFERS["seg_ofcoco"].load(place(tmp_path))


def test_what_is_incomplete_or_broken_says_so(tmp_path: Path) -> None:
    folder = put_upernet(tmp_path / "a")
    weights = folder / "model.safetensors"
    state = weights.read_bytes()
    weights.unlink()
    torch.save({}, folder / "pytorch_model.bin")
    with pytest.raises(BrokenFile, match=r"lacks model\.safetensors") as caught:
        OFFERS["seg_ufade20k"].load(place(tmp_path))
    assert caught.value.values["folder"] == str(folder)
    weights.write_bytes(state[:1000])
    with pytest.raises(BrokenFile, match="cannot be used to tell"):
        OFFERS["seg_ufade20k"].load(place(tmp_path))
    (folder / "config.json").write_text(json.dumps(["upernet"]))
    with pytest.raises(UnknownModel):
        OFFERS["seg_ufade20k"].load(place(tmp_path))
