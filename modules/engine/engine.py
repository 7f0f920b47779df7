"""The whole route of a request, readable from top to bottom."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TypeVar

import torch
from PIL import Image

from modules.engine import device as devices
from modules.engine.conditioning import Encode, Encoder
from modules.engine.denoise import denoise
from modules.engine.doors import patched, tell_finished
from modules.engine.files import make_file
from modules.engine.finish import decode
from modules.engine.guidance import plan_calls
from modules.engine.job import Job, Rings
from modules.engine.latents import start
from modules.engine.memory import roomy
from modules.engine.report import Report, Skipped
from modules.errors import BadRequest, OutOfMemory
from modules.events import Loading, Note
from modules.families.family import Family, Model
from modules.model_manager.catalog import Catalog, ModelFile
from modules.model_manager.residency import ModelManager
from modules.offers import AUTOMATIC, Offers, gather
from modules.plugins import Plugins, onion
from modules.request import Request, Shot
from modules.result import Picture, Recipe
from modules.sampling.sampler import Sampler
from modules.sampling.schedules import Schedule, sigmas_for
from modules.settings import Settings
from modules.tasks import FileTask

T = TypeVar("T")
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
        self.models = ModelManager(families, self.device, partial(devices.choose_dtype, settings, self.device))
        self.samplers = plugins.offered("samplers", Sampler)
        self.schedules = {each.label: each for each in plugins.offered("schedules", Schedule).values()}
        self.versions = {name: version(name) for name in PACKAGES}
        self._encoder: Encoder | None = None

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
        for first in range(0, len(shots), request.batch_size):
            batch = [shot for shot in shots[first : first + request.batch_size] if shot.index not in done]
            if not batch:
                continue
            try:
                task, rings, images, dtype = self._make(request, batch, len(shots), file, report)
            except Skipped:
                report.tell(Note(key="skipped", values={"first": batch[0].index + 1, "last": batch[-1].index + 1}))
                continue
            write = onion(save, rings.save)
            pictures = []
            for shot, image in zip(batch, images, strict=True):
                picture = Picture(image, self._recipe(task, shot, file, dtype, job))
                saved = write(picture)
                pictures.append(picture)
                yield picture, saved
            tell_finished(self.plugins, task, pictures)

    def make_file(self, task: FileTask, report: Report) -> Path:
        """Make the checkpoint file of a settled `task` and return where it is; see `modules.engine.files`."""
        return make_file(task, self.catalog, report)

    @torch.inference_mode()
    def _make(
        self, request: Request, batch: list[Shot], images: int, file: ModelFile, report: Report
    ) -> tuple[Job, Rings, list[Image.Image], str]:
        """Make one batch: borrow, encode, start, denoise, decode."""
        if not self.models.holds(file):
            report.tell(Loading(model=file.name))
            self._encoder = None
        try:
            with self.models.borrow(file) as model:
                task = self._job(request, batch, images, model)
                rings = Rings.of(self.plugins, task)
                with patched(self.plugins, task, model) as patches:
                    encode = onion(self._encode(model, task, fresh=patches > 0), rings.encode)
                    calls = plan_calls(batch, encode, request.cfg_scale, together=self.device.type != "cpu")
                    sigmas = self._sigmas(task, model)
                    latents, noise = start(task, model, sigmas)
                    clean = denoise(
                        task, rings, model, calls, latents, sigmas, noise, report, self.settings.preview_every
                    )
                    pictures = onion(roomy(partial(decode, model), self.device, task), rings.decode)(clean)
                return task, rings, pictures, devices.name_of(model.dtype)
        except OutOfMemory:
            self._encoder = None
            self.models.release()
            raise

    def _job(self, request: Request, batch: list[Shot], images: int, model: Model) -> Job:
        sampler = self.samplers[request.sampler]
        label = sampler.schedule if request.schedule == AUTOMATIC else request.schedule
        return Job(
            request=request,
            shots=tuple(batch),
            images=images,
            sampler=sampler,
            schedule=self.schedules[label],
            width=request.width or model.native_size,
            height=request.height or model.native_size,
        )

    def _encode(self, model: Model, task: Job, fresh: bool) -> Encode:
        """Return the encoder of `model`: the one that remembers, unless the model is patched for this batch."""
        encoder = self._encoder
        if fresh:
            encoder = Encoder(model)
        elif encoder is None or encoder.model is not model:
            encoder = self._encoder = Encoder(model)
        return roomy(partial(encoder, clip_skip=task.request.clip_skip), self.device, task)

    def _sigmas(self, task: Job, model: Model) -> list[float]:
        try:
            return sigmas_for(task.sampler, task.schedule, task.request.steps, model.prediction)
        except ValueError as error:
            raise BadRequest(
                "schedule_steps", schedule=task.schedule.label, sampler=task.sampler.name, steps=task.request.steps
            ) from error

    def _recipe(self, task: Job, shot: Shot, file: ModelFile, dtype: str, job: str) -> Recipe:
        request = task.request
        return Recipe(
            prompt=shot.prompt,
            negative_prompt=shot.negative_prompt,
            model=file.name,
            model_hash=file.hash,
            family=file.family,
            sampler=task.sampler.name,
            schedule=task.schedule.label,
            steps=request.steps,
            width=task.width,
            height=task.height,
            cfg_scale=request.cfg_scale,
            seed=shot.seed,
            device=devices.describe(self.device),
            dtype=dtype,
            versions=self.versions,
            extras=request.extras,
            job=job,
            index=shot.index,
        )
