from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from modules.engine.engine import Engine
from modules.engine.report import Report, Wanted
from modules.errors import (
    BadRequest,
    BrokenFile,
    BrokenPicture,
    Cancelled,
    ExtensionError,
    OutOfMemory,
    UnknownModel,
    WrongFamily,
)
from modules.families.family import Conditioning
from modules.families.unet.model import UnetModel
from modules.hooks import JobView, Ring, hookimpl
from modules.request import Request, Shot, make_request
from modules.result import Picture
from tests.fake_models import checkpoints, engine_on, make_sd1
from tests.fakes import RecordingReport


def ask(**values: Any) -> Request:
    return make_request({"model": "one", "prompt": "a red circle", "steps": 3, "seed": 7, **values})


def make(engine: Engine, report: Report | None = None, done: tuple[int, ...] = (), **values: Any) -> list[Picture]:
    made = engine.generate(ask(**values), report or RecordingReport(), lambda picture: picture, done=done)
    return [picture for picture, _ in made]


def digests(pictures: list[Picture]) -> list[str]:
    return [hashlib.sha256(picture.image.tobytes()).hexdigest() for picture in pictures]


class Calls:
    """An extension that counts network calls and their rows."""

    def __init__(self) -> None:
        self.rows: list[int] = []
        self.sigmas: list[float] = []

    @hookimpl
    def around_predict(self, job: JobView) -> Ring:
        def ring(inner: Any) -> Any:
            def predict(x: Tensor, sigma: float, conditioning: Conditioning) -> Tensor:
                self.rows.append(x.shape[0])
                self.sigmas.append(sigma)
                answer: Tensor = inner(x, sigma, conditioning)
                return answer

            return predict

        return ring


def test_a_request_becomes_a_picture_and_a_recipe_with_every_choice_made(engine: Engine) -> None:
    (picture,) = make(engine, sampler="dpm++ 2m karras", prompt="a (red:1.3) circle", negative_prompt="blue")
    recipe = picture.recipe
    assert picture.image.size == (64, 64) == (recipe.width, recipe.height)
    assert (recipe.sampler, recipe.schedule, recipe.steps, recipe.seed) == ("DPM++ 2M", "Karras", 3, 7)
    assert (recipe.prompt, recipe.negative_prompt) == ("a (red:1.3) circle", "blue")
    assert (recipe.model, recipe.family, recipe.device, recipe.dtype) == ("one", "sd1", "cpu", "fp32")
    weights = engine.catalog.find("one").path / "unet" / "diffusion_pytorch_model.safetensors"
    assert recipe.model_hash == hashlib.sha256(weights.read_bytes()).hexdigest()[:10]
    assert torch.__version__.startswith(recipe.versions["torch"])


def test_the_same_request_gives_the_same_bytes_and_another_seed_others(engine: Engine) -> None:
    assert digests(make(engine)) == digests(make(engine))
    assert digests(make(engine)) != digests(make(engine, seed=8))


@pytest.mark.parametrize("sampler", ["DPM++ 2M", "Euler a", "DPM++ SDE"])
def test_a_picture_does_not_depend_on_its_batch(engine: Engine, sampler: str) -> None:
    batch = make(engine, batch_size=4, sampler=sampler)
    alone = [make(engine, seed=7 + index, sampler=sampler)[0] for index in range(4)]
    assert digests(batch) == digests(alone)
    assert len(set(digests(batch))) == 4
    assert [picture.recipe.seed for picture in batch] == [7, 8, 9, 10]
    assert [picture.recipe.index for picture in batch] == [0, 1, 2, 3]


def test_words_of_other_lengths_in_a_batch_change_nothing(root: Path) -> None:
    class Words:
        @hookimpl
        def around_plan(self, request: Request) -> Ring:
            long = Shot(index=1, prompt="circle " * 100, negative_prompt="", seed=8)
            return lambda inner: lambda asked: (inner(asked)[0], long)

    mixed = make(engine_on(root, Words()), batch_size=2)
    assert digests(mixed)[:1] == digests(make(engine_on(root)))


def test_cfg_1_calls_the_network_for_the_prompt_alone(root: Path) -> None:
    calls = Calls()
    engine = engine_on(root, calls)
    make(engine, sampler="Euler", cfg_scale=7, batch_size=2)
    guided, calls.rows = calls.rows, []
    make(engine, sampler="Euler", cfg_scale=1, batch_size=2)
    assert sum(guided) == 2 * sum(calls.rows) == 2 * 3 * 2


def test_guidance_and_negative_prompt_change_the_picture(engine: Engine) -> None:
    pictures = [
        make(engine, cfg_scale=7),
        make(engine, cfg_scale=12),
        make(engine, negative_prompt="blue"),
        make(engine, cfg_scale=1),
    ]
    assert len({digests(each)[0] for each in pictures}) == 4
    assert digests(make(engine, cfg_scale=1, negative_prompt="blue")) == digests(make(engine, cfg_scale=1))


def test_weights_of_words_change_the_picture(engine: Engine) -> None:
    prompts = ["a red circle", "a (red:1.2) circle", "a ((red)) circle", "a [red] circle"]
    assert len({digests(make(engine, prompt=prompt))[0] for prompt in prompts}) == 4
    assert digests(make(engine, prompt="(a red circle:1)")) == digests(make(engine))


@pytest.mark.parametrize(("width", "height"), [(72, 136), (64, 200), (328, 64)])
def test_any_size_that_divides_by_8(engine: Engine, width: int, height: int) -> None:
    (picture,) = make(engine, width=width, height=height, steps=1)
    assert picture.image.size == (width, height)


def test_events_come_in_order(root: Path) -> None:
    report = RecordingReport()
    make(engine_on(root), report, batch_count=2)
    assert report.kinds()[0] == "loading"
    steps = [event for event in report.events if event.kind == "step"]
    assert [(step.image, step.step, step.steps, step.images) for step in steps] == [
        (image, step, 3, 2) for image in (0, 1) for step in (1, 2, 3)
    ]
    first_step, first_preview = report.kinds().index("step"), report.kinds().index("preview")
    assert first_preview == first_step + 1
    again = RecordingReport()
    engine = engine_on(root, preview_every=0)
    make(engine)
    make(engine, again)
    assert set(again.kinds()) == {"step"}, "the model was loaded already, and previews are off"


def test_settings_that_may_change_between_two_jobs_hold_from_the_next_on(root: Path) -> None:
    engine = engine_on(root, preview_every=0)
    make(engine)
    make(engine, model="two")
    engine.adopt({"preview_every": 1, "models_in_memory": 1, "upscale_tile": 64})
    assert [each.name for each in engine.resident()] == ["two"]
    report = RecordingReport()
    make(engine, report)
    assert "preview" in report.kinds() and engine.settings.upscale_tile == 64
    engine.adopt({"preview_every": 0})
    again = RecordingReport()
    make(engine, again, model="two")
    assert "preview" not in again.kinds()
    assert [each.name for each in engine.resident()] == ["two"]


@pytest.mark.parametrize("sampler", ["Heun", "DPM2", "DPM++ SDE", "DPM++ 2S a", "PLMS", "UniPC"])
def test_every_step_is_told_once_whatever_a_sampler_calls(engine: Engine, sampler: str) -> None:
    report = RecordingReport()
    make(engine, report, sampler=sampler, steps=5)
    assert [event.step for event in report.events if event.kind == "step"] == [1, 2, 3, 4, 5]


def test_pictures_that_exist_are_left_out(engine: Engine) -> None:
    everything = make(engine, batch_count=2, batch_size=2)
    rest = make(engine, batch_count=2, batch_size=2, done=(0, 3))
    assert [picture.recipe.index for picture in rest] == [1, 2]
    assert digests(rest) == digests(everything[1:3])
    report = RecordingReport()
    assert make(engine, report, done=(0,)) == []
    assert "step" not in report.kinds()


def test_stop_ends_the_job_between_network_calls(root: Path) -> None:
    calls = Calls()
    engine = engine_on(root, calls)
    saved: list[int] = []
    with pytest.raises(Cancelled):
        for picture, _ in engine.generate(
            ask(sampler="Euler", batch_count=2),
            RecordingReport("go", "go", "go", "go", "stop"),
            lambda picture: picture,
        ):
            saved.append(picture.recipe.index)
    assert saved == [0]
    assert len(calls.rows) == 5, "four calls were let through, and the fifth was asked for and not made"


def test_skip_drops_the_batch_and_begins_the_next(engine: Engine) -> None:
    report = RecordingReport("go", "skip")
    pictures = make(engine, report, sampler="Euler", batch_count=2)
    assert [picture.recipe.index for picture in pictures] == [1]
    assert digests(pictures) == digests(make(engine, seed=8, sampler="Euler"))
    (note,) = [event for event in report.events if event.kind == "note"]
    assert (note.key, note.values) == ("skipped", {"first": 1, "last": 1})


def test_rings_wrap_every_stage_in_order(root: Path) -> None:
    seen: list[str] = []

    class Witness:
        def _ring(self, stage: str) -> Ring:
            def ring(inner: Any) -> Any:
                def outer(*arguments: Any) -> Any:
                    if stage not in seen:
                        seen.append(stage)
                    return inner(*arguments)

                return outer

            return ring

        @hookimpl
        def around_plan(self, request: Request) -> Ring:
            return self._ring("plan")

        @hookimpl
        def around_encode(self, job: JobView) -> Ring:
            assert job.shots[0].prompt == "a red circle"
            return self._ring("encode")

        @hookimpl
        def around_predict(self, job: JobView) -> Ring:
            return self._ring("predict")

        @hookimpl
        def around_denoise(self, job: JobView) -> Ring:
            return self._ring("denoise")

        @hookimpl
        def around_decode(self, job: JobView) -> Ring:
            return self._ring("decode")

        @hookimpl
        def around_save(self, job: JobView) -> Ring:
            return self._ring("save")

        @hookimpl
        def finished(self, job: JobView, pictures: list[Picture]) -> None:
            assert len(pictures) == len(job.shots) == 1
            seen.append("finished")

    make(engine_on(root, Witness()))
    assert seen == ["plan", "encode", "denoise", "predict", "decode", "save", "finished"]


class Brighter:
    """Patches the decoder for a batch, as an extension would a layer."""

    def __init__(self, fails: bool = False) -> None:
        self.fails = fails

    @contextmanager
    def _patch(self, model: UnetModel) -> Iterator[None]:
        bias = model.vae.decoder.conv_out.bias
        before = bias.clone()
        bias.add_(0.5)
        try:
            yield
        finally:
            bias.copy_(before)

    @hookimpl
    def patch(self, job: JobView, model: UnetModel) -> Any:
        return self._patch(model)

    @hookimpl
    def around_denoise(self, job: JobView) -> Ring | None:
        return (lambda inner: lambda x, sigma: 1 / 0) if self.fails else None


@pytest.mark.parametrize("fails", [False, True])
def test_a_patch_lasts_for_its_batch_and_is_undone_whatever_happens(root: Path, fails: bool) -> None:
    engine = engine_on(root)
    plain = digests(make(engine))
    patch = Brighter(fails)
    engine.plugins.manager.register(patch, "brighter")
    if fails:
        with pytest.raises(ExtensionError, match="brighter"):
            make(engine)
    else:
        assert digests(make(engine)) != plain
    engine.plugins.manager.unregister(patch)
    assert digests(make(engine)) == plain


def test_a_patched_model_is_not_answered_from_the_cache(root: Path) -> None:
    class Words:
        @hookimpl
        def patch(self, job: JobView, model: UnetModel) -> Any:
            return self._patched(model)

        @contextmanager
        def _patched(self, model: UnetModel) -> Iterator[None]:
            norm: Any = model.parts["text_encoder"].final_layer_norm
            bias = norm.bias
            bias.add_(1.0)
            yield
            bias.sub_(1.0)

    engine = engine_on(root)
    plain = digests(make(engine))
    engine.plugins.manager.register(Words(), "words")
    assert digests(make(engine)) != plain


def test_an_extension_that_fails_is_named(root: Path) -> None:
    class Broken:
        @hookimpl
        def around_decode(self, job: JobView) -> Ring:
            return lambda inner: lambda latents: [][1]

    with pytest.raises(ExtensionError) as caught:
        make(engine_on(root, Broken()))
    assert caught.value.name == "extension-0"


def test_nan_is_an_error_and_no_picture(root: Path, tmp_path: Path) -> None:
    class Poison:
        @hookimpl
        def around_predict(self, job: JobView) -> Ring:
            return lambda inner: lambda x, sigma, conditioning: inner(x, sigma, conditioning) * float("nan")

    with pytest.raises(BrokenPicture, match="NaN"):
        make(engine_on(root, Poison()))

    class PoisonedLatents:
        @hookimpl
        def around_decode(self, job: JobView) -> Ring:
            return lambda inner: lambda latents: inner(latents * float("inf"))

    with pytest.raises(BrokenPicture, match="NaN"):
        make(engine_on(root, PoisonedLatents()))


def test_no_memory_is_an_error_with_figures_and_lets_go_of_the_model(root: Path) -> None:
    class Greedy:
        @contextmanager
        def _replaced(self, model: UnetModel) -> Iterator[None]:
            def hungry(*_: object, **__: object) -> None:
                torch.empty(2**60, dtype=torch.uint8)

            handle = model.unet.register_forward_pre_hook(hungry, with_kwargs=True)
            yield
            handle.remove()

        @hookimpl
        def patch(self, job: JobView, model: UnetModel) -> Any:
            return self._replaced(model)

        @hookimpl
        def around_predict(self, job: JobView) -> Ring:
            return lambda inner: lambda *arguments: inner(*arguments)

    greedy = Greedy()
    engine = engine_on(root, greedy)
    with pytest.raises(OutOfMemory, match="64×64") as caught:
        make(engine)
    assert float(str(caught.value.values["total"])) > 0
    assert not engine.models.holds(engine.catalog.find("one"))
    engine.plugins.manager.unregister(greedy)
    assert len(make(engine)) == 1, "the next picture is made as if nothing had happened"


def test_models_are_switched_by_the_request(engine: Engine) -> None:
    first = digests(make(engine, model="one"))
    assert digests(make(engine, model="two")) != first
    assert digests(make(engine, model="one")) == first
    assert digests(make(engine, model=engine.catalog.find("one").title)) == first


def test_what_cannot_be_made_is_said(engine: Engine) -> None:
    with pytest.raises(UnknownModel, match="one, two"):
        make(engine, model="../../etc/passwd")
    with pytest.raises(BadRequest, match="Euler"):
        make(engine, sampler="Newton")
    with pytest.raises(BadRequest, match="Karras"):
        make(engine, schedule="Tuesday")


def test_a_model_that_is_broken_or_of_another_kind_is_refused_by_name(tmp_path: Path) -> None:
    folder = make_sd1(checkpoints(tmp_path) / "half")
    (folder / "vae" / "diffusion_pytorch_model.safetensors").write_bytes(b"half a file")
    mute = make_sd1(checkpoints(tmp_path) / "mute")
    shutil.rmtree(mute / "text_encoder")
    other = make_sd1(checkpoints(tmp_path) / "other")
    shutil.rmtree(other / "unet")
    engine = engine_on(tmp_path)
    with pytest.raises(BrokenFile, match="half"):
        make(engine, model="half")
    with pytest.raises(BrokenFile, match=r"mute.*no text encoder"):
        make(engine, model="mute")
    with pytest.raises(WrongFamily, match=r"other.*looked for.*unet\.conv_in\.weight"):
        make(engine, model="other")


def test_prediction_type_comes_from_the_folder(root: Path, tmp_path: Path) -> None:
    folder = checkpoints(tmp_path) / "one"
    shutil.copytree(checkpoints(root) / "one", folder)
    settings = folder / "scheduler" / "scheduler_config.json"
    about: Mapping[str, Any] = json.loads(settings.read_text())
    settings.write_text(json.dumps({**about, "prediction_type": "v_prediction"}))
    assert digests(make(engine_on(tmp_path))) != digests(make(engine_on(root)))
    settings.write_text(json.dumps({**about, "prediction_type": "sample"}))
    with pytest.raises(BrokenFile, match="sample"):
        make(engine_on(tmp_path))


def test_what_is_interrupted_last_of_all_is_finished_first(engine: Engine) -> None:
    made: list[Picture] = []
    last: Wanted = "last"
    report = RecordingReport(*[last] * 100)
    with pytest.raises(Cancelled):
        for picture, _ in engine.generate(ask(batch_count=3, batch_size=2), report, lambda picture: picture):
            made.append(picture)
    assert [picture.recipe.index for picture in made] == [0, 1]
    assert digests(made) == digests(make(engine, batch_size=2))
    assert len(make(engine, RecordingReport(*[last] * 100), batch_size=2)) == 2, "where no other follows it is done"
