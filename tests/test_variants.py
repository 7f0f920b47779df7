"""The contract of everything that is offered through a hook, held for every offer alike."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from PIL import Image
from torch import Tensor

from modules.errors import Cancelled
from modules.plugins import folder_modules, make_plugins
from modules.sampling.noise import Noise
from modules.sampling.prediction import Prediction
from modules.sampling.sampler import Denoise, Sampler
from modules.sampling.schedules import Schedule, sigmas_for
from modules.upscalers.networks.network import load_network
from modules.upscalers.tiles import enlarge
from modules.upscalers.upscaler import Size, Tell, Upscaler
from tests.fake_upscalers import State, compact, difference, esrgan, scene, swinir
from tests.sampling.gaussian import PATHS, Gaussian

PLUGINS = make_plugins("engine", folder_modules("modules.sampling") + folder_modules("modules.upscalers"), None)
SAMPLERS = PLUGINS.offered("samplers", Sampler)
SCHEDULES = {schedule.label: schedule for schedule in PLUGINS.offered("schedules", Schedule).values()}

NETWORKS = {"Compact": compact(), "Compact 1x": compact(1), "ESRGAN": esrgan(), "SwinIR": swinir()}


def of_network(name: str, state: State, tile: int = 0) -> Upscaler:
    network = load_network(name, state, torch.device("cpu"))

    def run(image: Image.Image, size: Size, tell: Tell) -> Image.Image:
        return enlarge(image, size, network, network.scale, tell, tile, overlap=24)

    return Upscaler(name, run)


UPSCALERS = PLUGINS.offered("upscalers", Upscaler) | {
    name: of_network(name, state, tile=48) for name, state in NETWORKS.items()
}
every_upscaler = pytest.mark.parametrize("upscaler", UPSCALERS.values(), ids=UPSCALERS)
every_sampler = pytest.mark.parametrize("sampler", SAMPLERS.values(), ids=SAMPLERS)
every_schedule = pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=SCHEDULES)
every_path = pytest.mark.parametrize("prediction", PATHS.values(), ids=PATHS)

# These take each guess for the picture itself, which is right only for a network that says the end of the path.
WANT_CONSISTENCY = {"LCM"}


def denoiser(sampler: Sampler, prediction: Prediction, data: Gaussian | None = None) -> Denoise:
    data = data or Gaussian()
    return data.consistent(prediction) if sampler.name in WANT_CONSISTENCY else data.denoiser(prediction)


def solve(
    sampler: Sampler, prediction: Prediction, seeds: list[int], steps: int, size: int = 8, schedule: str = ""
) -> Tensor:
    sigmas = sigmas_for(sampler, SCHEDULES[schedule or sampler.schedule], steps, prediction)
    noise = Noise(seeds, (4, size, size), kind=sampler.noise, sigmas=sigmas)
    x = prediction.start(noise.initial(), sigmas[0])
    return sampler.run(denoiser(sampler, prediction), x, sigmas, prediction, noise)


@every_path
@every_sampler
def test_a_sampler_solves_the_gaussian(sampler: Sampler, prediction: Prediction) -> None:
    """In 100 steps: mean within 5 % of the deviation, deviation within 5 %; without noise each element within 5 %."""
    data = Gaussian()
    sigmas = sigmas_for(sampler, SCHEDULES[sampler.schedule], 100, prediction)
    noise = Noise([1, 2], (4, 32, 32), kind=sampler.noise, sigmas=sigmas)
    x = prediction.start(noise.initial(), sigmas[0])
    end = sampler.run(denoiser(sampler, prediction), x, sigmas, prediction, noise)
    assert float(end.mean()) == pytest.approx(data.mean, abs=0.05 * data.deviation)
    assert float(end.std()) == pytest.approx(data.deviation, rel=0.05)
    if sampler.noise == "none":
        exact = data.follow(prediction, x, sigmas[0], 0.0)
        assert float((end - exact).square().mean().sqrt()) < 0.05 * data.deviation


@every_path
@every_schedule
@every_sampler
def test_a_sampler_takes_any_schedule(sampler: Sampler, schedule: Schedule, prediction: Prediction) -> None:
    for steps in (1, 2, 3, 7):
        assert solve(sampler, prediction, [5], steps, schedule=schedule.label).isfinite().all()


@every_path
@every_sampler
def test_the_same_seed_is_the_same_picture(sampler: Sampler, prediction: Prediction) -> None:
    first, again, other = (solve(sampler, prediction, [seed], 7) for seed in (3, 3, 4))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@every_path
@every_sampler
def test_a_picture_does_not_depend_on_its_batch(sampler: Sampler, prediction: Prediction) -> None:
    together = solve(sampler, prediction, [3, 2**64 - 1], 7)
    apart = [solve(sampler, prediction, [seed], 7) for seed in (3, 2**64 - 1)]
    assert torch.equal(together, torch.cat(apart))


@every_sampler
def test_a_sampler_calls_the_network_as_often_as_it_says(sampler: Sampler) -> None:
    prediction, calls = PATHS["diffusion"], []
    inner = denoiser(sampler, prediction)

    def counted(x: Tensor, sigma: float) -> Tensor:
        calls.append(sigma)
        return inner(x, sigma)

    sigmas = sigmas_for(sampler, SCHEDULES[sampler.schedule], 10, prediction)
    noise = Noise([0], (4, 8, 8), kind=sampler.noise, sigmas=sigmas)
    sampler.run(counted, prediction.start(noise.initial(), sigmas[0]), sigmas, prediction, noise)
    assert sampler.order * 10 - 1 <= len(calls) <= sampler.order * 10 + 1
    assert all(sigma > 0 for sigma in calls)


@every_sampler
def test_a_cancelled_sampler_leaves_nothing_behind(sampler: Sampler) -> None:
    prediction = PATHS["diffusion"]
    sigmas = sigmas_for(sampler, SCHEDULES[sampler.schedule], 6, prediction)
    before = solve(sampler, prediction, [9], 6)
    for last in range(1, 7):
        calls = 0

        def cancelled(x: Tensor, sigma: float, last: int = last) -> Tensor:
            nonlocal calls
            calls += 1
            if calls == last:
                raise Cancelled("cancelled")
            return x

        noise = Noise([9], (4, 8, 8), kind=sampler.noise, sigmas=sigmas)
        x = prediction.start(noise.initial(), sigmas[0])
        kept = x.clone()
        with pytest.raises(Cancelled):
            sampler.run(cancelled, x, sigmas, prediction, noise)
        assert torch.equal(x, kept)
    assert torch.equal(solve(sampler, prediction, [9], 6), before)


@every_sampler
def test_a_sampler_keeps_dtype_and_input(sampler: Sampler) -> None:
    prediction = PATHS["flow"]
    sigmas = sigmas_for(sampler, SCHEDULES[sampler.schedule], 5, prediction)
    noise = Noise([1], (4, 8, 8), kind=sampler.noise, sigmas=sigmas)
    x = prediction.start(noise.initial(), sigmas[0]).to(torch.bfloat16)
    kept = x.clone()
    assert sampler.run(denoiser(sampler, prediction), x, sigmas, prediction, noise).dtype == torch.bfloat16
    assert torch.equal(x, kept)


@every_sampler
def test_automatic_names_a_schedule(sampler: Sampler) -> None:
    assert sampler.schedule in SCHEDULES


@every_path
@every_schedule
def test_a_schedule_falls_to_zero(schedule: Schedule, prediction: Prediction) -> None:
    for steps in (*range(1, 51), 150, 333, 700):
        sigmas = schedule.sigmas(steps, prediction)
        assert len(sigmas) == steps + 1
        assert all(type(sigma) is float for sigma in sigmas)
        assert all(a > b for a, b in pairwise(sigmas))
        assert sigmas[-1] == 0
        assert sigmas[0] <= prediction.sigma_max * 1.0001


@every_path
@every_schedule
def test_a_single_step_starts_at_the_top(schedule: Schedule, prediction: Prediction) -> None:
    assert schedule.sigmas(1, prediction)[0] == pytest.approx(prediction.sigma_max, rel=1e-4)


def test_names_and_aliases_are_unique() -> None:
    for offers in (SAMPLERS.values(), PLUGINS.offered("schedules", Schedule).values()):
        spellings = [name.lower() for offer in offers for name in {offer.name.lower(), *map(str.lower, offer.aliases)}]
        assert len(spellings) == len(set(spellings))


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
@every_upscaler
def test_an_upscaler_makes_exactly_the_size_asked_for(upscaler: Upscaler, mode: str) -> None:
    for size in ((90, 61), (181, 122), (200, 333), (40, 40), (91, 61)):
        told: list[tuple[int, int]] = []
        made = upscaler.enlarge(scene(90, 61, mode), size, lambda done, of, told=told: told.append((done, of)))
        assert (made.size, made.mode) == (size, mode)
        assert told and told[-1][0] == told[-1][1]


@every_upscaler
def test_an_upscaler_makes_the_same_of_the_same(upscaler: Upscaler) -> None:
    first, again = (upscaler.enlarge(scene(), (180, 122), lambda done, of: None) for _ in range(2))
    assert difference(first, again) == 0


@every_upscaler
def test_a_cancelled_upscaler_stops(upscaler: Upscaler) -> None:
    def stop(done: int, of: int) -> None:
        raise Cancelled("cancelled")

    with pytest.raises(Cancelled):
        upscaler.enlarge(scene(), (180, 122), stop)


@pytest.mark.parametrize("name", ["Compact", "Compact 1x", "ESRGAN"])
def test_a_tiled_picture_is_the_untiled_one(name: str) -> None:
    """Within two levels of 255; a network that looks through windows, as SwinIR does, sees others in a tile."""
    picture = scene(200, 131)
    size = 400, 262
    whole, tiled = (
        of_network(name, NETWORKS[name], tile).enlarge(picture, size, lambda done, of: None) for tile in (0, 64)
    )
    assert difference(whole, tiled) <= 2
