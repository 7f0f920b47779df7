"""One batch at work: what the rings may read, and what the engine needs besides."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from modules.hooks import Ring
from modules.plugins import Plugins
from modules.request import Request, Shot
from modules.result import UsedTiles
from modules.sampling.sampler import Sampler
from modules.sampling.schedules import Schedule

RINGS = ("encode", "predict", "denoise", "decode", "save")


@dataclass(frozen=True)
class Job:
    """A batch of a request: `shots` are its pictures, `images` counts those of the whole request.

    It is what `hooks.JobView` promises; every ring of the batch gets it.
    """

    request: Request
    shots: Sequence[Shot]
    images: int
    sampler: Sampler
    schedule: Schedule
    width: int  # pixels
    height: int
    tiles: UsedTiles | None = None  # in which the picture is made

    @property
    def one_by_one(self) -> bool:
        """Whether each tile is finished before the next, and not all of them step by step."""
        return self.tiles is not None and self.tiles.asked.joined == "end"

    @property
    def contrast(self) -> float:
        """The scale of guidance that tells whether the negative prompt counts; 1 says that it does not.

        A sampler that has a guidance of its own makes something else of every scale, of 1 too.
        """
        return self.request.cfg_scale if self.sampler.guidance is None else 0.0

    @property
    def image_scale(self) -> float:
        """How much a picture counts that the network follows."""
        return self.request.init.image_cfg_scale if self.request.init else 1.0

    @property
    def extras(self) -> Mapping[str, Mapping[str, Any]]:
        """The extensions' values by extension name."""
        return self.request.extras


@dataclass(frozen=True)
class Rings:
    """What extensions wrap round the stages of one batch, innermost first."""

    encode: Sequence[Ring]
    predict: Sequence[Ring]
    denoise: Sequence[Ring]
    decode: Sequence[Ring]
    save: Sequence[Ring]

    @classmethod
    def of(cls, plugins: Plugins, job: Job) -> Rings:
        """Ask the extensions about `job`."""
        return cls(**{name: plugins.rings(f"around_{name}", job) for name in RINGS})
