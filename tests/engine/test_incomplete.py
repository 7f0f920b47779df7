"""A picture that a person wanted no more of: kept as it was by then where that is wanted, and made whole later."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from modules.engine.engine import Engine
from modules.engine.incomplete import Last
from modules.engine.report import Wanted
from modules.engine.watched import Part
from modules.errors import Cancelled
from modules.images import infotext
from modules.result import Picture
from tests.engine.test_engine import ask, digests
from tests.fakes import RecordingReport

GO: Wanted = "go"


@pytest.fixture
def saving(engine: Engine) -> Iterator[Engine]:
    before = engine.settings
    engine.settings = before.model_copy(update={"save_incomplete_images": True})
    yield engine
    engine.settings = before


def interrupted(engine: Engine, *wishes: Wanted, done: tuple[int, ...] = (), **values: Any) -> list[Picture]:
    made = []
    with pytest.raises(Cancelled):
        for picture, _ in engine.generate(
            ask(sampler="Euler", width=64, height=64, **values), RecordingReport(*wishes), lambda made: made, done=done
        ):
            made.append(picture)
    return made


def test_it_is_saved_as_it_was_and_not_as_one_of_the_job(saving: Engine) -> None:
    (part,) = interrupted(saving, "go", "go", "stop", steps=6)
    assert (part.recipe.interrupted, part.recipe.index, part.recipe.seed) == (2, -2, 7)
    assert infotext.read(infotext.write(part.recipe))["Interrupted at step"] == "2"
    (whole, _), *_ = saving.generate(ask(sampler="Euler", width=64, height=64, steps=6), RecordingReport(), lambda p: p)
    assert digests([whole]) != digests([part]) and whole.recipe.interrupted == 0
    assert "Interrupted" not in infotext.write(whole.recipe)
    (again,) = interrupted(saving, "go", "go", "stop", done=(-2,), steps=6)
    assert again.recipe.index == -3 and digests([again]) == digests([part])


def test_each_of_a_batch_is_and_those_before_are_whole(saving: Engine) -> None:
    made = interrupted(saving, *[GO] * 8, "stop", steps=3, batch_count=2, batch_size=2)  # a call for each picture
    found = [(picture.recipe.index, picture.recipe.interrupted) for picture in made]
    assert found == [(0, 0), (1, 0), (-2, 1), (-3, 1)]


def test_nothing_is_kept_unless_it_is_wanted_or_before_there_is_anything(engine: Engine, saving: Engine) -> None:
    assert interrupted(saving, "stop") == []
    saving.settings = saving.settings.model_copy(update={"save_incomplete_images": False})
    assert interrupted(saving, "go", "go", "stop") == []


def test_what_is_skipped_is_kept_and_the_next_is_made(saving: Engine) -> None:
    report = RecordingReport("go", "skip")
    asked = ask(sampler="Euler", width=64, height=64, batch_count=2)
    made = [picture for picture, _ in saving.generate(asked, report, lambda picture: picture)]
    assert [(picture.recipe.index, picture.recipe.interrupted) for picture in made] == [(-2, 1), (1, 0)]
    assert "note" in report.kinds()


@pytest.mark.parametrize(("calls", "steps", "size"), [(2, 2, (64, 64)), (5, 5, (96, 96))])
def test_of_two_passes_the_one_at_work_is(saving: Engine, calls: int, steps: int, size: tuple[int, int]) -> None:
    hires = {"upscaler": "Latent", "scale": 1.5, "denoising_strength": 1.0}
    (part,) = interrupted(saving, *[GO] * calls, "stop", steps=3, hires=hires)
    assert (part.recipe.interrupted, part.image.size) == (steps, size)


def test_only_what_is_masked_is_unfinished(saving: Engine) -> None:
    mask = Image.new("L", (64, 64))
    mask.paste(255, (0, 0, 32, 64))
    names = [saving.inputs.keep(each) for each in (Image.new("RGB", (64, 64), "red"), mask)]
    init = {"image": names[0], "denoising_strength": 1.0}
    (part,) = interrupted(saving, "go", "stop", steps=4, init=init, mask={"image": names[1], "blur": 0})
    pixels = np.asarray(part.image)
    assert (pixels[:, 40:] == (255, 0, 0)).all() and (pixels[:, :24] != (255, 0, 0)).any()


def test_a_guess_that_is_no_number_is_none() -> None:
    last = Last()
    assert last.latents() is None
    guesses = iter([torch.ones(1, 4, 2, 2), torch.full((1, 4, 2, 2), torch.nan)])
    step = last.noting(lambda x, sigma: next(guesses), [3.0, 2.0, 1.0, 0.0], Part(before=4))
    step(torch.zeros(1), 3.0)
    assert last.steps == 5 and last.latents() is not None
    step(torch.zeros(1), 2.0)
    assert last.steps == 6 and last.latents() is None
