"""The controls of a batch: pictures to hints, files to networks, and both to rings around `predict`."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from modules.controls.control import Control as Kind
from modules.controls.control import Guide, Loaded, Predict, Ring
from modules.controls.hints.detecting import detect
from modules.controls.hints.fitting import fitted, image_of, perfect_resolution, pixels_of
from modules.controls.preprocessor import Pixels, Preprocessor, Run
from modules.controls.unet.networks import inheriting, unet_of
from modules.engine.job import Job
from modules.engine.timeline import step_of
from modules.errors import BadRequest
from modules.families.family import Conditioning, Header, Model
from modules.images.inputs import Inputs
from modules.model_manager.annotators import Annotators
from modules.model_manager.catalog import Catalog, ModelFile, stamp_of
from modules.model_manager.control_check import KIND, checked_controls
from modules.model_manager.control_kinds import control_of
from modules.model_manager.header import read_header
from modules.model_manager.resident import Resident
from modules.offers import Offers
from modules.plugins import Plugins
from modules.request import Control, Request
from modules.result import UsedControl
from modules.tasks import Detect

KEPT = 3  # networks that stay in memory for the next job
KEPT_RUNS = 2  # preprocessors, which may be networks too
KEPT_HINTS = 8
DIGITS = 8  # of SHA-256, as sd-webui-controlnet shows it

_Key = tuple[object, ...]


class Controls:
    """Owned by the engine: it keeps the networks used last, and the hints drawn last."""

    def __init__(self, catalog: Catalog, plugins: Plugins, inputs: Inputs, annotators: Annotators) -> None:
        # A protocol is asked for by type; mypy wants it spelt out.
        self.kinds: Mapping[str, Kind] = plugins.offered("controls", Kind)  # type: ignore[type-abstract]
        self.preprocessors = plugins.offered("preprocessors", Preprocessor)
        self._catalog = catalog
        self._inputs = inputs
        self._annotators = annotators
        self._networks: OrderedDict[_Key, tuple[Loaded, Resident]] = OrderedDict()
        self._runs: OrderedDict[str, Run] = OrderedDict()
        self._hints: OrderedDict[_Key, Pixels] = OrderedDict()

    def checked(self, request: Request, checkpoint: ModelFile, offers: Offers) -> Request:
        """Return `request` with the names of its controls as they are known; see `checked_controls`."""
        return checked_controls(request, checkpoint, self._catalog, offers, self._inputs.has, self.kinds)

    def rings(self, job: Job, model: Model, sigmas: Sequence[float]) -> list[Ring]:
        """Return the rings of the units of `job` that do anything, the first unit's innermost.

        Raises `BadRequest`, `ModelError` or torch's own error when there is no room.
        """
        found = []
        for unit in active(job.request):
            hint = self._hint(unit, job.request, job.width, job.height)
            guide = Guide(
                hint=_tensor(hint, model.device),
                weight=unit.weight,
                mode=unit.mode,
                mask=self._mask(unit, job.width, job.height, model.device),
                options=self.preprocessors[unit.preprocessor].settled(unit.options),
                kinds=self.preprocessors[unit.preprocessor].tags,
            )
            found.append(within(self._loaded(unit, model).ring(model, guide), sigmas, unit.start, unit.end))
        return found

    def used(self, job: Job) -> tuple[UsedControl, ...]:
        """Return the units of `job` that do anything, as a recipe keeps them."""
        found = []
        for unit in active(job.request):
            preprocessor = self.preprocessors[unit.preprocessor]
            looked_at = unit.resolution
            if unit.pixel_perfect:
                looked_at = _resolution(unit, self._picture(unit, job.request), job.width, job.height)
            file = self._catalog.hashed(self._catalog.find(unit.model, KIND)) if unit.model else None
            found.append(
                UsedControl(
                    asked=unit,
                    model_hash="" if file is None else file.sha256[:DIGITS],
                    sliders=tuple(preprocessor.settled(unit.options).values()),
                    resolution=looked_at,
                )
            )
        return tuple(found)

    def detect(self, task: Detect) -> str:
        """Draw the hint of `task`, keep it among the pictures people bring, and return its name there.

        Raises `BadRequest` for a preprocessor that is not there, and what its weights raise.
        """
        if task.preprocessor not in self.preprocessors:
            allowed = ", ".join(self.preprocessors)
            raise BadRequest("unknown_preprocessor", value=task.preprocessor[:60], allowed=allowed)
        shared = ("image", "preprocessor", "options", "resolution", "pixel_perfect", "resize_mode")
        unit = Control.model_validate({name: getattr(task, name) for name in shared})
        picture = self._picture(unit, None)
        return self._inputs.keep(
            image_of(self._drawn(unit, picture, _resolution(unit, picture, task.width, task.height)))
        )

    def resident(self) -> tuple[Resident, ...]:
        """Return the networks in memory, the one used last at the end."""
        return tuple(told for _, told in self._networks.values())

    def forget_others(self, request: Request) -> None:
        """Let go of the networks that `request` does not use: another checkpoint needs room."""
        paths = {self._catalog.find(unit.model, KIND).path for unit in active(request) if unit.model}
        for key in [key for key in self._networks if key[0] not in paths]:
            del self._networks[key]

    def forget(self) -> None:
        """Let go of everything that is kept for the next time."""
        self._networks.clear()
        self._runs.clear()
        self._hints.clear()

    def _loaded(self, unit: Control, model: Model) -> Loaded:
        """Return the unit's control, as it was loaded for `model`, as the one used last."""
        if not unit.model:
            return self.kinds[self.preprocessors[unit.preprocessor].control].load(
                Header(self._catalog.home(KIND), {}), model
            )
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
            self._networks[key] = loaded, told
        self._networks.move_to_end(key)
        return self._networks[key][0]

    def _hint(self, unit: Control, request: Request, width: int, height: int) -> Pixels:
        """Return the hint of a unit as large as the result."""
        picture = self._picture(unit, request)
        return fitted(
            self._drawn(unit, picture, _resolution(unit, picture, width, height)), width, height, unit.resize_mode
        )

    def _drawn(self, unit: Control, picture: Pixels, resolution: int) -> Pixels:
        """Return what the unit's preprocessor makes of a picture."""
        preprocessor = self.preprocessors[unit.preprocessor]
        if preprocessor.name == "none" or preprocessor.control:
            return picture
        options = preprocessor.settled(unit.options)
        key: _Key = (picture.shape, hash(picture.tobytes()), unit.preprocessor, tuple(options.items()), resolution)
        if key not in self._hints:
            if unit.preprocessor not in self._runs:
                self._runs[unit.preprocessor] = preprocessor.load(self._annotators)
            self._runs.move_to_end(unit.preprocessor)
            _trim(self._runs, KEPT_RUNS)
            self._hints[key] = detect(picture, self._runs[unit.preprocessor], options, resolution)
            _trim(self._hints, KEPT_HINTS)
        return self._hints[key]

    def _picture(self, unit: Control, request: Request | None) -> Pixels:
        name = unit.image or (request.init.image if request is not None and request.init is not None else "")
        if not name:
            raise BadRequest("control_no_picture")
        return pixels_of(self._inputs.open(name))

    def _mask(self, unit: Control, width: int, height: int, device: torch.device) -> Tensor | None:
        if not unit.mask:
            return None
        image = self._inputs.open(unit.mask)
        band = image.getchannel("A") if image.mode == "RGBA" else image.convert("L")
        return _tensor(fitted(pixels_of(band), width, height, unit.resize_mode), device)[:, :1]


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


def _resolution(unit: Control, picture: Pixels, width: int, height: int) -> int:
    if unit.pixel_perfect and width and height:
        return perfect_resolution(picture, width, height, unit.resize_mode)
    return unit.resolution


def _tensor(picture: Pixels, device: torch.device) -> Tensor:
    """Return (1, 3, H, W), 0..1, of (H, W, 3)."""
    return torch.from_numpy(picture).permute(2, 0, 1)[None].to(device, torch.float32) / 255


def _trim(kept: OrderedDict[Any, Any], most: int) -> None:
    while len(kept) > most:
        kept.popitem(last=False)
