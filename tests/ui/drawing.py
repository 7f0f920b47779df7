"""An engine that draws what the words of a prompt say, slowly and with previews: a page has something to show.

`python -m tests.ui.drawing PORT FOLDER SECONDS` serves the real page and queue on it, with the model files of FOLDER
where it has a folder `models`.
"""

import base64
import io
import sys
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

from PIL import Image, ImageDraw

from modules.commands.rooms import builtins
from modules.errors import BrokenPicture, Cancelled
from modules.events import Note, Preview, Step
from modules.images.enlarging import enlarged
from modules.images.inputs import Inputs
from modules.model_manager.catalog import Catalog, ModelFile
from modules.model_manager.resident import Resident
from modules.offers import Offers, gather
from modules.plugins import make_plugins
from modules.request import Request, Shot
from modules.result import Picture, Recipe
from modules.server.server import Server
from modules.settings import Settings
from modules.tasks import Detect, Extras, FileTask, Interrogate
from tests.fake_catalog import FakeCatalog

if TYPE_CHECKING:  # it brings in torch
    from modules.engine.report import Report

T = TypeVar("T")
FILES = (
    ModelFile("dreams", Path("dreams"), family="sd1", native_size=96),
    ModelFile("starter", Path("starter"), family="sd1", hash="0123456789", native_size=64),
)
COLOURS = {"red": (220, 40, 40), "blue": (40, 80, 220), "green": (40, 160, 70), "yellow": (240, 200, 40)}


class DrawingEngine:
    """A circle in the first colour the prompt names on a ground in the second, emerging from grey step by step."""

    device = "cpu"

    def __init__(self, seconds: float, settings: Settings) -> None:
        self.settings = settings
        self.seconds = seconds  # for each step
        self.loaded: list[str] = []

    def offers(self) -> Offers:
        return gather(make_plugins("ui", builtins("ui"), None))

    def resident(self) -> tuple[Resident, ...]:
        return tuple(Resident(name, "sd1", 29_000_000, "cpu", "float32") for name in self.loaded)

    def load(self, name: str) -> None:
        time.sleep(self.seconds)
        self.loaded = [*(each for each in self.loaded if each != name), name]

    def unload(self, name: str) -> None:
        self.loaded = [each for each in self.loaded if name not in ("", each)]

    def foresee(self, name: str) -> None:
        pass

    def adopt(self, values: Mapping[str, Any]) -> None:
        self.settings = self.settings.model_copy(update=dict(values))

    def make_file(self, task: FileTask, report: "Report") -> Path:
        """Take the time of twenty steps, and make nothing."""
        for step in range(20):
            if report.wanted() == "stop":
                raise Cancelled("cancelled")
            time.sleep(self.seconds)
            report.tell(Step(image=0, batch=1, images=1, step=step + 1, steps=20))
        return Path(f"{task.name}.safetensors")

    def process(
        self,
        task: Extras,
        report: "Report",
        save: Callable[[Picture, str], T],
        job: str = "",
        done: Collection[int] = (),
    ) -> Iterator[tuple[Picture, T]]:
        """Enlarge by a filter, whatever the upscaler, in ten steps each."""
        inputs = Inputs(self.settings.inputs)
        for place, name in enumerate(task.pictures):
            if place in done:
                continue
            for step in range(10):
                if report.wanted() == "stop":
                    raise Cancelled("cancelled")
                time.sleep(self.seconds)
                report.tell(Step(image=place, batch=1, images=len(task.pictures), step=step + 1, steps=10))
            image = inputs.open(name)
            image = image.resize(enlarged(image.size, task)[0])
            notes = {"Postprocess upscale by": f"{task.scale:g}", "Postprocess upscaler": task.upscaler}
            recipe = Recipe(given=inputs.text(name), postprocessing=notes, job=job, index=place, width=1, height=1)
            picture = Picture(image, recipe)
            yield picture, save(picture, task.name_of(place))

    def interrogate(self, task: Interrogate, report: "Report") -> str:
        """Say what every picture of this engine shows."""
        return "a picture of nothing"

    def detect(self, task: Detect, report: "Report") -> str:
        """Draw nothing: the hint is the picture itself."""
        return task.image

    def generate(
        self,
        request: Request,
        report: "Report",
        save: Callable[[Picture], T],
        job: str = "",
        done: Collection[int] = (),
    ) -> Iterator[tuple[Picture, T]]:
        if request.prompt == "fail":
            raise BrokenPicture("broken_decode", dtype="float16")
        shots = request.shots()
        for first in range(0, len(shots), request.batch_size):
            batch = [each for each in shots[first : first + request.batch_size] if each.index not in done]
            if batch and self._steps(request, batch, len(shots), report):
                for shot in batch:
                    picture = Picture(_drawn(request, shot, 1.0), _recipe(request, shot, job))
                    yield picture, save(picture)

    def _steps(self, request: Request, batch: list[Shot], images: int, report: "Report") -> bool:
        for step in range(1, request.steps + 1):
            wanted = report.wanted()
            if wanted == "stop":
                raise Cancelled("cancelled")
            if wanted == "skip":
                report.tell(Note(key="skipped", values={"first": batch[0].index + 1, "last": batch[-1].index + 1}))
                return False
            time.sleep(self.seconds)
            small = io.BytesIO()
            _drawn(request, batch[0], step / request.steps).save(small, "WEBP")
            every = self.settings.preview_every
            if every and step % every == 0:
                report.tell(Preview(image=batch[0].index, webp=base64.b64encode(small.getvalue()).decode()))
            report.tell(Step(image=batch[0].index, batch=len(batch), images=images, step=step, steps=request.steps))
        return True


def _drawn(request: Request, shot: Shot, clearness: float) -> Image.Image:
    named = [COLOURS[word] for word in shot.prompt.lower().split() if word in COLOURS]
    front, back = [*named, COLOURS["red"], COLOURS["blue"]][:2] if len(named) < 2 else named[:2]
    width, height = request.width or 64, request.height or 64
    image = Image.new("RGB", (width, height), back)
    radius = min(width, height) * 0.3
    middle = (width / 2, height / 2)
    ImageDraw.Draw(image).ellipse(
        [middle[0] - radius, middle[1] - radius, middle[0] + radius, middle[1] + radius], fill=front
    )
    return Image.blend(Image.new("RGB", image.size, (128, 128, 128)), image, clearness)


def _recipe(request: Request, shot: Shot, job: str) -> Recipe:
    return Recipe(
        prompt=shot.prompt,
        negative_prompt=shot.negative_prompt,
        model=request.model,
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


def make_drawing_engine(settings: Settings, seconds: float = 0.0) -> DrawingEngine:
    return DrawingEngine(seconds, settings)


def drawing_server(folder: Path, seconds: float = 0.1, **settings: object) -> Server:
    """A server on `folder` whose workers draw; not started. Without a folder `models` there it has two checkpoints."""
    made = Settings.of_command_line({"data_dir": folder, **settings})
    plugins = make_plugins("ui", builtins("ui"), made.extensions)
    known = None if (folder / "models").is_dir() else cast(Catalog, FakeCatalog(FILES, "starter"))
    return Server(made, plugins, known, partial(make_drawing_engine, seconds=seconds), grace=2.0)


def main() -> None:
    import uvicorn

    from modules.commands.serve import bound_socket
    from modules.ui.app import build_app

    folder = Path(sys.argv[2])
    server = drawing_server(folder, float(sys.argv[3]), port=int(sys.argv[1]))
    app = build_app(server)
    server.start()
    listener = bound_socket(server.settings)
    sys.stdout.write(f"http://127.0.0.1:{listener.getsockname()[1]}/\n")
    sys.stdout.flush()
    try:
        uvicorn.Server(uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=1)).run([listener])
    finally:
        server.stop()


if __name__ == "__main__":
    main()
