"""The noise levels that a request asks for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from modules.engine.engine import Engine
from modules.images import infotext
from modules.sampling.prediction import STABLE_DIFFUSION, Eps, Flow, V, retabled
from tests.engine.test_engine import Calls, digests, make
from tests.fake_models import engine_on


def test_half_precision_moves_the_lowest_level_most() -> None:
    """k-diffusion's sigmas of products in half precision: 0.0312 and 14.61 instead of 0.0292 and 14.61."""
    half = retabled(Eps(), half=True)
    assert half.sigma_min == 0.03125 and half.sigma_max == 14.609375
    assert all(abs(half.level(each) / Eps().level(each) - 1) < 0.01 for each in range(100, 1000))


def test_the_last_level_becomes_nothing_but_noise() -> None:
    for network in (Eps(), V()):
        told = retabled(network, zero_snr=True)
        assert type(told) is type(network) and told.sigma_max > 4500
        assert told.sigma_min == pytest.approx(network.sigma_min)
        assert retabled(told, zero_snr=True) == told, "it is already so"


def test_what_cannot_be_told_apart_stays() -> None:
    assert retabled(Flow(), zero_snr=True, half=True) == Flow()
    linear = Eps(type(STABLE_DIFFUSION).linear())
    assert retabled(linear, half=True) == linear, "in half precision nothing is lost of a picture at its first level"


def test_the_engine_begins_where_the_request_says(root: Path) -> None:
    calls = Calls()
    engine = engine_on(root, calls)
    first = {}
    asked: dict[str, dict[str, Any]] = {
        "plain": {},
        "half": {"downcast_alphas": True},
        "zero": {"noise_schedule": "Zero Terminal SNR"},
    }
    for name, values in asked.items():
        calls.sigmas = []
        (picture,) = make(engine, sampler="Euler", **values)
        first[name] = calls.sigmas[0]
        entries = infotext.read(infotext.write(picture.recipe))
        assert entries.get("Downcast alphas_cumprod") == ("True" if name == "half" else None)
        assert entries.get("Noise Schedule") == ("Zero Terminal SNR" if name == "zero" else None)
    assert first["plain"] == pytest.approx(14.6146, rel=1e-4) and first["half"] == 14.609375 and first["zero"] > 4500


def test_the_nearest_trained_time_is_told_and_nothing_else_changes() -> None:
    """k-diffusion's `sigma_to_t` with `quantize`: the place of the least distance in log sigma, the first of two."""
    logs = np.log(STABLE_DIFFUSION.sigmas)
    for network in (Eps(), V()):
        told = retabled(network, quantized=True)
        for sigma in np.exp(np.linspace(logs[0] - 1, logs[-1] + 1, 501)):
            assert told.timestep(sigma) == np.abs(np.log(sigma) - logs).argmin()
            assert abs(told.timestep(sigma) - network.timestep(sigma)) <= 0.5
        assert [told.level(each) for each in (0, 10.5, 999)] == [network.level(each) for each in (0, 10.5, 999)]
    assert retabled(Flow(), quantized=True) == Flow(), "it has no table"


def test_the_network_is_told_whole_times_where_that_is_asked_for(engine: Engine) -> None:
    times: list[float] = []
    with engine.models.borrow(engine.catalog.find("one"), None) as model:
        unet = model.parts["unet"]
    handle = unet.register_forward_pre_hook(lambda module, given: times.append(float(given[1])))
    for asked in ({}, {"quantize": True}):
        times.clear()
        (picture,) = make(engine, sampler="Euler", schedule="Karras", steps=5, sampling=asked)
        assert all(time.is_integer() for time in times) == bool(asked) and len(times) >= 5
        assert ("Quantized timesteps: True" in infotext.write(picture.recipe)) == bool(asked)
    handle.remove()


def test_a_model_stays_as_it_is_for_the_next_request(engine: Engine) -> None:
    before = digests(make(engine))
    assert digests(make(engine, downcast_alphas=True)) != before
    assert digests(make(engine)) == before
