"""Stand-ins: an engine that draws flat pictures at once, a worker made of it, a report that records."""

import os
import random
import resource
import signal
import time
from collections.abc import Callable, Collection, Iterator
from typing import Any, TypeVar

from PIL import Image

from modules.engine.report import Report, Wanted
from modules.errors import BrokenPicture, Cancelled
from modules.events import Event, Loading, Note, Preview, Step
from modules.offers import AUTOMATIC, Offers
from modules.request import Request, Shot, make_request
from modules.result import Picture, Recipe
from modules.settings import Settings

T = TypeVar("T")

SAMPLERS = ("Euler", "DPM++ 2M")
SCHEDULES = (AUTOMATIC, "Karras")
OFFERS = Offers(
    SAMPLERS, SCHEDULES, {each.lower(): each for each in SAMPLERS}, {each.lower(): each for each in SCHEDULES}
)


class RecordingReport:
    """A report that keeps what it is told and wants what it is given, call by call, and then "go"."""

    def __init__(self, *wishes: Wanted) -> None:
        self.events: list[Event] = []
        self.wishes = list(wishes)

    def tell(self, event: Event) -> None:
        self.events.append(event)

    def wanted(self) -> Wanted:
        return self.wishes.pop(0) if self.wishes else "go"

    def kinds(self) -> list[str]:
        return [each.kind for each in self.events]


def ask(prompt: str = "", **values: Any) -> Request:
    return make_request({"prompt": prompt, **values})


def fake_recipe(request: Request, shot: Shot, job: str = "") -> Recipe:
    return Recipe(
        prompt=shot.prompt,
        negative_prompt=shot.negative_prompt,
        model=request.model or "starter",
        model_hash="0123456789",
        family="sd1",
        sampler=request.sampler,
        schedule=request.schedule,
        steps=request.steps,
        width=request.width or 64,
        height=request.height or 64,
        cfg_scale=request.cfg_scale,
        seed=shot.seed,
        device="cpu",
        dtype="fp32",
        job=job,
        index=shot.index,
    )


class FakeEngine:
    """Draws one colour for each seed. Some prompts misbehave: poison kills, fail raises, hang never returns."""

    device = "cpu"

    def __init__(self, seconds: float = 0.0) -> None:
        self.seconds = seconds  # for each step
        self._model = ""

    def offers(self) -> Offers:
        return OFFERS

    def generate(
        self,
        request: Request,
        report: Report,
        save: Callable[[Picture], T],
        job: str = "",
        done: Collection[int] = (),
    ) -> Iterator[tuple[Picture, T]]:
        if self._model != request.model:
            report.tell(Loading(model=request.model))
            self._model = request.model
        shots = request.shots()
        for first in range(0, len(shots), request.batch_size):
            batch = [each for each in shots[first : first + request.batch_size] if each.index not in done]
            if not batch or not self._steps(request, batch, len(shots), report):
                continue
            for shot in batch:
                recipe = fake_recipe(request, shot, job)
                picture = Picture(_drawn(recipe), recipe)
                yield picture, save(picture)

    def _steps(self, request: Request, batch: list[Shot], images: int, report: Report) -> bool:
        for step in range(1, request.steps + 1):
            wanted = report.wanted()
            if wanted == "stop":
                raise Cancelled("cancelled")
            if wanted == "skip":
                report.tell(Note(key="skipped", values={"first": batch[0].index + 1, "last": batch[-1].index + 1}))
                return False
            self._misbehave(request.prompt)
            time.sleep(self.seconds)
            report.tell(Preview(image=batch[0].index, webp="UklGRg=="))
            report.tell(Step(image=batch[0].index, batch=len(batch), images=images, step=step, steps=request.steps))
        return True

    def _misbehave(self, prompt: str) -> None:
        if prompt == "poison":
            os.kill(os.getpid(), signal.SIGKILL)
        elif prompt == "fail":
            raise BrokenPicture("broken_picture")
        elif prompt == "bug":
            raise ZeroDivisionError("division by zero")
        elif prompt == "hang":
            time.sleep(3600)


def _drawn(recipe: Recipe) -> Image.Image:
    """One colour for a seed; noise, which takes all its bytes on the disk, for the prompt "noise"."""
    size = recipe.width, recipe.height
    if recipe.prompt == "noise":
        return Image.frombytes("RGB", size, random.Random(recipe.seed).randbytes(3 * size[0] * size[1]))
    return Image.new("RGB", size, (recipe.seed % 256, recipe.seed // 256 % 256, recipe.index % 256))


def make_fake_engine(settings: Settings, seconds: float = 0.0) -> FakeEngine:
    return FakeEngine(seconds)


def make_limited_engine(settings: Settings, largest: int) -> FakeEngine:
    """An engine in a process that cannot write files of more than `largest` bytes."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (largest, largest))
    return FakeEngine()


def make_no_engine(settings: Settings) -> FakeEngine:
    raise ImportError("no module named torch")
