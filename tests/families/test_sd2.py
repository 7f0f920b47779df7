from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from modules.families.sd2 import Sd2
from modules.families.unet.velocity import says_velocity
from modules.model_manager.header import read_header
from modules.sampling.prediction import Eps, V
from tests.fake_checkpoints import WIDTH_2, make_networks, original_state, save_single
from tests.fake_models import SCHEDULER, SD2_UNET, make_sd2
from tests.families.loading import CPU, load, words
from tests.families.open_clip import OpenClip, ids_of


@pytest.fixture(scope="module")
def tower() -> OpenClip:
    torch.manual_seed(3)
    return OpenClip(WIDTH_2, layers=3, projected=8).eval().requires_grad_(False)


@pytest.fixture(scope="module")
def single(tmp_path_factory: pytest.TempPathFactory, tower: OpenClip) -> Path:
    """A checkpoint with the text encoder as OpenCLIP stores it."""
    state = original_state("sd2", make_networks("sd2"), text=False)
    state |= {f"cond_stage_model.model.{key}": value for key, value in tower.state_dict().items()}
    return save_single(tmp_path_factory.mktemp("sd2") / "sd2.safetensors", state, {})


def test_words_are_read_as_open_clip_says_them_at_its_last_layer_but_one(single: Path, tower: OpenClip) -> None:
    model = load(single, "sd2")
    said = words(model, "a red circle").context
    ids = ids_of(model.tokenizer("a red circle"))
    assert torch.allclose(said, tower.ln_final(tower.layers(ids)[-2]), atol=1e-5)
    assert torch.equal(words(model, "a red circle", clip_skip=2).context, said), "it never reads the last layer"
    skipped = words(model, "a red circle", clip_skip=3).context
    assert torch.allclose(skipped, tower.ln_final(tower.layers(ids)[-3]), atol=1e-5)


def test_a_folder_without_the_last_layer_is_read_at_the_last_it_has(tmp_path: Path) -> None:
    model = load(make_sd2(tmp_path / "two"), "sd2")
    encoder = model.encoders[0]
    ids = ids_of(model.tokenizer("a red circle"))
    with torch.inference_mode():
        expected = encoder.module(input_ids=ids).last_hidden_state
    assert torch.equal(words(model, "a red circle").context, expected)


def test_a_folder_says_noise_or_velocity(tmp_path: Path) -> None:
    assert isinstance(load(make_sd2(tmp_path / "eps")).prediction, Eps)
    velocity = {**SCHEDULER, "prediction_type": "v_prediction"}
    model = load(make_sd2(tmp_path / "v", scheduler=velocity, easel=None, unet={**SD2_UNET, "sample_size": 96}))
    assert isinstance(model.prediction, V)
    assert model.native_size == 768


class Says(nn.Module):
    """A network that answers as if it had been trained to say noise, or velocity."""

    def __init__(self, velocity: bool) -> None:
        super().__init__()
        self.velocity = velocity
        self.config = type("Config", (), {"in_channels": 4, "cross_attention_dim": 8})

    def forward(self, x: Tensor, time: Tensor, words: Tensor, return_dict: bool) -> tuple[Tensor]:
        # At the last timestep x is noise but for a rest of the picture: 0.068 x0.
        return (-1.5 * x if self.velocity else 0.9 * x,)


def test_a_network_whose_file_does_not_tell_is_asked() -> None:
    for velocity in (False, True):
        network = Says(velocity)
        assert says_velocity(network, CPU, torch.float32) == velocity


def test_the_answer_decides_prediction_and_size(single: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    header = read_header(single)
    assert Sd2().asks_network(header)
    assert isinstance(load(single).prediction, Eps)
    assert load(single).native_size == 512
    monkeypatch.setattr("modules.families.unet.load.says_velocity", lambda *_: True)
    assert isinstance(load(single).prediction, V)
    assert load(single).native_size == 768
