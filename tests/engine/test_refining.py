"""A refiner takes over in the middle of a denoising, and a second pass has its own checkpoint and words."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torch import Tensor

from modules.engine.engine import Engine
from modules.engine.refining import Handover, handed_on, taking_over
from modules.engine.relay import Cast, Chosen
from modules.errors import BadRequest, Cancelled, UnknownModel
from modules.events import Note, Step
from modules.families.family import Conditioning
from modules.families.unet.model import UnetModel
from modules.hooks import JobView, Ring, hookimpl
from modules.images import infotext
from modules.model_manager.model_file import ModelFile
from modules.request import Refiner
from modules.result import Picture
from modules.sampling.prediction import Eps
from tests.engine.test_engine import ask, digests
from tests.engine.test_networks import Q_PROJ, TO_K, ranks
from tests.fake_controls import controls_folder, make_controlnet, write_control_file
from tests.fake_loras import write_lora
from tests.fake_models import SDXL_UNET, checkpoints, engine_on, make_refiner, make_sd1, make_sdxl
from tests.fakes import RecordingReport


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with two small models of SD 1, SDXL and its refiner, a LoRA and two ControlNets."""
    folder = tmp_path_factory.mktemp("refining")
    make_sd1(checkpoints(folder) / "one", seed=1, dtype=torch.float32)
    make_sd1(checkpoints(folder) / "two", seed=2, dtype=torch.float32)
    make_sdxl(checkpoints(folder) / "base", seed=3)
    make_refiner(checkpoints(folder) / "refiner", seed=4)
    layers = {"lora_unet_" + TO_K.replace(".", "_"): ranks(5, 32, 16)}
    write_lora(folder / "models" / "Lora" / "ink.safetensors", layers)
    words = {f"lora_te1_text_model_{Q_PROJ.replace('.', '_')}": ranks(6, 16, 16)}
    write_lora(folder / "models" / "Lora" / "large.safetensors", words, {"ss_base_model_version": "sdxl_base_v1-0"})
    write_control_file(controls_folder(folder) / "lines.safetensors", make_controlnet())
    write_control_file(controls_folder(folder) / "wide.safetensors", make_controlnet(SDXL_UNET))
    return folder


class Who:
    """An extension that writes down which checkpoint answers each call, at which level, and what is in memory then."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, float]] = []
        self.engine: Engine | None = None
        self.seen: Callable[[UnetModel], None] = lambda model: None
        self._model: UnetModel | None = None

    @property
    def names(self) -> list[str]:
        return [name for name, _ in self.calls]

    @hookimpl
    def patch(self, job: JobView, model: UnetModel) -> Any:
        return self._at(model)

    @contextmanager
    def _at(self, model: UnetModel) -> Iterator[None]:
        self._model = model
        try:
            yield
        finally:
            self._model = None

    @hookimpl
    def around_predict(self, job: JobView) -> Ring:
        def ring(inner: Any) -> Any:
            def predict(x: Tensor, sigma: float, conditioning: Conditioning) -> Tensor:
                assert self.engine is not None and self._model is not None
                kept = self.engine.models._kept.values()
                name = next(each.name for each in kept if each.model is self._model)
                self.seen(self._model)
                self.calls.append((name, sigma))
                answer: Tensor = inner(x, sigma, conditioning)
                return answer

            return predict

        return ring


def watched_by(root: Path, **settings: Any) -> tuple[Engine, Who]:
    who = Who()
    engine = engine_on(root, who, **settings)
    who.engine = engine
    return engine, who


def make(engine: Engine, report: RecordingReport | None = None, **values: Any) -> list[Picture]:
    request = ask(**{"sampler": "Euler", **values})
    return [picture for picture, _ in engine.generate(request, report or RecordingReport(), lambda picture: picture)]


def notes(report: RecordingReport) -> list[str]:
    return [event.key for event in report.events if isinstance(event, Note)]


def test_at_1_nobody_takes_over_and_a_refiner_that_is_the_base_changes_nothing(root: Path) -> None:
    engine, who = watched_by(root)
    plain = make(engine)
    for refiner in ({"model": "two", "switch_at": 1}, {"model": "two", "switch_at": 1, "switch_by": "steps"}):
        found = make(engine, refiner=refiner)
        assert digests(found) == digests(plain) and found[0].recipe.refiner is None
    (same,) = make(engine, refiner={"model": "one", "switch_at": 0.3})
    assert digests([same]) == digests(plain)
    assert set(who.names) == {"one"}
    assert "Refiner" not in infotext.write(same.recipe)


@pytest.mark.parametrize("sampler", ["Euler", "DPM++ 2M", "Heun", "DPM++ SDE", "DDIM", "UniPC"])
def test_it_answers_the_calls_of_its_share_of_the_steps(root: Path, sampler: str) -> None:
    engine, who = watched_by(root)
    report = RecordingReport()
    refiner = {"model": "two", "switch_at": 0.8, "switch_by": "steps"}
    (picture,) = make(engine, report, steps=10, refiner=refiner, sampler=sampler)
    turn = who.names.index("two")
    assert set(who.names[:turn]) == {"one"} and set(who.names[turn:]) == {"two"}
    steps = [event.step for event in report.events if isinstance(event, Step)]
    assert steps == [*range(1, 11)]
    levels = list(dict.fromkeys(sigma for _, sigma in who.calls))
    if sampler == "Euler":
        assert who.names == ["one"] * 8 + ["two"] * 2
    assert who.calls[turn][1] in levels[1:], "not in the middle of nothing"
    assert digests([picture]) != digests(make(engine, steps=10, sampler=sampler))
    assert picture.recipe.refiner is not None
    file = engine.catalog.find("two")
    assert picture.recipe.refiner.model_hash == engine.catalog.hashed(file).hash != picture.recipe.model_hash
    text = infotext.write(picture.recipe)
    assert f"Refiner: two [{picture.recipe.refiner.model_hash}], Refiner switch at: 0.8, " in text
    assert "Refiner switch by sampling steps: True" in text


def test_as_a1111_counts_the_noise_that_is_left_decides(root: Path) -> None:
    engine, who = watched_by(root)
    make(engine, steps=10, schedule="Karras", refiner={"model": "two", "switch_at": 0.5})
    prediction = Eps()
    done = [(999 - round(prediction.timestep(sigma))) / 1000 for _, sigma in who.calls]
    assert who.names == ["two" if share >= 0.5 else "one" for share in done]
    assert {"one", "two"} == set(who.names)


def test_when_it_is_time() -> None:
    sigmas = [14.0, 7.0, 3.0, 1.0, 0.0]
    half = taking_over(Refiner(model="x", switch_at=0.5, switch_by="steps"), sigmas, Eps())
    assert [half(sigma) for sigma in (14.0, 7.0, 5.0, 3.0, 1.0)] == [False, False, False, True, True]
    never = taking_over(Refiner(model="x", switch_at=1), sigmas, Eps())
    assert not any(never(sigma) for sigma in (14.0, 1.0, 1e-9))


def test_the_one_before_is_let_go_of_first_and_does_not_come_back() -> None:
    told: list[str] = []

    class Network:
        def __init__(self, name: str) -> None:
            told.append(f"{name} comes")
            self.name = name

        def __call__(self, x: Tensor, sigma: float) -> Tensor:
            told.append(f"{self.name} {sigma:g}")
            return x

        def __del__(self) -> None:
            told.append(f"{self.name} goes")

    step = handed_on(lambda: Network("a"), Handover(lambda sigma: sigma < 5, lambda: Network("b")))
    for sigma in (9.0, 4.0, 6.0):
        step(torch.zeros(1), sigma)
    assert told == ["a comes", "a 9", "a goes", "b comes", "b 4", "b 6"]


def test_where_there_is_room_for_one_the_base_goes_before_the_refiner_comes(root: Path) -> None:
    """Nothing holds on to its weights: they are gone when the refiner answers, and the picture is the same."""
    plain = make(engine_on(root), refiner={"model": "two", "switch_at": 0.3, "switch_by": "steps"})
    engine, who = watched_by(root, models_in_memory=1)
    first: list[Any] = []
    alive: list[bool] = []

    def seen(model: UnetModel) -> None:
        if not first:
            first.append(weakref.ref(model.unet))
        elif first[0]() is not model.unet:
            gc.collect()
            alive.append(first[0]() is not None)
            assert [each.name for each in engine.resident()] == ["two"]

    who.seen = seen
    found = make(engine, refiner={"model": "two", "switch_at": 0.3, "switch_by": "steps"})
    assert alive == [False, False]
    assert digests(found) == digests(plain)


def test_both_stay_where_there_is_room(root: Path) -> None:
    engine, _ = watched_by(root)
    make(engine, refiner={"model": "two", "switch_at": 0.3})
    assert {each.name for each in engine.resident()} == {"one", "two"}
    report = RecordingReport()
    make(engine, report, refiner={"model": "two", "switch_at": 0.3})
    assert "loading" not in report.kinds()


def test_a_stop_is_heard_while_it_answers(root: Path) -> None:
    engine, who = watched_by(root)
    refiner = {"model": "two", "switch_at": 0.5, "switch_by": "steps"}
    with pytest.raises(Cancelled):
        make(engine, RecordingReport("go", "go", "go", "stop"), steps=4, refiner=refiner)
    assert who.names == ["one", "one", "two", "two"]
    assert all(kept.lent == 0 for kept in engine.models._kept.values())
    assert len(make(engine)) == 1


def test_no_room_while_it_answers_halves_the_batch_and_the_pictures_are_the_same(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, who = watched_by(root)
    refiner = {"model": "two", "switch_at": 0.3, "switch_by": "steps"}
    whole = make(engine, batch_size=2, refiner=refiner)
    predict = UnetModel.predict
    failed: list[str] = []

    def cramped(self: UnetModel, x: Tensor, sigma: float, conditioning: Conditioning) -> Tensor:
        if who.names[-1] == "two" and len(failed) < 2:
            failed.append(who.names[-1])
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return predict(self, x, sigma, conditioning)

    monkeypatch.setattr(UnetModel, "predict", cramped)
    report = RecordingReport()
    parts = make(engine, report, batch_size=2, refiner=refiner)
    assert digests(parts) == digests(whole)
    assert [picture.recipe.notes for picture in parts] == [{"Memory ladder": "batch 1"}] * 2
    assert notes(report) == ["memory_batch"]


def test_a_lora_goes_with_it(root: Path) -> None:
    engine, who = watched_by(root)
    weights: list[Tensor] = []
    who.seen = lambda model: weights.append(model.unet.get_submodule(TO_K).weight.clone())
    refiner = {"model": "two", "switch_at": 0.5, "switch_by": "steps"}
    for prompt in ("a", "a <lora:ink:1>"):
        make(engine, prompt=prompt, steps=4, refiner=refiner)
    plain, changed = weights[:4], weights[4:]
    assert [torch.equal(one, other) for one, other in zip(plain, changed, strict=True)] == [False] * 4
    assert torch.allclose(changed[0] - plain[0], changed[3] - plain[3], atol=1e-5)
    with engine.models.borrow(engine.catalog.find("two")) as two:
        assert torch.equal(two.parts["unet"].get_submodule(TO_K).weight, plain[3])  # type: ignore[arg-type]


def test_the_refiner_of_sdxl_reads_the_words_with_what_it_has(root: Path) -> None:
    engine, who = watched_by(root)
    refiner = {"model": "refiner", "switch_at": 0.5, "switch_by": "steps"}
    report = RecordingReport()
    (picture,) = make(engine, report, model="base", steps=4, refiner=refiner)
    assert who.names == ["base", "base", "refiner", "refiner"]
    assert notes(report) == []
    other = make(engine, model="base", prompt="a blue square", steps=4, refiner=refiner)
    assert digests(other) != digests([picture])


def test_what_does_not_fit_it_is_left_out_and_told_of(root: Path) -> None:
    engine, who = watched_by(root)
    square = Image.new("RGB", (64, 64))
    square.paste("white", (16, 16, 48, 48))
    unit = {"image": engine.inputs.keep(square), "model": "wide"}
    refiner = {"model": "refiner", "switch_at": 0.5, "switch_by": "steps"}
    report = RecordingReport()
    found = make(engine, report, model="base", prompt="a <lora:large:1>", steps=4, refiner=refiner, controls=[unit])
    assert set(notes(report)) == {"network_unfit", "control_unfit"}
    assert who.names == ["base", "base", "refiner", "refiner"]
    assert digests(found) != digests(make(engine, model="base", prompt="a <lora:large:1>", steps=4, refiner=refiner))


def test_a_control_that_fits_goes_with_it(root: Path) -> None:
    engine, _ = watched_by(root)
    square = Image.new("RGB", (64, 64))
    square.paste("white", (16, 16, 48, 48))
    late = {"image": engine.inputs.keep(square), "model": "lines", "start": 0.6}
    refiner = {"model": "two", "switch_at": 0.5, "switch_by": "steps"}
    report = RecordingReport()
    found = make(engine, report, steps=4, refiner=refiner, controls=[late])
    assert digests(found) != digests(make(engine, steps=4, refiner=refiner)), "it acts in the refiner's steps alone"
    assert notes(report) == []


@pytest.mark.parametrize(
    ("passes", "first", "second"),
    [("second", ["one"] * 4, ["one", "one", "two"]), ("first", ["one", "one", "two", "two"], ["one"] * 3)],
)
def test_of_two_passes_it_works_in_the_one_that_was_asked_for(
    root: Path, passes: str, first: list[str], second: list[str]
) -> None:
    engine, who = watched_by(root)
    refiner = {"model": "two", "switch_at": 0.5, "switch_by": "steps", "passes": passes}
    hires = {"steps": 4, "denoising_strength": 0.5, "scale": 1}
    (picture,) = make(engine, steps=4, refiner=refiner, hires=hires)
    assert (who.names[:4], who.names[4:]) == (first, second)
    assert ("Hires refiner: first pass" in infotext.write(picture.recipe)) == (passes == "first")


def test_tiles_that_are_finished_one_by_one_have_it_each(root: Path) -> None:
    engine, who = watched_by(root)
    picture = engine.inputs.keep(Image.new("RGB", (64, 64), "red"))
    refiner = {"model": "two", "switch_at": 0.5, "switch_by": "steps"}
    init = {"image": picture, "denoising_strength": 0.5}
    make(engine, steps=4, refiner=refiner, init=init, tiles={"scale": 1.5, "overlap": 32}, width=64, height=64)
    assert who.names == ["one", "one", "two"] * 4


def test_a_second_pass_has_its_own_checkpoint_words_and_guidance(root: Path) -> None:
    engine, who = watched_by(root)
    first: dict[str, Any] = {"steps": 3, "width": 64, "height": 64}
    hires: dict[str, Any] = {"steps": 4, "denoising_strength": 0.5, "scale": 1.5}
    (plain,) = make(engine, hires=hires, **first)
    who.calls.clear()
    (other,) = make(engine, hires={**hires, "model": "two"}, **first)
    assert who.names == ["one"] * 3 + ["two"] * 3
    assert other.image.size == (96, 96)
    assert other.recipe.hires is not None and other.recipe.hires.model_hash
    text = infotext.write(other.recipe)
    assert f"Hires checkpoint: two [{other.recipe.hires.model_hash}], Hires upscale: 1.5" in text
    said: list[dict[str, Any]] = [{"prompt": "blue"}, {"negative_prompt": "blue"}, {"cfg_scale": 1.5}]
    found = digests([plain, other, *(make(engine, hires={**hires, **each}, **first)[0] for each in said)])
    assert len(set(found)) == 5
    assert digests(make(engine, hires={**hires, "prompt": "a red circle", "cfg_scale": 7}, **first)) == found[:1]


def test_tags_of_a_second_pass_are_its_own(root: Path) -> None:
    engine, who = watched_by(root)
    weights: list[Tensor] = []
    who.seen = lambda model: weights.append(model.unet.get_submodule(TO_K).weight.clone())
    hires = {"steps": 2, "denoising_strength": 0.5, "scale": 1}

    def changed(prompt: str, later: str) -> list[bool]:
        weights.clear()
        make(engine, prompt=prompt, steps=2, hires={**hires, "prompt": later})
        return [not torch.equal(each, plain) for each in weights]

    with engine.models.borrow(engine.catalog.find("one")) as one:
        plain = one.parts["unet"].get_submodule(TO_K).weight.clone()  # type: ignore[operator]
    assert changed("a <lora:ink:1>", "") == [True, True, True, True]
    assert changed("a <lora:ink:1>", "a") == [True, True, False, False]
    assert changed("a", "a <lora:ink:1>") == [False, False, True, True]
    (picture,) = make(engine, prompt="a", hires={**hires, "prompt": "b <lora:ink:1>"})
    assert list(picture.recipe.networks["lora"]) == ["ink"]
    assert 'Hires prompt: "b <lora:ink:1>"' in infotext.write(picture.recipe)


@pytest.mark.parametrize("upscaler", ["Latent", "Lanczos"])
def test_a_picture_in_place_of_a_first_pass_is_all_there_is_of_one(root: Path, upscaler: str) -> None:
    """The second pass of the very picture that the first made is the second pass that would have come, nearly."""
    engine, who = watched_by(root)
    hires = {"steps": 4, "denoising_strength": 0.3, "scale": 1.5, "upscaler": upscaler}
    (first,) = make(engine, width=64, height=64)
    (both,) = make(engine, width=64, height=64, hires=hires)
    who.calls.clear()
    report = RecordingReport()
    name = engine.inputs.keep(first.image)
    (alone,) = make(engine, report, width=64, height=64, hires={**hires, "image": name})
    assert len(who.calls) == 2
    assert [event.step for event in report.events if isinstance(event, Step)] == [1, 2]
    assert alone.image.size == both.image.size == (96, 96)
    if upscaler == "Lanczos":
        assert digests([alone]) == digests([both])
    assert alone.recipe.hires is not None and alone.recipe.hires.asked.image == name


def test_what_cannot_go_on_is_refused_before_anything_is_made(root: Path) -> None:
    engine, who = watched_by(root)
    cases: list[tuple[dict[str, Any], type[Exception], str]] = [
        ({"refiner": {"model": "absent"}}, UnknownModel, "absent"),
        ({"hires": {"model": "absent"}}, UnknownModel, "absent"),
        ({"refiner": {"model": "strange"}}, BadRequest, "latents are of different kinds"),
        ({"hires": {"model": "strange"}}, BadRequest, "latents are of different kinds"),
        ({"hires": {"image": "0" * 64}}, BadRequest, "not here any more"),
    ]
    folder = make_sd1(checkpoints(root) / "strange", seed=9)
    config = folder / "vae" / "config.json"
    config.write_text(config.read_text(encoding="utf-8").replace("0.5", "0.25"), encoding="utf-8")
    engine.catalog.refresh()
    for values, error, said in cases:
        with pytest.raises(error, match=said):
            make(engine, **values)
    assert who.calls == []
    (across,) = make(engine, hires={"model": "strange", "upscaler": "Lanczos", "scale": 1})
    assert set(who.names) == {"one", "strange"} and across.image.size == (64, 64), "pictures have no kinds"


def test_checkpoints_are_counted_once() -> None:
    one, two = (Chosen(ModelFile(name, Path(name)), None) for name in ("one", "two"))
    assert Cast(one, one, None).every == (one,)
    assert Cast(one, one, two).every == (one, two)
    assert Cast(one, two, two).every == (one, two)
