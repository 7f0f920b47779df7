"""The whole route of a request, readable from top to bottom."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import ExitStack, suppress
from functools import cache, partial
from importlib.metadata import version
from pathlib import Path
from typing import TypeVar

import torch
from PIL import Image
from torch import Tensor

from modules import __version__
from modules.captioners.captioner import Captioner
from modules.engine import device as devices
from modules.engine.canvas import prepare, size_of, tiles_of
from modules.engine.captions import Captions
from modules.engine.conditioning import Encode, Encoder
from modules.engine.controls import Controls
from modules.engine.denoise import denoise
from modules.engine.doors import patched, tell_finished
from modules.engine.extras import Postprocessor
from modules.engine.files import make_file
from modules.engine.finish import decode, finished
from modules.engine.guidance import Call, CallsAt, beside, following, plan_calls, spoken
from modules.engine.hires import second_job, start_larger, steps_of, used_hires
from modules.engine.job import Job, Rings
from modules.engine.ladder import Ladder
from modules.engine.latents import Guard, Start, start
from modules.engine.lengths import spoken_apart
from modules.engine.levels import levelled
from modules.engine.memory import NoRoom, alone, limits_of, roomy
from modules.engine.networks import Asked, Networks, Run, runs
from modules.engine.report import Report, Skipped, Unrepeated, heeding
from modules.engine.tiling import boxes_of, windows_of
from modules.engine.upscaling import Upscaling
from modules.engine.watched import ALL, Part
from modules.engine.wording import Wording, moments, wordings
from modules.engine.words import LearnedWordsOf
from modules.errors import BadRequest, EaselError, OutOfMemory
from modules.events import Loading, Note
from modules.families.family import Family, Model
from modules.images.inputs import Inputs
from modules.images.resize import flattened
from modules.images.tiles import tiled_size
from modules.model_manager.annotators import Annotators
from modules.model_manager.autoencoders import Autoencoders
from modules.model_manager.caption_files import CaptionFiles
from modules.model_manager.catalog import Catalog, ModelFile
from modules.model_manager.hires_check import checked_hires
from modules.model_manager.learned import Vocabulary
from modules.model_manager.residency import ModelManager
from modules.model_manager.resident import Resident
from modules.model_manager.tiles_check import checked_tiles
from modules.offers import AUTOMATIC, Offers, gather
from modules.plugins import Plugins, onion
from modules.prompts.emphasis import EMPHASES
from modules.request import Request, Shot
from modules.result import Picture, Recipe
from modules.sampling.sampler import Sampler
from modules.sampling.schedules import Schedule, sigmas_for
from modules.settings import Settings
from modules.tasks import Detect, Extras, FileTask, Interrogate

T = TypeVar("T")
Hashes = dict[str, dict[str, str]]  # kind of network -> name -> short hash
PACKAGES = ("torch", "diffusers", "transformers")


class Engine:
    """Makes pictures; one for each process. It owns the weights, through its `ModelManager`."""

    def __init__(self, settings: Settings, plugins: Plugins, catalog: Catalog) -> None:
        self.device = devices.choose_device(settings)
        devices.tune(self.device)
        self.settings = settings
        self.plugins = plugins
        self.catalog = catalog
        # Protocols and frozen classes are asked for by type; mypy wants the protocol spelt out.
        families = plugins.offered("families", Family)  # type: ignore[type-abstract]
        self.models = ModelManager(
            families, self.device, partial(devices.choose_dtype, settings, self.device), limits_of(settings)
        )
        self.samplers = plugins.offered("samplers", Sampler)
        self.schedules = {each.label: each for each in plugins.offered("schedules", Schedule).values()}
        self.versions = {name: version(name) for name in PACKAGES} | {"easel": __version__}
        self.inputs = Inputs(settings.inputs)
        self.networks = Networks(catalog)
        self.words = LearnedWordsOf(catalog)
        self.autoencoders = Autoencoders(catalog)
        room = partial(self.models.evict, "")
        self.upscaling = Upscaling(plugins, catalog, self.device, settings.upscale_tile, settings.upscale_overlap, room)
        kinds = plugins.offered("captioners", Captioner)
        self.captions = Captions(CaptionFiles(settings, kinds), self.device, room)
        self.postprocessor = Postprocessor(catalog, self.inputs, self.upscaling, self.captions)
        self.controls = Controls(catalog, plugins, self.inputs, Annotators.of(settings, self.device))
        self._encoder: Encoder | None = None
        self._exact: set[tuple[ModelFile, ModelFile | None]] = set()  # whose decoding needs float32

    def offers(self) -> Offers:
        """Return what this process can do, by name."""
        return gather(self.plugins)

    def generate(
        self,
        request: Request,
        report: Report,
        save: Callable[[Picture], T],
        job: str = "",
        done: Collection[int] = (),
    ) -> Iterator[tuple[Picture, T]]:
        """Make the pictures of `request`, batch by batch; yield each with what `save` returned for it.

        The seed must be drawn (`Request.with_seed`). Pictures whose index is in `done` exist already and are left out.
        Raises `UnknownModel` and other `ModelError`s, `BadRequest`, `OutOfMemory`, `BrokenPicture`, `Cancelled` and
        `ExtensionError`; pictures yielded before stay.
        """
        request = self.offers().settle(request)
        shots = onion(Request.shots, self.plugins.rings("around_plan", request))(request)
        file = self.catalog.hashed(self.catalog.find(request.model))
        request = checked_tiles(request, self.catalog, self.offers().upscalers, self.inputs)
        request = checked_hires(request, self.catalog, self.offers())
        request = self.controls.checked(request, file, self.offers())
        report = Unrepeated(report)
        vae = self.autoencoders.chosen(file, request.vae)
        ladder = Ladder(report, exact=(file, vae) in self._exact)
        larger = cache(partial(self._larger, request, report))
        for first in range(0, len(shots), request.batch_size):
            batch = [shot for shot in shots[first : first + request.batch_size] if shot.index not in done]
            waiting = deque(runs(batch, report))
            while waiting:
                run, *rest = waiting.popleft().cut(ladder.batch)
                waiting.extendleft(reversed(rest))
                shortage = None
                try:
                    task, rings, images, numbers, networks = self._make(
                        request, run, len(shots), file, vae, ladder, report, larger
                    )
                except NoRoom as error:
                    shortage = alone(error)
                except Skipped:
                    values = {"first": run.shots[0].index + 1, "last": run.shots[-1].index + 1}
                    report.tell(Note(key="skipped", values=values))
                    continue
                if shortage is not None:  # only now: with the error, all that the batch held was still there
                    self._climb(ladder, len(run.shots), file, shortage)
                    waiting.appendleft(run)
                    continue
                if ladder.exact:
                    self._exact.add((file, vae))
                write = onion(save, rings.save)
                pictures = []
                for shot, image, used in zip(run.shots, images, networks, strict=True):
                    picture = Picture(image, self._recipe(task, shot, file, vae, numbers, job, used, ladder))
                    saved = write(picture)
                    pictures.append(picture)
                    yield picture, saved
                tell_finished(self.plugins, task, pictures)

    def make_file(self, task: FileTask, report: Report) -> Path:
        """Make the checkpoint file of a settled `task` and return where it is; see `modules.engine.files`."""
        return make_file(task, self.catalog, report)

    def process(
        self,
        task: Extras,
        report: Report,
        save: Callable[[Picture, str], T],
        job: str = "",
        done: Collection[int] = (),
    ) -> Iterator[tuple[Picture, T]]:
        """Do what a settled `task` asks for to finished pictures; see `modules.engine.extras`."""
        return self.postprocessor.process(task, Unrepeated(report), save, job, done)

    def resident(self) -> tuple[Resident, ...]:
        """Return the models in memory, those of controls first, the checkpoint used last at the end."""
        return (*self.controls.resident(), *self.models.resident(self.networks.aside))

    @torch.inference_mode()
    def detect(self, task: Detect, report: Report) -> str:
        """Draw the hint that a preprocessor makes of a picture, and return the name it is kept under.

        Raises `BadRequest`, `UnknownModel` for weights that are not there, and what reading them raises.
        """
        return self.controls.detect(task)

    def interrogate(self, task: Interrogate, report: Report) -> str:
        """Say in words what a picture shows.

        Raises `BadRequest` for a picture that is gone, `UnknownModel` and `BrokenFile` for a model that is not there.
        """
        return self.captions.say(task.captioner, self.inputs.open(task.image), report)

    def load(self, name: str) -> None:
        """Load the checkpoint of that name; raises `ModelError` or `OutOfMemory` when that cannot be."""
        file = self.catalog.hashed(self.catalog.find(name))
        with self.models.borrow(file, self.autoencoders.chosen(file, AUTOMATIC)):
            pass

    def unload(self, name: str) -> None:
        """Let go of the checkpoint of that name, or of all; nothing happens when it is not loaded."""
        self._forget()
        self.models.release(name)

    def foresee(self, name: str) -> None:
        """Read the files of the checkpoint of that name ahead, in the thread that asks. Never raises."""
        with suppress(EaselError):
            self.models.prefetch(self.catalog.find(name))

    def _forget(self) -> None:
        """Let go of what is kept beside the models."""
        self._encoder = None
        self.networks.forget()
        self.upscaling.forget()
        self.captions.forget()
        self.controls.forget()

    def _climb(self, ladder: Ladder, pictures: int, file: ModelFile, shortage: NoRoom) -> None:
        """Change something so that a batch may find room; raise `shortage` when there is nothing left to change."""
        self._forget()
        if not ladder.climb(pictures, partial(self.models.evict, file.name), partial(self.models.offload, file)):
            self.models.release()
            raise shortage

    @torch.inference_mode()
    def _make(
        self,
        request: Request,
        run: Run,
        images: int,
        file: ModelFile,
        vae: ModelFile | None,
        ladder: Ladder,
        report: Report,
        larger: Callable[[], Image.Image | None],
    ) -> tuple[Job, Rings, list[Image.Image], dict[str, str], list[Hashes]]:
        """Make the pictures of a run: borrow, encode, start, denoise, decode."""
        enlarged = larger()  # first: what enlarges it may need the room that the checkpoint takes
        if not self.models.holds(file, vae):
            report.tell(Loading(model=file.name))
            self._encoder = None
            self.controls.forget_others(request)
        try:
            asked = self.networks.asked(run.tags, report)
            emphasis = EMPHASES[request.emphasis]
            timed = partial(wordings, old=request.old_timelines)
            said = [timed(shot, request.steps) for shot in run.plain]
            with self.models.borrow(file, vae) as model, ExitStack() as applied:
                task = self._job(request, run.shots, images, model)
                enter = roomy(applied.enter_context, self.device, task)
                bundled = enter(self.networks.applied(model, asked, report))
                if request.tiling:
                    enter(model.seamless())
                rings = Rings.of(self.plugins, task)
                with patched(self.plugins, task, model) as patches, self.models.working(model):
                    words = self.words.vocabulary(model, bundled)
                    self.words.tell(words, said, request.cfg_scale, emphasis, report)
                    encoder = self._encoder_of(model, words, asked, fresh=patches > 0)
                    model = levelled(model, request)
                    encode = partial(encoder, clip_skip=request.clip_skip, emphasis=emphasis)
                    encode = onion(roomy(encode, self.device, task), rings.encode)
                    guard = partial(roomy, device=self.device, job=task)
                    canvas = prepare(request, self.inputs, task.width, task.height, report, enlarged)
                    begin = start(task, model, self._sigmas(task, model), canvas, guard)
                    call = partial(self._calls, encode=encode, model=model)
                    whole = partial(decode, model, ladder, guard)
                    paint = partial(self._pass, rings, model, report, guard)
                    later = self._second(task)
                    if later is None:
                        clean = paint(task, begin, call(task, said, begin=begin), ALL)
                    else:
                        levels = self._sigmas(later, model)
                        part = Part(after=steps_of(later, levels))
                        clean = paint(task, begin, call(task, said, begin=begin), part)
                        part = Part(before=len(begin.sigmas) - 1)
                        enlarge = partial(self._enlarged, report)
                        begin = start_larger(task, later, model, levels, clean, whole, enlarge, guard)
                        then = [timed(shot, later.request.steps, request.steps) for shot in run.plain]
                        clean = paint(later, begin, call(later, then, begin=begin), part)
                    pictures = onion(whole, rings.decode)(clean)
                    pictures = self.controls.kept(later or task, finished(canvas, pictures, begin.kept, clean))
                networks = [
                    {**asked.hashes, "embedding": self.words.hashes(words, each, request.cfg_scale, emphasis)}
                    for each in said
                ]
                numbers = {"dtype": devices.name_of(model.dtype), "attention": _attention(model)}
                return task, rings, pictures, numbers, networks
        except OutOfMemory as error:
            if not isinstance(error, NoRoom):
                self._forget()
                self.models.release()
            raise

    def _pass(
        self,
        rings: Rings,
        model: Model,
        report: Report,
        guard: Guard,
        task: Job,
        begin: Start,
        calls: CallsAt,
        counted: Part,
    ) -> Tensor:
        """Return the clean latents (B, C, h, w) of one pass over the pictures of `task`."""
        windows = windows_of(task, model.latent.factor, model.device)
        boxes = boxes_of(windows, model.latent.factor)
        controls = guard(self.controls.rings)(task, model, begin.sigmas, boxes)
        every = self.settings.preview_every
        return denoise(task, rings, model, calls, begin, report, every, controls, windows, counted)

    def _second(self, task: Job) -> Job | None:
        hires = task.request.hires
        return None if hires is None else second_job(task, *self._ways(hires.sampler, hires.schedule))

    def _larger(self, request: Request, report: Report) -> Image.Image | None:
        """Return the picture that is painted over in tiles, made larger (RGB); None where there is no such thing."""
        if request.init is None or request.tiles is None:
            return None
        image = flattened(self.inputs.open(request.init.image), request.init.background)
        size = tiled_size(image.size, request.tiles.scale)
        return self._enlarged(report, request.tiles.upscaler, image, size)

    def _enlarged(self, report: Report, name: str, image: Image.Image, size: tuple[int, int]) -> Image.Image:
        return self.upscaling.enlarge(name, image, size, heeding(lambda *_: None, report), report)

    def _calls(
        self, task: Job, said: Sequence[Sequence[Wording]], encode: Encode, begin: Start, model: Model
    ) -> CallsAt:
        follows = begin.beside is not None and model.further == model.latent.channels
        negatives = 2 if follows and (task.request.cfg_scale, task.image_scale) != (1, 1) else 0
        together = self.device.type != "cpu"
        encode = cache(encode)
        padding = task.request.pad_conds
        speak = spoken if padding == "chunks" else partial(spoken_apart, one_length=padding == "v0")
        words = [speak(each, encode, task.request.cfg_scale, negatives) for each in said]

        @cache
        def plan(moment: tuple[Wording, ...]) -> list[Call]:
            rows = [of[wording] for of, wording in zip(words, moment, strict=True)]
            calls = plan_calls(moment, rows, together=together)
            return calls if begin.beside is None else beside(calls, begin.beside)

        return following([plan(moment) for moment in moments(said, len(begin.sigmas) - 1)], begin.sigmas)

    def _job(self, request: Request, batch: list[Shot], images: int, model: Model) -> Job:
        sampler, schedule = self._ways(request.sampler, request.schedule)
        width, height = size_of(request, self.inputs, model.native_size)
        return Job(
            request=request,
            shots=tuple(batch),
            images=images,
            sampler=sampler,
            schedule=schedule,
            width=width,
            height=height,
            tiles=tiles_of(request, model.native_size),
        )

    def _ways(self, sampler: str, schedule: str) -> tuple[Sampler, Schedule]:
        found = self.samplers[sampler]
        return found, self.schedules[found.schedule if schedule == AUTOMATIC else schedule]

    def _encoder_of(self, model: Model, words: Vocabulary, asked: Asked, fresh: bool) -> Encoder:
        """Return the encoder of `model` as it is: the one that remembers, unless it is patched for this batch."""
        if fresh:
            return Encoder(model, words)
        if self._encoder is None or not self._encoder.suits(model, words, asked.loras):
            self._encoder = Encoder(model, words, asked.loras)
        return self._encoder

    def _sigmas(self, task: Job, model: Model) -> list[float]:
        try:
            return sigmas_for(task.sampler, task.schedule, task.request.steps, model.prediction)
        except ValueError as error:
            raise BadRequest(
                "schedule_steps", schedule=task.schedule.label, sampler=task.sampler.name, steps=task.request.steps
            ) from error

    def _recipe(
        self,
        task: Job,
        shot: Shot,
        file: ModelFile,
        vae: ModelFile | None,
        numbers: dict[str, str],
        job: str,
        networks: Hashes,
        ladder: Ladder,
    ) -> Recipe:
        request = task.request
        return Recipe(
            prompt=shot.prompt,
            negative_prompt=shot.negative_prompt,
            model=file.name,
            model_hash=file.hash,
            family=file.family,
            vae="" if vae is None else vae.name,
            vae_hash="" if vae is None else vae.hash,
            clip_skip=request.clip_skip,
            emphasis=request.emphasis,
            networks={kind: used for kind, used in networks.items() if used},
            sampler=task.sampler.name,
            schedule=task.schedule.label,
            steps=request.steps,
            width=task.width,
            height=task.height,
            cfg_scale=request.cfg_scale,
            seed=shot.seed,
            noise_source=request.noise_source,
            variation=request.variation and request.variation.model_copy(update={"seed": shot.variation_seed}),
            seed_delta=request.seed_delta,
            guidance=request.guidance,
            tiling=request.tiling,
            old_timelines=request.old_timelines,
            pad_conds=request.pad_conds,
            noise_schedule=request.noise_schedule,
            downcast_alphas=request.downcast_alphas,
            init=request.init,
            mask=request.mask,
            tiles=task.tiles,
            hires=used_hires(task),
            device=devices.describe(self.device),
            dtype=numbers["dtype"],
            attention=numbers["attention"],
            versions=self.versions,
            controls=self.controls.used(task),
            extras=request.extras,
            notes=ladder.notes(),
            job=job,
            index=shot.index,
        )


def _attention(model: Model) -> str:
    """Return by name how the network attends; what is not always the same is not always rounded the same."""
    processors = getattr(model.parts.get("unet"), "attn_processors", {})
    return " + ".join(sorted({type(each).__name__ for each in processors.values()}))
