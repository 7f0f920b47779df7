"""Stand-ins: an engine that draws flat pictures at once, a worker made of it, a report that records."""

import os
import random
import resource
import signal
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from PIL import Image

from modules.engine.report import Report, Wanted
from modules.errors import BrokenFile, BrokenPicture, Cancelled
from modules.events import Event, Loading, Note, Preview, Step
from modules.model_manager.resident import Resident
from modules.offers import AUTOMATIC, Offers, PreprocessorOffer
from modules.request import Request, Shot, make_request
from modules.result import Picture, Recipe
from modules.settings import Settings
from modules.tasks import Detect, Extras, FileTask, Interrogate

T = TypeVar("T")

SAMPLERS = ("Euler", "DPM++ 2M")
SCHEDULES = (AUTOMATIC, "Karras")
OFFERS = Offers(
    SAMPLERS,
    SCHEDULES,
    {each.lower(): each for each in SAMPLERS},
    {each.lower(): each for each in SCHEDULES},
    ("None", "Nearest"),
    {"canny": PreprocessorOffer("canny", "canny")},
    ("Parrot",),
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
    """Draws one colour for each seed, and keeps two models.

    Some prompts misbehave: poison kills, fail raises, hang never returns; "what comes?" notes the model foreseen,
    "which settings?" some of the settings that hold.
    """

    device = "cpu"

    def __init__(self, seconds: float = 0.0, settings: Settings | None = None) -> None:
        self.settings = settings or Settings()
        self.seconds = seconds  # for each step
        self.foreseen = ""
        self.models: list[str] = []

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
        if request.model not in self.models[-1:]:
            report.tell(Loading(model=request.model))
            self.load(request.model)
        shots = request.shots()
        for first in range(0, len(shots), request.batch_size):
            batch = [each for each in shots[first : first + request.batch_size] if each.index not in done]
            if not batch or not self._steps(request, batch, len(shots), report):
                continue
            for shot in batch:
                recipe = fake_recipe(request, shot, job)
                picture = Picture(_drawn(recipe), recipe)
                yield picture, save(picture)

    def resident(self) -> tuple[Resident, ...]:
        return tuple(Resident(each, "sd1", 1000, "cpu") for each in self.models)

    def load(self, name: str) -> None:
        if name == "broken":
            raise BrokenFile("not_safetensors", file=name)
        self.models = [*(each for each in self.models if each != name), name][-2:]

    def unload(self, name: str) -> None:
        self.models = [each for each in self.models if name not in ("", each)]

    def foresee(self, name: str) -> None:
        self.foreseen = name

    def adopt(self, values: Mapping[str, Any]) -> None:
        self.settings = self.settings.model_copy(update=dict(values))

    def make_file(self, task: FileTask, report: Report) -> Path:
        """Count to ten, and make nothing."""
        for step in range(10):
            if report.wanted() == "stop":
                raise Cancelled("cancelled")
            self._misbehave(task.name, report)
            time.sleep(self.seconds)
            report.tell(Step(image=0, batch=1, images=1, step=step + 1, steps=10))
        return Path(f"{task.name}.safetensors")

    def process(
        self,
        task: Extras,
        report: Report,
        save: Callable[[Picture, str], T],
        job: str = "",
        done: Collection[int] = (),
    ) -> Iterator[tuple[Picture, T]]:
        """Give back flat pictures, in ten steps each. A first picture called poison kills."""
        for index in range(task.images):
            if index in done:
                continue
            for step in range(1, 11):
                if report.wanted() == "stop":
                    raise Cancelled("cancelled")
                self._misbehave(task.name_of(index // task.each), report)
                time.sleep(self.seconds)
                report.tell(Step(image=index, batch=1, images=task.images, step=step, steps=10))
            recipe = Recipe(width=16, height=16, postprocessing={"Postprocess upscaler": "Nearest"})
            picture = Picture(
                Image.new("RGB", (16, 16), (index, 0, 0)), recipe.model_copy(update={"job": job, "index": index})
            )
            yield picture, save(picture, task.name_of(index // task.each))

    def detect(self, task: Detect, report: Report) -> str:
        """Draw nothing, and say that the hint is the picture itself."""
        return task.image

    def interrogate(self, task: Interrogate, report: Report) -> str:
        """Say how wide the name of the picture is."""
        return f"a picture called {task.image[:4]}"

    def _steps(self, request: Request, batch: list[Shot], images: int, report: Report) -> bool:
        for step in range(1, request.steps + 1):
            wanted = report.wanted()
            if wanted == "stop":
                raise Cancelled("cancelled")
            if wanted == "skip":
                report.tell(Note(key="skipped", values={"first": batch[0].index + 1, "last": batch[-1].index + 1}))
                return False
            self._misbehave(request.prompt, report)
            time.sleep(self.seconds)
            report.tell(Preview(image=batch[0].index, webp="UklGRg=="))
            report.tell(Step(image=batch[0].index, batch=len(batch), images=images, step=step, steps=request.steps))
        return True

    def _misbehave(self, prompt: str, report: Report) -> None:
        if prompt == "what comes?":
            until_foreseen = time.monotonic() + 10
            while not self.foreseen and time.monotonic() < until_foreseen:
                time.sleep(0.01)
            report.tell(Note(key="foreseen", values={"model": self.foreseen}))
        elif prompt == "which settings?":
            values = {"preview_every": self.settings.preview_every, "dtype": self.settings.dtype}
            report.tell(Note(key="settings", values=values))
        elif prompt == "poison":
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
    return FakeEngine(seconds, settings)


def make_limited_engine(settings: Settings, largest: int) -> FakeEngine:
    """An engine in a process that cannot write files of more than `largest` bytes."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (largest, largest))
    return FakeEngine()


def make_no_engine(settings: Settings) -> FakeEngine:
    raise ImportError("no module named torch")
