"""The contract of a preprocessor: a picture in, a hint picture of the same size out, the same one each time.

Adding one is a file in `preprocessors/` with a module-level `preprocessors` hook. What computes (torch, OpenCV,
controlnet-aux) is imported inside `load`, so that the web process can list them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
import numpy.typing as npt

from modules.errors import BadRequest
from modules.families.family import Entry
from modules.offers import Slider

if TYPE_CHECKING:
    import torch

Pixels = npt.NDArray[np.uint8]
Run = Callable[[Pixels, Mapping[str, float]], Pixels]
"""(H, W, 3) RGB and the sliders' numbers by name to (H, W, 3)."""


class Place(Protocol):
    """Where a preprocessor's weights lie, and where it computes."""

    @property
    def device(self) -> torch.device:
        """The device to compute on."""
        ...

    def weights(self, file: str, repository: str = "") -> Mapping[str, Entry]:
        """Return the tensors of a weight file by name, read as data; raise `UnknownModel` when it is not there."""
        ...

    def file(self, file: str, repository: str = "") -> Path:
        """Return where the file of that name lies; raise `UnknownModel` when it is not there."""
        ...

    def model(self, name: str, kind: str, classes: int) -> Path:
        """Return the folder of a model of transformers of that kind that tells so many classes apart.

        Raises `UnknownModel` with the `name` that it is published under when there is none.
        """
        ...


@dataclass(frozen=True)
class Preprocessor:
    """What the hook `preprocessors` offers.

    `load` makes what runs, once. `label` is what A1111 shows, `tags` the kinds of control its hints are for, `files`
    the weights it needs. `control` names a control without a model file that it stands for ("Reference"): its hint is
    the picture itself. A hint with `holes` is -1 wherever the mask covers it; one that `keeps` has the result be the
    picture itself everywhere else.
    """

    name: str
    load: Callable[[Place], Run]
    label: str = ""
    tags: tuple[str, ...] = ()
    sliders: tuple[Slider, ...] = field(default=())
    files: tuple[str, ...] = ()
    control: str = ""
    holes: bool = False
    keeps: bool = False

    @property
    def plain(self) -> bool:
        """Whether its hint is the picture itself."""
        return self.name == "none" or bool(self.control) or self.holes

    def settled(self, options: Mapping[str, float]) -> dict[str, float]:
        """Return every slider's number: the one in `options`, or its default. Raises `BadRequest`."""
        return settled(self.name, self.sliders, options)


def settled(name: str, sliders: tuple[Slider, ...], options: Mapping[str, float]) -> dict[str, float]:
    """Return the number of every slider of the preprocessor of that name; raise `BadRequest` for what it has not."""
    known = {each.name: each for each in sliders}
    for option, value in options.items():
        slider = known.get(option)
        if slider is None:
            allowed = ", ".join(known) or "-"
            raise BadRequest("preprocessor_option", name=name, option=option[:60], allowed=allowed)
        if not slider.least <= value <= slider.most:
            raise BadRequest("number", field=option, value=value, least=slider.least, most=slider.most)
    return {each.name: float(options.get(each.name, each.default)) for each in sliders}
