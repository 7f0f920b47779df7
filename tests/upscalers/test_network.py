"""Networks: known by their weights, refused when they do something else, and a face restorer's own range of numbers."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import spandrel
import torch
from torch import Tensor, nn

from modules.errors import BrokenFile, SetupError, WrongFamily
from modules.upscalers.networks import network
from modules.upscalers.networks.network import load_network, load_restorer
from tests.fake_upscalers import State, compact, esrgan, scene, swinir

CPU = torch.device("cpu")


@pytest.mark.parametrize(("state", "scale"), [(compact(4), 4), (compact(1), 1), (esrgan(), 4), (swinir(), 2)])
def test_architecture_and_scale_are_told_from_the_weights(state: State, scale: int) -> None:
    found = load_network("tiny", state, CPU)
    assert found.scale == scale
    assert found(np.asarray(scene(24, 16))).shape == (16 * scale, 24 * scale, 3)


def test_a_wrapper_around_the_weights_does_not_matter() -> None:
    state = compact()
    wrapped = {f"model.{key}": value for key, value in state.items()}
    pixels = np.asarray(scene())
    assert np.array_equal(load_network("a", wrapped, CPU)(pixels), load_network("b", state, CPU)(pixels))


def test_a_network_that_adds_nothing_repeats_each_pixel() -> None:
    pixels = np.asarray(scene())
    assert np.array_equal(load_network("plain", compact(strength=0), CPU)(pixels), pixels.repeat(2, 0).repeat(2, 1))


@pytest.mark.parametrize(
    "state",
    [
        {},
        {"a": torch.zeros(3)},
        {key: value[:1] for key, value in compact().items()},
        {**compact(), "body.999999.weight": torch.zeros(8, 8, 3, 3)},
        {key: value for key, value in esrgan().items() if "conv_first" not in key and "model.0." not in key},
    ],
    ids=["nothing", "something else", "cut", "a million layers", "incomplete"],
)
def test_what_no_network_has_is_refused_with_a_sentence(state: State) -> None:
    with pytest.raises(BrokenFile) as refused:
        load_network("odd.safetensors", state, CPU)
    assert "odd.safetensors" in str(refused.value)


class Face(nn.Module):
    """What a face restorer looks like: -1 to 1 in, the same and something more out."""

    def __init__(self) -> None:
        super().__init__()
        self.shift = nn.Parameter(torch.zeros(1))
        self.given: dict[str, Any] = {}

    def forward(self, x: Tensor, **given: Any) -> tuple[Tensor, None]:
        self.given = {**given, "least": float(x.min()), "most": float(x.max())}
        return -x + self.shift, None


class Descriptor(SimpleNamespace):
    def to(self, *_: object) -> "Descriptor":
        return self

    def eval(self) -> "Descriptor":
        return self


def described(**about: Any) -> Descriptor:
    usual: dict[str, Any] = {
        "purpose": "FaceSR",
        "scale": 1,
        "input_channels": 3,
        "output_channels": 3,
        "tiling": spandrel.ModelTiling.SUPPORTED,
        "architecture": SimpleNamespace(id="CodeFormer"),
        "model": Face(),
        "device": CPU,
        "dtype": torch.float32,
    }
    return Descriptor(**(usual | about))


@pytest.mark.parametrize(
    ("about", "key"),
    [
        ({}, "upscaler_face"),
        ({"purpose": "Inpainting"}, "upscaler_inpainting"),
        ({"purpose": "SR", "input_channels": 4, "output_channels": 4}, "upscaler_channels"),
    ],
)
def test_a_network_for_something_else_is_refused(
    about: dict[str, Any], key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(network, "_descriptor", lambda name, tensors: described(**about))
    with pytest.raises(WrongFamily) as refused:
        load_network("face.pth", {}, CPU)
    assert refused.value.key == key


def test_a_face_goes_in_and_comes_out_in_the_network_s_own_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    found = described()
    monkeypatch.setattr(network, "_descriptor", lambda name, tensors: found)
    face = np.zeros((4, 4, 3), np.uint8)
    face[0] = 255
    assert np.array_equal(load_restorer("codeformer.pth", {}, CPU)(face, 0.3), 255 - face)
    assert found.model.given == {"weight": 0.3, "least": -1.0, "most": 1.0}
    with pytest.raises(WrongFamily, match="models/ESRGAN"):
        monkeypatch.setattr(network, "_descriptor", lambda name, tensors: described(purpose="SR"))
        load_restorer("esrgan.pth", {}, CPU)


def test_a_codeformer_says_what_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "_installed", lambda: ())
    weights = {"position_emb": torch.zeros(4, 4), "idx_pred_layer.1.weight": torch.zeros(4, 4)}
    with pytest.raises(SetupError, match="spandrel_extra_arches"):
        load_restorer("codeformer.pth", weights, CPU)
