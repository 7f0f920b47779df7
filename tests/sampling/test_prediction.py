"""Predictions: levels of noise and the reading of outputs."""

from __future__ import annotations

import math
from dataclasses import FrozenInstanceError

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from modules.sampling.prediction import DiscreteTable, Eps, Flow, Prediction, V

EVERY: dict[str, Prediction] = {"eps": Eps(), "v": V(), "flow": Flow(), "shifted": Flow(shift=3.0)}
every = pytest.mark.parametrize("prediction", EVERY.values(), ids=EVERY)


def test_stable_diffusion_has_its_known_levels() -> None:
    assert Eps().sigma_min == pytest.approx(0.0291675, rel=2e-5)
    assert Eps().sigma_max == pytest.approx(14.614642, rel=1e-6)


@pytest.mark.parametrize(
    ("table", "betas"),
    [
        (DiscreteTable.scaled_linear(), np.linspace(0.00085**0.5, 0.012**0.5, 1000) ** 2),
        (DiscreteTable.linear(), np.linspace(0.0001, 0.02, 1000)),
    ],
)
def test_the_tables_are_the_running_product_of_betas(table: DiscreteTable, betas: np.ndarray) -> None:
    kept = np.cumprod(1 - betas)
    np.testing.assert_allclose(np.array(table.sigmas), np.sqrt((1 - kept) / kept), rtol=1e-12)


def test_a_table_of_levels_that_do_not_rise_is_refused() -> None:
    for sigmas in ((), (1.0,), (1.0, 1.0), (2.0, 1.0), (0.0, 1.0), (1.0, math.inf)):
        with pytest.raises(ValueError):
            DiscreteTable(sigmas)
    with pytest.raises(ValueError):
        Flow(shift=0.0)


@every
@given(st.floats(0, 1))
def test_timestep_and_sigma_are_inverse(prediction: Prediction, part: float) -> None:
    sigma = prediction.sigma_min * (prediction.sigma_max / prediction.sigma_min) ** part
    assert prediction.sigma(prediction.timestep(sigma)) == pytest.approx(sigma, rel=1e-9)


@every
@given(st.floats(-20, 20))
def test_sigma_at_is_the_inverse_of_log_snr(prediction: Prediction, log_snr: float) -> None:
    sigma = prediction.sigma_at(log_snr)
    assert math.log(prediction.alpha(sigma)) - math.log(sigma) == pytest.approx(log_snr, abs=1e-6)


def test_the_timestep_is_linear_in_log_sigma_between_levels() -> None:
    table = DiscreteTable.scaled_linear()
    assert table.timestep(table.sigmas[0]) == 0
    assert table.timestep(table.sigmas[437]) == pytest.approx(437, abs=1e-9)
    assert table.timestep(table.sigmas[999]) == 999
    assert table.timestep(math.sqrt(table.sigmas[10] * table.sigmas[11])) == pytest.approx(10.5, abs=1e-9)
    assert table.timestep(0.0) == 0 and table.timestep(1e9) == 999
    assert table.sigma(-5) == table.sigmas[0] and table.sigma(5000) == table.sigmas[-1]


def test_a_flow_begins_at_nothing_but_noise() -> None:
    flow = Flow(shift=3.0)
    assert flow.sigma_max == 1 == flow.level(999)
    assert flow.alpha(flow.sigma_max) == 0
    assert flow.level(499) == pytest.approx(0.75)  # 3 * 0.5 / (1 + 2 * 0.5)
    assert flow.timestep(0.75) == 750
    assert flow.sigma_at(1e4) == 0 and flow.sigma_at(-math.inf) == 1


@every
def test_the_right_output_gives_back_the_clean_latent(prediction: Prediction) -> None:
    generator = torch.Generator().manual_seed(0)
    clean, noise = torch.randn(2, 2, 4, 8, 8, generator=generator)
    for sigma in (prediction.sigma_min, 0.5, prediction.sigma_max):
        x = prediction.noised(clean, noise, sigma)
        root = math.sqrt(1 + sigma**2)
        output = {Eps: noise, V: (noise - sigma * clean) / root, Flow: noise - clean}[type(prediction)]
        torch.testing.assert_close(prediction.denoised(x, sigma, output), clean, rtol=0, atol=1e-5)


@pytest.mark.parametrize("prediction", [Eps(), V()], ids=["eps", "v"])
def test_the_network_sees_unit_variance(prediction: Prediction) -> None:
    x = torch.tensor([math.sqrt(1 + 4.0**2)])
    assert float(prediction.scale(x, 4.0)) == pytest.approx(1.0)


@every
def test_a_picture_starts_as_noise_of_the_first_level(prediction: Prediction) -> None:
    noise = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    assert torch.equal(prediction.start(noise, prediction.sigma_max), noise * prediction.sigma_max)


def test_predictions_are_frozen() -> None:
    with pytest.raises(FrozenInstanceError):
        Flow().shift = 2.0  # type: ignore[misc]


def test_a_table_can_end_in_pure_noise_and_begin_as_before() -> None:
    """Lin et al. 2023, algorithm 1, worked out on the betas as it is printed there."""
    plain = DiscreteTable.scaled_linear()
    table = plain.to_zero_snr()
    betas = np.linspace(0.00085**0.5, 0.012**0.5, 1000) ** 2
    kept = np.sqrt(np.cumprod(1 - betas))
    kept = (kept - kept[-1]) * kept[0] / (kept[0] - kept[-1])
    expected = np.sqrt(1 - kept[:-1] ** 2) / kept[:-1]
    assert table.sigmas[:-1] == pytest.approx(expected.tolist(), rel=1e-9)
    assert table.sigmas[0] == pytest.approx(plain.sigmas[0])
    assert 4000 < table.sigmas[-1] < 5000
    assert table.timestep(table.sigmas[-1]) == 999
