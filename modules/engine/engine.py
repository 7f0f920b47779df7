"""The whole route of a request, readable from top to bottom."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import cache, partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar

import torch
from PIL import Image
from torch import Tensor

from modules import __version__
from modules.captioners.captioner import Captioner
from modules.engine import device as devices
from modules.engine.beside import Beside
from modules.engine.canvas import Canvas, prepare, size_of, tiles_of
from modules.engine.captions import Captions
from modules.engine.conditioning import Encode, Encoder
from modules.engine.controls import Controls
from modules.engine.denoise import Turn, denoise
from modules.engine.doors import patched, tell_finished
from modules.engine.extras import Postprocessor
from modules.engine.files import make_file
from modules.engine.finish import decode, finished
from modules.engine.guidance import Call, CallsAt, beside, following, plan_calls, spoken
from modules.engine.hires import encoded, given, second_job, start_larger, steps_of, used_hires
from modules.engine.incomplete import Last
from modules.engine.job import Job, Rings
from modules.engine.ladder import Ladder
from modules.engine.latents import Start, start
from modules.engine.lengths import spoken_apart
from modules.engine.levels import levelled
from modules.engine.masking import Kept
from modules.engine.memory import NoRoom, alone, limits_of, roomy
from modules.engine.networks import Asked, Networks, Run, runs
from modules.engine.refining import takes_part, taking_over
from modules.engine.relay import Borrowed, Cast, Chosen, Leg, Relay
from modules.engine.report import Report, Skipped, Unrepeated, heeding
from modules.engine.scene import Scene, Used
from modules.engine.thrift import thrifty
from modules.engine.tiling import boxes_of, windows_of
from modules.engine.upscaling import Upscaling
from modules.engine.watched import ALL, Part
from modules.engine.wording import Wording, moments, wordings
from modules.engine.words import LearnedWordsOf, cutting_of
from modules.errors import BadRequest, Cancelled, EaselError, OutOfMemory
from modules.events import Loading, Note
from modules.families.family import Conditioning, Family, Model
from modules.images.files import PictureFiles
from modules.images.inputs import Inputs
from modules.images.resize import flattened
from modules.images.tiles import tiled_size
from modules.model_manager.annotators import Annotators
from modules.model_manager.autoencoders import Autoencoders
from modules.model_manager.caption_files import CaptionFiles
from modules.model_manager.catalog import Catalog, ModelFile
from modules.model_manager.checkpoint_check import checked_checkpoints
from modules.model_manager.hires_check import LATENT, checked_hires
from modules.model_manager.learned import Vocabulary
from modules.model_manager.residency import ModelManager
from modules.model_manager.resident import Resident
from modules.model_manager.styles import Styles
from modules.model_manager.tiles_check import checked_tiles
from modules.offers import AUTOMATIC, Offers, gather
from modules.plugins import Plugins, onion
from modules.request import Encoding, Request, Sampling, Shot
from modules.result import GRID, Picture, Recipe, UsedRefiner
from modules.sampling.sampler import Sampler
from modules.sampling.schedules import Schedule, sigmas_for
from modules.settings import Settings
from modules.tasks import Detect, Extras, FileTask, Interrogate

T = TypeVar("T")
PACKAGES = ("torch", "diffusers", "transformers")
ENCODERS = 3  # that remember what was said: of the first pass, of the second, and of a refiner


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
        self.styles = Styles(settings)
        self.networks = Networks(catalog)
        self.words = LearnedWordsOf(catalog)
        self.autoencoders = Autoencoders(catalog)
        room = partial(self.models.evict, "")
        self.upscaling = Upscaling(plugins, catalog, self.device, settings.upscale_tile, settings.upscale_overlap, room)
        kinds = plugins.offered("captioners", Captioner)
        self.captions = Captions(CaptionFiles(settings, kinds), self.device, room)
        self.captions.tell(settings)
        self.postprocessor = Postprocessor(catalog, self.inputs, self.upscaling, self.captions)
        self.controls = Controls(catalog, plugins, self.inputs, Annotators.of(settings, self.device))
        self._encoders: list[Encoder] = []
        self._exact: set[Cast] = set()  # whose decoding needs float32

    def adopt(self, values: Mapping[str, Any]) -> None:
        """Let settings that may change between two jobs hold from now on: previews, memory, tiles, tags."""
        self.settings = self.settings.model_copy(update=dict(values))
        self.models.limit(limits_of(self.settings))
        self.upscaling.cut(self.settings.upscale_tile, self.settings.upscale_overlap)
        self.captions.tell(self.settings)

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
        offers = self.offers()
        request = self.styles.applied(offers.settle(request))
        shots = onion(Request.shots, self.plugins.rings("around_plan", request))(request)
        file = self.catalog.hashed(self.catalog.find(request.model))
        request = checked_tiles(request, self.catalog, offers.upscalers, self.inputs)
        request = checked_hires(request, self.catalog, offers, self.inputs.has)
        request = checked_checkpoints(request, file, self.catalog)
        request = self.controls.checked(request, file, offers)
        report = told = Unrepeated(report)
        cast = self._cast(request, file)
        ladder = Ladder(report, exact=cast in self._exact)
        larger = cache(partial(self._larger, request, report))
        init_hash = self._kept_init(request)
        lowest, begun = min([GRID, *done]), False  # the places of pictures that are not finished lie below it
        for first in range(0, len(shots), request.batch_size):
            batch = [shot for shot in shots[first : first + request.batch_size] if shot.index not in done]
            waiting = deque(runs(batch, report, (request.encoding or Encoding()).comments))
            while waiting:
                if begun and told.ending:
                    raise Cancelled("cancelled")
                run, *rest = waiting.popleft().cut(1 if self._adaptive(request) else ladder.batch)
                waiting.extendleft(reversed(rest))
                shortage = None
                beside = Beside(self.settings)
                try:
                    task, rings, images, numbers, used = self._make(
                        request, run, len(shots), cast, ladder, report, larger, beside
                    )
                except NoRoom as error:
                    shortage = alone(error)
                except Skipped:
                    report.tell(_skipped(run))
                    continue
                if shortage is not None:  # only now: with the error, all that the batch held was still there
                    self._climb(ladder, len(run.shots), cast, shortage)
                    waiting.appendleft(run)
                    continue
                if ladder.exact:
                    self._exact.add(cast)
                write = onion(save, rings.save)
                pictures = []
                for place, (shot, image) in enumerate(zip(run.shots, images, strict=True)):
                    recipe = self._recipe(task, shot, place, cast, numbers, job, used, ladder)
                    recipe = recipe.model_copy(update={"init_hash": init_hash, "interrupted": used.steps})
                    if used.steps:
                        lowest -= 1
                        recipe = recipe.model_copy(update={"index": lowest})
                    picture = Picture(image, recipe, beside.of(place))
                    saved = write(picture)
                    pictures.append(picture)
                    yield picture, saved
                if used.skipped:
                    report.tell(_skipped(run))
                elif used.steps:
                    raise Cancelled("cancelled")
                else:
                    tell_finished(self.plugins, task, pictures)
                begun = True

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
        self._encoders.clear()
        self.networks.forget()
        self.upscaling.forget()
        self.captions.forget()
        self.controls.forget()

    def _climb(self, ladder: Ladder, pictures: int, cast: Cast, shortage: NoRoom) -> None:
        """Change something so that a batch may find room; raise `shortage` when there is nothing left to change."""
        self._forget()

        def offload() -> str | None:
            # One that is not in memory is none to be changed: the last one needed is asked first.
            ways = (self.models.offload(each.file) for each in reversed(cast.every))
            return next((how for how in ways if how is not None), None)

        if not ladder.climb(pictures, partial(self.models.evict, cast.first.file.name), offload):
            self.models.release()
            raise shortage

    def _cast(self, request: Request, file: ModelFile) -> Cast:
        """Return the checkpoints of a request; `file` is the first pass's."""

        def chosen(name: str) -> Chosen:
            found = self.catalog.hashed(self.catalog.find(name))
            return Chosen(found, self.autoencoders.chosen(found, request.vae))

        first = Chosen(file, self.autoencoders.chosen(file, request.vae))
        second = chosen(request.hires.model) if request.hires and request.hires.model else first
        return Cast(first, second, chosen(request.refiner.model) if request.refiner else None)

    @torch.inference_mode()
    def _make(
        self,
        request: Request,
        run: Run,
        images: int,
        cast: Cast,
        ladder: Ladder,
        report: Report,
        larger: Callable[[], Image.Image | None],
        beside: Beside,
    ) -> tuple[Job, Rings, list[Image.Image], dict[str, str], Used]:
        """Make the pictures of a run: borrow, encode, start, denoise, decode."""
        enlarged = larger()  # first: what enlarges it may need the room that the checkpoint takes
        used = Used([{} for _ in run.shots])
        try:
            leg = Leg(cast.first, run.tags, partial(self._job, request, run.shots, images))
            with Relay(partial(self._borrowed, request, report)) as relay:
                task = relay.to(leg).job
                rings = Rings.of(self.plugins, task)
                guard = partial(roomy, device=self.device, job=task)
                scene = Scene(cast, relay, rings, report, guard, used, beside, Last())

                def whole(latents: Tensor) -> list[Image.Image]:
                    return decode(relay.model, ladder, guard, latents)

                canvas = prepare(request, self.inputs, task.width, task.height, report, enlarged)
                try:
                    clean, kept, last = self._clean(scene, task, leg, run, canvas, whole)
                except Cancelled as stop:
                    found = scene.last.latents() if self.settings.save_incomplete_images else None
                    if found is None:
                        raise
                    used.steps, used.skipped = scene.last.steps, isinstance(stop, Skipped)
                    clean, kept, last = found, None, task
                pictures = onion(whole, rings.decode)(clean)
                beside.canvas(canvas, pictures)
                pictures = self.controls.kept(last, finished(canvas, pictures, kept, clean))
                beside.masks(canvas, pictures)
                numbers = {"dtype": devices.name_of(relay.model.dtype), "attention": _attention(relay.model)}
                return task, rings, pictures, numbers, used
        except OutOfMemory as error:
            if not isinstance(error, NoRoom):
                self._forget()
                self.models.release()
            raise

    def _clean(
        self,
        scene: Scene,
        task: Job,
        leg: Leg,
        run: Run,
        canvas: Canvas | None,
        whole: Callable[[Tensor], list[Image.Image]],
    ) -> tuple[Tensor, Kept | None, Job]:
        """Return the clean latents of a run, what of the picture painted over they keep, and the job of the last pass.

        `leg` is that of the first pass, on loan.
        """
        request, cast, relay = task.request, scene.cast, scene.relay
        timed = partial(wordings, old=request.old_timelines)
        said = [timed(shot, request.steps) for shot in run.plain]
        later = self._second(task)
        if later is None:
            begin = start(task, relay.model, self._sigmas(task, relay.model), canvas, scene.guard)
            return self._pass(scene, task, leg, said, begin, ALL), begin.kept, task
        then = [timed(shot, later.request.steps, request.steps) for shot in run.later]
        heard = self._heard(scene, later, then) if _reads_ahead(request, cast) else None
        made, before = self._first(scene, task, later, leg, said, whole)
        leg = Leg(cast.second, run.later_tags, lambda model: task, guest=cast.second != cast.first)
        relay.to(leg)
        levels = self._sigmas(later, relay.model)
        enlarge = partial(self._enlarged, scene.report)
        begin = start_larger(task, later, relay.model, levels, made, enlarge, scene.guard)
        clean = self._pass(scene, later, leg, then, begin, Part(before=before), second=True, heard=heard)
        return clean, begin.kept, later

    @contextmanager
    def _borrowed(self, request: Request, report: Report, leg: Leg) -> Iterator[Borrowed]:
        """Lend what a part of a batch needs: a model, with its networks applied and patched by extensions."""
        file, vae = leg.chosen.file, leg.chosen.vae
        if not self.models.holds(file, vae):
            report.tell(Loading(model=file.name))
            self._encoders.clear()
            self.controls.forget_others(request)
        asked = self.networks.asked(leg.tags, report)
        apply = self.networks.fitting if leg.guest else self.networks.applied
        with self.models.borrow(file, vae) as model, ExitStack() as applied:
            task = leg.job(model)
            enter = roomy(applied.enter_context, self.device, task)
            bundled = enter(apply(model, asked, report))
            if request.tiling:
                enter(model.seamless())
            with patched(self.plugins, task, model) as patches, self.models.working(model):
                words = self.words.vocabulary(model, bundled)
                encoder = self._encoder_of(model, words, asked, fresh=patches > 0)
                asked_model = levelled(model if request.told is None else model.with_told(request.told), request)
                yield Borrowed(asked_model, task, words, encoder, dict(asked.hashes))

    def _first(
        self,
        scene: Scene,
        task: Job,
        later: Job,
        leg: Leg,
        said: Sequence[Sequence[Wording]],
        whole: Callable[[Tensor], list[Image.Image]],
    ) -> tuple[Tensor | list[Image.Image], int]:
        """Return what a second pass makes larger, latents or pictures, and how many steps that took.

        It is what a first pass makes, or a picture that is there already.
        """
        relay, stretched = scene.relay, later.request.hires is not None and later.request.hires.upscaler in LATENT
        picture = given(task, self.inputs)
        if picture is not None:
            count = len(task.shots)
            return encoded(picture, count, relay.model, scene.guard) if stretched else [picture] * count, 0
        after = steps_of(later, self._sigmas(later, relay.model))
        begin = start(task, relay.model, self._sigmas(task, relay.model), None, scene.guard)
        clean = self._pass(scene, task, leg, said, begin, Part(after=after))
        scene.beside.first_pass(whole, clean)
        steps = len(task.sampler.levels(begin.sigmas, relay.model.prediction)) - 1
        return clean if stretched else whole(clean), steps

    def _pass(
        self,
        scene: Scene,
        task: Job,
        leg: Leg,
        said: Sequence[Sequence[Wording]],
        begin: Start,
        counted: Part,
        second: bool = False,
        heard: Sequence[Mapping[Wording, Conditioning]] | None = None,
    ) -> Tensor:
        """Return the clean latents (B, C, h, w) of one pass over the pictures of `task`, which `leg` begins.

        Its model's words may have been `heard` before; a refiner reads its own.
        """
        latent, prediction = scene.relay.model.latent, scene.relay.model.prediction
        windows = windows_of(task, latent.factor, self.device)
        boxes = boxes_of(windows, latent.factor)
        refiner, begun = scene.cast.refiner, leg.chosen
        levels = task.sampler.levels(begin.sigmas, prediction)

        def take(leg: Leg) -> Turn:
            model = scene.relay.to(leg).model
            fit = task if leg.chosen == scene.cast.first else self.controls.suiting(task, leg.chosen.file, scene.report)
            controls = scene.guard(self.controls.rings)(fit, model, levels, boxes)
            own = heard if leg.chosen == begun else None
            calls = self._calls(scene, task, said, begin, own)
            return Turn(thrifty(model, task.request, second).predict, calls, controls)

        def refine(leg: Leg) -> Turn:
            turn, model = take(leg), scene.relay.model
            # What their latents look like was seen before anything began; a VAE of its own says nothing about that.
            if model.prediction.alpha(0.5) != prediction.alpha(0.5):
                raise BadRequest("latents_differ", name=leg.chosen.file.name, model=scene.cast.first.file.name)
            scene.used.refined = True
            return turn

        then = None
        if task.request.refiner and refiner and refiner != leg.chosen and takes_part(task, second):
            other = Leg(refiner, leg.tags, lambda model: task, guest=True)
            then = taking_over(task.request.refiner, levels, prediction), partial(refine, other)
        # Tiles that are finished one by one begin anew: what one of them needs, the next does too.
        first = partial(take, leg) if then else cache(partial(take, leg))
        every = self.settings.preview_every
        return denoise(
            task, scene.rings, scene.relay, first, begin, scene.report, every, windows, counted, then, scene.last
        )

    def _kept_init(self, request: Request) -> str:
        """Keep the picture that is painted over where that is wanted, and return its hash; else nothing."""
        if request.init is None or not self.settings.save_init_img:
            return ""
        return PictureFiles(self.settings.outputs, self.settings).keep_init(self.inputs.open(request.init.image))

    def _second(self, task: Job) -> Job | None:
        hires = task.request.hires
        return None if hires is None else second_job(task, *self._ways(task.request, hires.sampler, hires.schedule))

    def _larger(self, request: Request, report: Report) -> Image.Image | None:
        """Return the picture that is painted over in tiles, made larger (RGB); None where there is no such thing."""
        if request.init is None or request.tiles is None:
            return None
        image = flattened(self.inputs.open(request.init.image), request.init.background)
        size = tiled_size(image.size, request.tiles.scale)
        return self._enlarged(report, request.tiles.upscaler, image, size)

    def _enlarged(self, report: Report, name: str, image: Image.Image, size: tuple[int, int]) -> Image.Image:
        return self.upscaling.enlarge(name, image, size, heeding(lambda *_: None, report), report)

    def _heard(
        self, scene: Scene, task: Job, said: Sequence[Sequence[Wording]], negatives: int = 0
    ) -> list[dict[Wording, Conditioning]]:
        """Return what the model on loan reads in each wording of each picture."""
        request, cutting = task.request, cutting_of(task.request)
        words, hashes = scene.relay.at.words, scene.relay.at.hashes
        self.words.tell(words, scene.relay.model.tokenizer, said, task.contrast, cutting, scene.report)
        learned = [self.words.hashes(words, each, task.contrast, cutting) for each in said]
        scene.used.add([{**hashes, "embedding": each} for each in learned])
        alone = (request.encoding or Encoding()).clip_l_skip
        read = partial(scene.relay.at.encoder, clip_skip=request.clip_skip, cutting=cutting, first_alone=alone)
        encode: Encode = cache(onion(roomy(read, self.device, task), scene.rings.encode))
        padding = request.pad_conds
        speak = spoken if padding == "chunks" else partial(spoken_apart, one_length=padding == "v0")
        return [speak(each, encode, task.contrast, negatives) for each in said]

    def _calls(
        self,
        scene: Scene,
        task: Job,
        said: Sequence[Sequence[Wording]],
        begin: Start,
        heard: Sequence[Mapping[Wording, Conditioning]] | None = None,
    ) -> CallsAt:
        """Return the network calls at each level, in the words of the model on loan, or as another `heard` them."""
        model = scene.relay.model
        picture = begin.beside if begin.beside is not None and begin.beside.shape[1] == model.further else None
        follows = picture is not None and model.further == model.latent.channels
        negatives = 2 if follows and (task.contrast, task.image_scale) != (1, 1) else 0
        together = self.device.type != "cpu"
        if heard is not None:
            scene.used.add([scene.relay.at.hashes] * len(said))
        rows = self._heard(scene, task, said, negatives) if heard is None else heard

        @cache
        def plan(moment: tuple[Wording, ...]) -> list[Call]:
            their = [of[wording] for of, wording in zip(rows, moment, strict=True)]
            calls = plan_calls(moment, their, together=together)
            return calls if picture is None else beside(calls, picture)

        levels = task.sampler.levels(begin.sigmas, model.prediction)
        return following([plan(moment) for moment in moments(said, len(levels) - 1)], levels)

    def _job(self, request: Request, batch: list[Shot], images: int, model: Model) -> Job:
        sampler, schedule = self._ways(request, request.sampler, request.schedule)
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

    def _ways(self, request: Request, sampler: str, schedule: str) -> tuple[Sampler, Schedule]:
        found = self.samplers[sampler].tuned(request.sampling)
        chosen = self.schedules[found.schedule if schedule == AUTOMATIC else schedule]
        return found, chosen.tuned(request.sampling)

    def _adaptive(self, request: Request) -> bool:
        """Tell whether a sampler sees one picture at a time."""
        names = [request.sampler, *([request.hires.sampler] if request.hires else [])]
        return any(self.samplers[name].adaptive for name in names)

    def _sampling(self, request: Request) -> Sampling | None:
        """Return what of the samplers' and schedules' own numbers counted for one of the passes."""
        if request.sampling is None:
            return None
        ways = [(request.sampler, request.schedule)]
        ways += [(request.hires.sampler, request.hires.schedule)] if request.hires else []
        counted = {"sgm_noise_multiplier"} if request.init is None else set()
        counted |= {"quantize", "extra_noise"} if request.init or request.hires else {"quantize"}
        for name, label in ways:
            sampler = self.samplers[name]
            usual = sampler.tuned(request.sampling).schedule
            schedule = self.schedules[usual if label == AUTOMATIC else label]
            counted |= sampler.takes | schedule.takes
            counted |= {sampler.spaced_by} if schedule.label == usual else set()
            counted |= set() if sampler.discard_penultimate else {"discard_penultimate"}
        return request.sampling.only(counted)

    def _encoder_of(self, model: Model, words: Vocabulary, asked: Asked, fresh: bool) -> Encoder:
        """Return the encoder of `model` as it is: one that remembers, unless it is patched for this batch."""
        if fresh:
            return Encoder(model, words)
        found = next((each for each in self._encoders if each.suits(model, words, asked.loras)), None)
        found = found or Encoder(model, words, asked.loras)
        self._encoders = [*(each for each in self._encoders if each is not found), found][-ENCODERS:]
        return found

    def _sigmas(self, task: Job, model: Model) -> list[float]:
        ends = task.request.sampling
        if ends is not None:
            low, high = ends.sigma_min or model.prediction.sigma_min, ends.sigma_max or model.prediction.sigma_max
            if low >= high:
                raise BadRequest("sigma_order", least=low, most=high)
        try:
            return sigmas_for(task.sampler, task.schedule, task.request.steps, model.prediction)
        except (ValueError, OverflowError) as error:  # a power beyond any number
            raise BadRequest(
                "schedule_steps", schedule=task.schedule.label, sampler=task.sampler.name, steps=task.request.steps
            ) from error

    def _recipe(
        self,
        task: Job,
        shot: Shot,
        place: int,
        cast: Cast,
        numbers: dict[str, str],
        job: str,
        used: Used,
        ladder: Ladder,
    ) -> Recipe:
        request, file, vae = task.request, cast.first.file, cast.first.vae
        refiner = None
        if used.refined and request.refiner and cast.refiner:
            refiner = UsedRefiner(asked=request.refiner, **cast.refiner.told)
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
            networks={kind: found for kind, found in used.networks[place].items() if found},
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
            sampling=self._sampling(request),
            guidance=request.guidance,
            told=request.told,
            merging=request.merging,
            hypertile=request.hypertile,
            tiling=request.tiling,
            encoding=request.encoding,
            old_timelines=request.old_timelines,
            pad_conds=request.pad_conds,
            noise_schedule=request.noise_schedule,
            downcast_alphas=request.downcast_alphas,
            init=request.init,
            mask=request.mask,
            tiles=task.tiles,
            hires=used_hires(task, shot, cast),
            refiner=refiner,
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


def _skipped(run: Run) -> Note:
    return Note(key="skipped", values={"first": run.shots[0].index + 1, "last": run.shots[-1].index + 1})


def _reads_ahead(request: Request, cast: Cast) -> bool:
    """Tell whether the words of the second pass are read before the first, with its networks."""
    return (request.encoding or Encoding()).first_pass_networks and cast.second == cast.first


def _attention(model: Model) -> str:
    """Return by name how the network attends; what is not always the same is not always rounded the same."""
    processors = getattr(model.parts.get("unet"), "attn_processors", {})
    return " + ".join(sorted({type(each).__name__ for each in processors.values()}))
