"""Where there is no room for a picture, less is done at once, and the recipe says so; or the error has figures."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from modules.engine.engine import Engine
from modules.engine.guidance import Call, plan_calls
from modules.engine.ladder import LABEL, Ladder
from modules.engine.memory import NoRoom, alone
from modules.errors import OutOfMemory
from modules.events import Event, Note
from modules.families.family import Conditioning
from modules.families.unet.model import UnetModel
from modules.images import infotext
from modules.request import make_request
from modules.result import Picture
from tests.fakes import RecordingReport


def make(engine: Engine, report: RecordingReport | None = None, **values: Any) -> list[Picture]:
    request = make_request({"model": "one", "prompt": "a", "steps": 2, "seed": 7, "sampler": "Euler", **values})
    return [picture for picture, _ in engine.generate(request, report or RecordingReport(), lambda picture: picture)]


def notes(events: list[Event]) -> list[str]:
    return [event.key for event in events if isinstance(event, Note)]


def cramp(monkeypatch: pytest.MonkeyPatch, pictures: int = 99, tile: int = 0) -> None:
    """No room for more than so many pictures at a time; nor to decode larger pieces, if `tile` is given."""
    predict, decode = UnetModel.predict, UnetModel.decode

    def cramped(self: UnetModel, x: Tensor, sigma: float, conditioning: Conditioning) -> Tensor:
        if len(x) > 2 * pictures:  # each with its prompt and its negative prompt
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return predict(self, x, sigma, conditioning)

    def cramped_decode(self: UnetModel, latents: Tensor, tile: int = 0, exact: bool = False) -> Tensor:
        if limit and (not tile or tile > limit):
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory")
        return decode(self, latents, tile, exact)

    limit = tile
    monkeypatch.setattr(UnetModel, "predict", cramped)
    monkeypatch.setattr(UnetModel, "decode", cramped_decode)


def forced(plan: Callable[..., list[Call]], *given: Any, together: bool) -> list[Call]:
    return plan(*given, together=True)


def test_a_batch_that_is_too_large_is_made_in_smaller_ones_of_the_same_pictures(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    # as on a GPU: all pictures of a batch in one call
    monkeypatch.setattr("modules.engine.engine.plan_calls", partial(forced, plan_calls))
    whole = make(engine, batch_size=4, batch_count=2)
    cramp(monkeypatch, pictures=2)
    report = RecordingReport()
    parts = make(engine, report, batch_size=4, batch_count=2)
    assert [picture.recipe.seed for picture in parts] == [picture.recipe.seed for picture in whole]
    for one, other in zip(parts, whole, strict=True):
        assert np.abs(np.asarray(one.image, np.int16) - np.asarray(other.image, np.int16)).max() <= 2
    assert all(picture.recipe.notes == {LABEL: "batch 2"} for picture in parts)
    assert f"{LABEL}: batch 2" in infotext.write(parts[0].recipe)
    assert notes(report.events) == ["memory_batch"], "the second batch began as small"
    assert whole[0].recipe.notes == {}


def test_a_picture_that_cannot_be_decoded_at_once_is_decoded_in_pieces(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    cramp(monkeypatch, tile=256)
    report = RecordingReport()
    (picture,) = make(engine, report)
    assert picture.recipe.notes == {LABEL: "VAE tiles 256"}
    assert notes(report.events) == ["memory_tiles", "memory_tiles"]
    assert len([event for event in report.events if event.kind == "step"]) == 2, "nothing was denoised again"


def test_first_everything_else_goes(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    make(engine, model="two")
    predict = UnetModel.predict

    def cramped(self: UnetModel, x: Tensor, sigma: float, conditioning: Conditioning) -> Tensor:
        if len(engine.resident()) > 1:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return predict(self, x, sigma, conditioning)

    monkeypatch.setattr(UnetModel, "predict", cramped)
    (picture,) = make(engine, model="one")
    assert picture.recipe.notes == {}, "the picture is as it always is"
    assert [each.name for each in engine.resident()] == ["one"]


def test_at_the_end_of_the_ladder_the_error_has_figures_and_nothing_is_kept(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    cramp(monkeypatch, pictures=0)
    with pytest.raises(OutOfMemory, match="1 × 64×64"):
        make(engine, batch_size=2)
    assert engine.resident() == ()
    monkeypatch.undo()
    assert len(make(engine)) == 1


def test_an_error_on_its_own_holds_nothing_of_what_failed() -> None:
    try:
        try:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        except torch.OutOfMemoryError as error:
            raise NoRoom("out_of_memory") from error
    except NoRoom as error:
        kept = alone(error)
    assert kept.__traceback__ is None and kept.__cause__ is None and kept.__context__ is None


def test_a_device_gives_less_to_the_model_before_the_batch_gets_smaller() -> None:
    report = RecordingReport()
    ladder = Ladder(report)
    ways = iter(["medvram", "lowvram", None, None])
    offload = lambda: next(ways)  # noqa: E731
    assert [ladder.climb(4, lambda: False, offload) for _ in range(3)] == [True, True, True]
    assert ladder.notes() == {LABEL: "lowvram + batch 2"}
    assert not ladder.climb(1, lambda: False, offload)
    assert notes(report.events) == ["memory_offload", "memory_offload", "memory_batch"]


def test_what_was_changed_for_one_request_is_forgotten_with_it(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    cramp(monkeypatch, tile=512)
    assert make(engine)[0].recipe.notes == {LABEL: "VAE tiles 512"}
    monkeypatch.undo()
    assert make(engine)[0].recipe.notes == {}


def test_a_model_is_loaded_and_unloaded_by_name(engine: Engine, root: Path) -> None:
    engine.load("one")
    assert [each.name for each in engine.resident()] == ["one"]
    report = RecordingReport()
    make(engine, report)
    assert "loading" not in report.kinds()
    engine.foresee("two")
    engine.foresee("nothing of that name")
    engine.unload("two")
    engine.unload("one")
    assert engine.resident() == ()
