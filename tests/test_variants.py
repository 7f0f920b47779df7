"""The contract of everything that is offered through a hook, held for every offer alike."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from modules.captioners.captioner import Captioner
from modules.controls.control import Control, Guide, Loaded, Seen
from modules.controls.preprocessor import Preprocessor
from modules.engine.controls import active, within
from modules.engine.timeline import step_of
from modules.errors import Cancelled
from modules.families.family import Conditioning, Header
from modules.families.unet.model import UnetModel
from modules.model_manager.annotators import Annotators
from modules.model_manager.header import read_header
from modules.plugins import folder_modules, make_plugins
from modules.request import Sampling
from modules.sampling.noise import Noise
from modules.sampling.prediction import Prediction
from modules.sampling.sampler import Denoise, Sampler
from modules.sampling.schedules import Schedule, sigmas_for
from modules.server.launch import ROOMS
from modules.upscalers.networks.network import load_network
from modules.upscalers.tiles import enlarge
from modules.upscalers.upscaler import Size, Tell, Upscaler
from tests.fake_captioners import put_blip, put_tagger
from tests.fake_controls import write_any_control
from tests.fake_ip_adapters import PARTS, WHOLE
from tests.fake_models import WIDTH, checkpoints, engine_on, make_sd1
from tests.fake_upscalers import State, compact, difference, esrgan, scene, swinir
from tests.fakes import ask
from tests.sampling.gaussian import PATHS, Gaussian

PLUGINS = make_plugins("engine", [name for room in ROOMS for name in folder_modules(room)], None)
SAMPLERS = PLUGINS.offered("samplers", Sampler)
SCHEDULES = {schedule.label: schedule for schedule in PLUGINS.offered("schedules", Schedule).values()}

PREPROCESSORS = PLUGINS.offered("preprocessors", Preprocessor)
CAPTIONERS = PLUGINS.offered("captioners", Captioner)
FOLDERS: dict[str, Callable[[Path], Path]] = {
    "BLIP": put_blip,
    "WD14": put_tagger,
}  # what makes a tiny model of each captioner
CONTROLS = PLUGINS.offered("controls", Control)  # type: ignore[type-abstract]


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
    if sampler.adaptive and len(seeds) > 1:  # it sees one picture at a time
        return torch.cat([solve(sampler, prediction, [seed], steps, size, schedule) for seed in seeds])
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


def visited(sampler: Sampler, prediction: Prediction, sigmas: list[float]) -> list[float]:
    """The levels at which a sampler calls the network, in order."""
    calls: list[float] = []
    inner = denoiser(sampler, prediction)

    def counted(x: Tensor, sigma: float) -> Tensor:
        calls.append(sigma)
        return inner(x, sigma)

    noise = Noise([0], (4, 8, 8), kind=sampler.noise, sigmas=sigmas)
    sampler.run(counted, prediction.start(noise.initial(), sigmas[0]), sigmas, prediction, noise)
    return calls


@pytest.mark.parametrize("steps", [10, 24, 40])
@every_sampler
def test_a_sampler_calls_the_network_as_often_as_it_says(sampler: Sampler, steps: int) -> None:
    prediction = PATHS["diffusion"]
    calls = visited(sampler, prediction, sigmas_for(sampler, SCHEDULES[sampler.schedule], steps, prediction))
    assert sampler.adaptive or sampler.order * (steps - 1) <= len(calls) <= sampler.order * steps + 1
    assert all(sigma > 0 for sigma in calls)


CHURNS = Sampling(s_churn=30.0, s_tmin=0.1, s_tmax=5.0)


@pytest.mark.parametrize("asked", [None, Sampling(eta=0.0), CHURNS], ids=["as usual", "no eta", "churn"])
@every_path
@every_sampler
def test_a_sampler_says_how_far_it_is(sampler: Sampler, prediction: Prediction, asked: Sampling | None) -> None:
    """As many steps as the schedule has, each told in its turn; those with ways of their own come near the end."""
    if asked is not None and not asked.numbers.keys() & sampler.takes:
        return
    tuned = sampler.tuned(asked)
    for steps in (1, 2, 9, 40):
        sigmas = sigmas_for(tuned, SCHEDULES[tuned.schedule], steps, prediction)
        levels = tuned.levels(sigmas, prediction)
        assert len(levels) == len(sigmas) and levels[-1] == 0
        place, told = step_of(levels), [0]
        for sigma in visited(tuned, prediction, sigmas):
            told.append(max(told[-1], place(sigma)))
        assert told[1] == 1
        if sampler.adaptive or asked is CHURNS or sampler.name == "DPM fast":
            assert steps * 0.85 - 1 <= told[-1] <= steps
        else:
            assert sorted(set(told)) == [*range(steps + 1)]


@pytest.mark.parametrize("asked", [Sampling(eta=0.5, eta_ddim=0.5, s_noise=0.9), CHURNS], ids=["less noise", "churn"])
@every_path
@every_sampler
def test_a_tuned_picture_does_not_depend_on_its_batch(
    sampler: Sampler, prediction: Prediction, asked: Sampling
) -> None:
    tuned = sampler.tuned(asked)
    together = solve(tuned, prediction, [3, 7], 9)
    assert torch.equal(together, torch.cat([solve(tuned, prediction, [seed], 9) for seed in (3, 7)]))


@every_path
@pytest.mark.parametrize("name", [name for name, sampler in SAMPLERS.items() if "eta" in sampler.takes])
def test_without_fresh_noise_a_sampler_is_exact(name: str, prediction: Prediction) -> None:
    tuned = SAMPLERS[name].tuned(Sampling(eta=0.0))
    sigmas = sigmas_for(tuned, SCHEDULES[tuned.schedule], 100, prediction)
    x = prediction.start(Noise([1], (4, 32, 32)).initial(), sigmas[0])
    end = tuned.run(denoiser(tuned, prediction), x, sigmas, prediction, Noise([1], (4, 32, 32), kind="none"))
    wanted = Gaussian().follow(prediction, x, sigmas[0], 0.0)
    allowed = 0.08 if tuned.adaptive else 0.05  # it is content with 0.05 in each of its steps
    assert float((end - wanted).square().mean().sqrt()) < allowed * Gaussian().deviation


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


def _note(told: list[tuple[int, int]], done: int, of: int) -> None:
    told.append((done, of))


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
@every_upscaler
def test_an_upscaler_makes_exactly_the_size_asked_for(upscaler: Upscaler, mode: str) -> None:
    for size in ((90, 61), (181, 122), (200, 333), (40, 40), (91, 61)):
        told: list[tuple[int, int]] = []
        made = upscaler.enlarge(scene(90, 61, mode), size, partial(_note, told))
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


every_control = pytest.mark.parametrize("control", CONTROLS.values(), ids=CONTROLS)
every_free_preprocessor = pytest.mark.parametrize("preprocessor", [p for p in PREPROCESSORS.values() if not p.files])


class Controlled:
    """A tiny checkpoint, every kind of control loaded for it, and what it guesses at the sixth of ten steps."""

    def __init__(self, model: UnetModel, folder: Path) -> None:
        self.model = model
        self._folder = folder
        self._loaded: dict[str, Loaded] = {}

    def guess(self, control: Control | None = None, start: float = 0, end: float = 1, weight: float = 1) -> Tensor:
        random = torch.Generator().manual_seed(3)
        x = torch.randn(2, 4, 8, 8, generator=random) * 5.0
        words = Conditioning(torch.randn(2, 77, WIDTH, generator=random))
        hint = torch.rand(1, 3, 64, 64, generator=random)
        whole = torch.cat([torch.randn(1, WHOLE, generator=random), torch.zeros(1, WHOLE)])
        seen = Seen(whole, torch.randn(2, 5, PARTS, generator=random))
        guide = Guide(hint, weight, kinds=("Canny",), seen=seen)
        if control is None:
            return self.model.predict(x, 5.0, words)
        ring = self._load(control).ring(self.model, guide)
        return within(ring, [float(each) for each in range(10, -1, -1)], start, end)(self.model.predict)(x, 5.0, words)

    def _load(self, control: Control) -> Loaded:
        if control.name not in self._loaded:
            path = write_any_control(control.name, self._folder, self.model)
            header = read_header(path) if path else Header(self._folder, {})
            self._loaded[control.name] = control.load(header, self.model)
        return self._loaded[control.name]


@pytest.fixture(scope="module")
def controlled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Controlled]:
    folder = tmp_path_factory.mktemp("controlled")
    make_sd1(checkpoints(folder) / "one", seed=1)
    engine = engine_on(folder)
    with engine.models.borrow(engine.catalog.find("one")) as model:
        assert isinstance(model, UnetModel)
        yield Controlled(model, folder)


@torch.inference_mode()
@every_control
def test_a_control_does_nothing_outside_its_range(control: Control, controlled: Controlled) -> None:
    plain = controlled.guess()
    for start, end in ((0.0, 0.4), (0.6, 1.0)):
        assert torch.equal(controlled.guess(control, start, end), plain)
    for start, end in ((0.0, 1.0), (0.5, 0.5)):
        assert not torch.allclose(controlled.guess(control, start, end), plain, atol=1e-5)


@torch.inference_mode()
@every_control
def test_a_control_does_more_the_more_it_weighs(control: Control, controlled: Controlled) -> None:
    plain = controlled.guess()
    guesses = [controlled.guess(control, weight=weight) for weight in (1e-6, 0.5, 1.0)]
    least, half, full = (float((each - plain).abs().mean()) for each in guesses)
    assert least <= half <= full and full > 0


def test_a_control_of_weight_0_is_not_even_asked() -> None:
    request = ask(
        "", controls=[{"model": name, "image": "0" * 64, "weight": weight} for name, weight in (("a", 0), ("b", 0.1))]
    )
    assert [unit.model for unit in active(request)] == ["b"]


@every_free_preprocessor
def test_a_preprocessor_keeps_size_and_is_the_same_each_time(preprocessor: Preprocessor) -> None:
    random = np.random.default_rng(4)
    run = preprocessor.load(Annotators(Path("nowhere"), torch.device("cpu")))
    places = ("default", "least", "most")
    ends = [{each.name: getattr(each, place) for each in preprocessor.sliders} for place in places]
    for shape in ((40, 64, 3), (33, 17, 3)):
        picture = random.integers(0, 256, shape, dtype=np.uint8)
        kept = picture.copy()
        for options in ends:
            first, again = (run(picture, preprocessor.settled(options)) for _ in range(2))
            assert first.shape == shape and first.dtype == np.uint8
            assert np.array_equal(first, again)
            assert np.array_equal(picture, kept), "what it is given stays as it is"


@pytest.mark.parametrize("captioner", CAPTIONERS.values(), ids=CAPTIONERS)
def test_a_captioner_says_the_same_of_the_same_and_leaves_the_picture_alone(
    captioner: Captioner, tmp_path: Path
) -> None:
    folder = FOLDERS[captioner.name](tmp_path)
    assert all(any((folder / file).is_file() for file in some) for some in captioner.files)
    for image in (scene(), scene(50, 40, mode="RGBA")):
        before = image.copy()
        said = [captioner.load(folder, torch.device("cpu"))(image) for _ in range(2)]
        assert said[0] == said[1] and said[0] and image.tobytes() == before.tobytes()
