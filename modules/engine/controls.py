"""The controls of a batch: files to networks, and with the hints of pictures to rings around `predict`."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from PIL import Image
from torch import Tensor

from modules.controls.control import Control as Kind
from modules.controls.control import Guide, Loaded, Predict, Ring, Sees, Sight
from modules.controls.preprocessor import Preprocessor
from modules.controls.unet.networks import inheriting, unet_of
from modules.engine.eyes import Eyes
from modules.engine.hints import Hints
from modules.engine.job import Job
from modules.engine.report import Report
from modules.engine.timeline import step_of
from modules.errors import WrongFamily
from modules.events import Note
from modules.families.family import Conditioning, Header, Model
from modules.images.inputs import Inputs
from modules.images.mask import Box
from modules.model_manager.annotators import Annotators
from modules.model_manager.catalog import Catalog, ModelFile, stamp_of
from modules.model_manager.control_check import KIND, check_fit, checked_controls
from modules.model_manager.control_kinds import control_of
from modules.model_manager.header import read_header
from modules.model_manager.resident import Resident
from modules.offers import Offers
from modules.plugins import Plugins
from modules.request import Control, Request
from modules.result import UsedControl
from modules.tasks import Detect

KEPT = 3  # networks that stay in memory for the next job
DIGITS = 8  # of SHA-256, as sd-webui-controlnet shows it

_Key = tuple[object, ...]


@dataclass(frozen=True)
class _Network:
    """A control in memory, what is told of it, and the image encoder it sees with, if any."""

    loaded: Loaded
    told: Resident
    sight: Sight | None


class Controls:
    """Owned by the engine: it keeps the networks used last, and what makes hints."""

    def __init__(self, catalog: Catalog, plugins: Plugins, inputs: Inputs, annotators: Annotators) -> None:
        # A protocol is asked for by type; mypy wants it spelt out.
        self.kinds: Mapping[str, Kind] = plugins.offered("controls", Kind)  # type: ignore[type-abstract]
        self.preprocessors = plugins.offered("preprocessors", Preprocessor)
        self._catalog = catalog
        self._inputs = inputs
        self.hints = Hints(self.preprocessors, inputs, annotators)
        self._eyes = Eyes(catalog)
        self._networks: OrderedDict[_Key, _Network] = OrderedDict()

    def checked(self, request: Request, checkpoint: ModelFile, offers: Offers) -> Request:
        """Return `request` with the names of its controls as they are known; see `checked_controls`."""
        return checked_controls(request, checkpoint, self._catalog, offers, self._inputs.has, self.kinds)

    def suiting(self, job: Job, checkpoint: ModelFile, report: Report) -> Job:
        """Return `job` with those of its units that go with `checkpoint`, which is not the one they were checked with.

        The others are told of.
        """
        units = []
        for unit in job.request.controls:
            try:
                if unit.model and unit.weight:
                    check_fit(self._catalog.find(unit.model, KIND), checkpoint, self.kinds)
                units.append(unit)
            except WrongFamily:
                report.tell(Note(key="control_unfit", values={"name": unit.model, "model": checkpoint.name}))
        return replace(job, request=job.request.model_copy(update={"controls": tuple(units)}))

    def rings(self, job: Job, model: Model, sigmas: Sequence[float], tiles: Sequence[Box] = ()) -> list[list[Ring]]:
        """Return the rings of the units of `job` that do anything, the first unit's innermost, for each of `tiles`.

        Each tile's see the part of their hints that lies there; without tiles there is one answer, for the whole.
        Raises `BadRequest`, `ModelError` or torch's own error when there is no room.
        """
        boxes = tiles or [(0, 0, job.width, job.height)]
        found: list[list[Ring]] = [[] for _ in boxes]
        for unit in active(job.request):
            (loaded, sight), seen = self._loaded(unit, model), None
            if sight is not None:
                seen = self._eyes.see(self.hints.picture(unit, job.request), sight, unit.model, model)
            hint, mask = self.hints.hint(unit, job, model.device), self.hints.mask(unit, job, model.device)
            for rings, box in zip(found, boxes, strict=True):
                guide = Guide(
                    hint=_part(hint, box),
                    weight=unit.weight,
                    mode=unit.mode,
                    mask=None if mask is None else _part(mask, box),
                    options=self.preprocessors[unit.preprocessor].settled(unit.options),
                    kinds=self.preprocessors[unit.preprocessor].tags,
                    seen=seen,
                )
                rings.append(within(loaded.ring(model, guide), sigmas, unit.start, unit.end))
        return found

    def kept(self, job: Job, made: list[Image.Image]) -> list[Image.Image]:
        """Return the pictures of a batch with what its units keep put back into them; see `Hints.kept`."""
        for unit in active(job.request):
            made = self.hints.kept(unit, job, made)
        return made

    def used(self, job: Job) -> tuple[UsedControl, ...]:
        """Return the units of `job` that do anything, as a recipe keeps them."""
        found = []
        for unit in active(job.request):
            preprocessor = self.preprocessors[unit.preprocessor]
            file = self._catalog.hashed(self._catalog.find(unit.model, KIND)) if unit.model else None
            found.append(
                UsedControl(
                    asked=unit,
                    model_hash="" if file is None else file.sha256[:DIGITS],
                    sliders=tuple(preprocessor.settled(unit.options).values()),
                    resolution=self.hints.resolution(unit, job),
                )
            )
        return tuple(found)

    def detect(self, task: Detect) -> str:
        """Draw the hint of `task` and return the name it is kept under; see `Hints.detect`."""
        return self.hints.detect(task)

    def resident(self) -> tuple[Resident, ...]:
        """Return the networks in memory, the one used last at the end."""
        return (*self._eyes.resident(), *(each.told for each in self._networks.values()))

    def forget_others(self, request: Request) -> None:
        """Let go of the networks that `request` does not use: another checkpoint needs room."""
        paths = {self._catalog.find(unit.model, KIND).path for unit in active(request) if unit.model}
        for key in [key for key in self._networks if key[0] not in paths]:
            del self._networks[key]
        self._eyes.close()

    def forget(self) -> None:
        """Let go of everything that is kept for the next time."""
        self._networks.clear()
        self._eyes.forget()
        self.hints.forget()

    def _loaded(self, unit: Control, model: Model) -> tuple[Loaded, Sight | None]:
        """Return the unit's control, as it was loaded for `model`, as the one used last."""
        if not unit.model:
            kind = self.kinds[self.preprocessors[unit.preprocessor].control]
            return kind.load(Header(self._catalog.home(KIND), {}), model), None
        file = self._catalog.find(unit.model, KIND)
        traits = repr(inheriting({}, unet_of(model, file.name)))
        key: _Key = (file.path, stamp_of(file.path), model.device, model.dtype, traits)
        if key not in self._networks:
            header = read_header(file.path)
            kind = control_of(header, self.kinds)
            while len(self._networks) >= KEPT:
                self._networks.popitem(last=False)
            loaded = kind.load(header, model)
            dtype = str(model.dtype).removeprefix("torch.")
            told = Resident(
                file.name, file.family, loaded.size, str(model.device), dtype, parts=((kind.name, loaded.size),)
            )
            self._networks[key] = _Network(loaded, told, kind.sight(header) if isinstance(kind, Sees) else None)
        self._networks.move_to_end(key)
        return self._networks[key].loaded, self._networks[key].sight


def active(request: Request) -> list[Control]:
    """Return the units that change anything."""
    return [unit for unit in request.controls if unit.weight > 0]


def within(ring: Ring, sigmas: Sequence[float], start: float, end: float) -> Ring:
    """Return `ring` at work from the share `start` of the steps to the share `end`, both included, as A1111 counts.

    A sampler may call several times within a step: the step is the one its `sigma` lies in. Outside, the inner
    `predict` is called as if there were no ring.
    """
    place = step_of(sigmas)
    steps = max(1, len(sigmas) - 1)

    def outer(predict: Predict) -> Predict:
        ringed = ring(predict)

        def ranged(x: Tensor, sigma: float, conditioning: Conditioning) -> Tensor:
            done = place(sigma) - 1
            return (ringed if start <= done / steps <= end else predict)(x, sigma, conditioning)

        return ranged

    return outer


def _part(pixels: Tensor, box: Box) -> Tensor:
    return pixels[..., box[1] : box[3], box[0] : box[2]]
