from __future__ import annotations

import math
from typing import Any

import pytest

from modules.errors import BrokenFile
from modules.families.sd2 import Sd2
from modules.families.sdxl import Sdxl
from modules.families.unet.objective import prediction_of, stated_kind
from modules.sampling.prediction import ALIGNED_SDXL, Eps, V
from tests.families.headers import header_of

MARKS = {"v_pred": (0,), "ztsnr": (0,)}


@pytest.mark.parametrize(
    ("shapes", "about", "kind"),
    [
        ({}, {}, ""),
        ({"v_pred": (0,)}, {}, "v_prediction"),
        ({}, {"configs": {"scheduler": {"prediction_type": "v_prediction"}}}, "v_prediction"),
        ({}, {"configs": {"scheduler": {"beta_start": 0.001}}}, ""),
        ({"v_pred": (0,)}, {"configs": {"scheduler": {"prediction_type": "epsilon"}}}, "epsilon"),
        ({}, {"metadata": {"modelspec.prediction_type": "v"}}, "v_prediction"),
        ({}, {"metadata": {"modelspec.prediction_type": "epsilon"}}, "epsilon"),
        ({}, {"metadata": {"ss_v_parameterization": "True"}}, "v_prediction"),
        ({}, {"metadata": {"modelspec.prediction_type": "who knows"}}, ""),
    ],
)
def test_what_a_checkpoint_states(shapes: dict[str, Any], about: dict[str, Any], kind: str) -> None:
    assert stated_kind(header_of(shapes, **about)) == kind


def test_an_unknown_kind_is_refused_by_name() -> None:
    with pytest.raises(BrokenFile, match="sample"):
        stated_kind(header_of({}, configs={"scheduler": {"prediction_type": "sample"}}))


def test_markers_make_the_prediction_and_its_levels() -> None:
    plain = prediction_of(header_of({}), ALIGNED_SDXL, velocity=False)
    assert isinstance(plain, Eps)
    assert plain.aligned == ALIGNED_SDXL
    velocity = prediction_of(header_of({"v_pred": (0,)}), ALIGNED_SDXL, velocity=False)
    assert isinstance(velocity, V)
    assert velocity.sigma_max == plain.sigma_max
    both = prediction_of(header_of(MARKS), ALIGNED_SDXL, velocity=False)
    assert isinstance(both, V)
    assert both.sigma_max > 1000
    assert math.isclose(both.sigma_min, plain.sigma_min)


@pytest.mark.parametrize(
    "about",
    [
        {"configs": {"scheduler": {"prediction_type": "v_prediction", "rescale_betas_zero_snr": True}}},
        {"metadata": {"modelspec.prediction_type": "v", "ss_zero_terminal_snr": "True"}},
    ],
)
def test_pure_noise_at_the_end_is_stated_elsewhere_too(about: dict[str, Any]) -> None:
    assert prediction_of(header_of({}, **about), ALIGNED_SDXL, velocity=False).sigma_max > 1000


def test_a_network_that_says_the_noise_keeps_its_levels() -> None:
    """Of pure noise the noise itself says nothing about a picture."""
    assert prediction_of(header_of({"ztsnr": (0,)}), ALIGNED_SDXL, velocity=False).sigma_max < 15


def test_velocity_decides_only_where_nothing_is_stated() -> None:
    assert isinstance(prediction_of(header_of({}), ALIGNED_SDXL, velocity=True), V)
    stated = header_of({}, configs={"scheduler": {"prediction_type": "epsilon"}})
    assert isinstance(prediction_of(stated, ALIGNED_SDXL, velocity=True), Eps)
    assert Sd2().asks_network(header_of({"unet.conv_in.weight": (320, 4, 3, 3)}))
    assert not Sd2().asks_network(header_of({"unet.conv_in.weight": (320, 9, 3, 3)})), "for inpainting: noise"
    assert not Sd2().asks_network(stated)
    assert not Sdxl().asks_network(header_of({}))


def test_sd2_of_velocity_is_768_pixels_wide() -> None:
    assert Sd2().native_size(header_of({})) == 512
    assert Sd2().native_size(header_of({}), velocity=True) == 768
    assert Sd2().native_size(header_of({}, configs={"scheduler": {"prediction_type": "v_prediction"}})) == 768
    assert Sd2().native_size(header_of({}, configs={"unet": {"sample_size": 32}})) == 256
    assert Sd2().native_size(header_of({}, "v2-1_768-ema-pruned.safetensors")) == 768, (
        "its name tells where nothing does"
    )
    stated = {"scheduler": {"prediction_type": "epsilon"}}
    assert Sd2().native_size(header_of({}, "v2-1_768-ema-pruned.safetensors", configs=stated)) == 512
