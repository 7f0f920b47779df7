"""The contract of a control: what turns a hint picture into a ring around `predict`.

A kind of control recognises a file by its header and loads it; what it loads makes a ring for each unit that uses it.
Adding one is a file beside this one with a module-level `controls` hook. Such a file imports torch only inside `load`,
so that the web process can ask what a file is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

from modules.families.family import Conditioning, Header, Model

if TYPE_CHECKING:
    from torch import Tensor

Predict = Callable[["Tensor", float, Conditioning], "Tensor"]
Ring = Callable[[Predict], Predict]
Identify = Callable[[Header], str]
"""Names the family of a header whose U-Net's tensors begin with "unet."; empty when none knows it."""

NEGATIVE = "negative"  # in `Conditioning.extra`: 1 for the rows of negative prompts, 0 for those of prompts
SLOPE = 0.825  # of the soft weights, from the middle of the network outwards (sd-webui-controlnet)


@dataclass(frozen=True)
class Sight:
    """Which image encoder of CLIP a control sees pictures with, by how wide what it says is; 0: any width will do.

    `whole` is the width of its vector for a picture as a whole, `parts` that of those for its parts.
    """

    whole: int = 0
    parts: int = 0


@dataclass(frozen=True)
class Seen:
    """What an image encoder says of a picture (row 0) and of no picture at all (row 1), on the model's device.

    `whole` is (2, P), zeros for none. `parts` is (2, L, D), what the last layer but one says of L parts; for none, what
    it says of a picture of zeros (Ye et al. 2023).
    """

    whole: Tensor
    parts: Tensor


@dataclass(frozen=True)
class Guide:
    """What a unit asks of a loaded control.

    `hint` is (1, 3, H, W), 0..1, as large as the picture, or -1 where that is to be painted anew, `mask` (1, 1, H, W),
    1 where the control holds; both float32 on the model's device. `kinds` are what the hint is a picture of, by
    A1111's tags: "Canny", "Depth". `seen` is for a control that `Sees` alone.
    """

    hint: Tensor
    weight: float = 1.0
    mode: Literal["balanced", "prompt", "control"] = "balanced"
    mask: Tensor | None = None
    options: Mapping[str, float] = field(default_factory=dict)
    kinds: tuple[str, ...] = ()
    seen: Seen | None = None


class Loaded(Protocol):
    """A control in memory."""

    @property
    def size(self) -> int:
        """How many bytes its weights take."""
        ...

    def ring(self, model: Model, guide: Guide) -> Ring:
        """Return the ring of one unit for one batch; `guide.weight` is above 0."""
        ...


@runtime_checkable
class Control(Protocol):
    """A kind of control, as the hook `controls` offers it."""

    @property
    def name(self) -> str:
        """What people call it: "ControlNet"."""
        ...

    def detect(self, header: Header) -> bool:
        """Return whether the file is of this kind, by keys and shapes alone. One that needs no file: never."""
        ...

    def family(self, header: Header, identify: Identify) -> str:
        """Return the family of checkpoints that the file is made for, empty when that cannot be told."""
        ...

    def misfit(self, header: Header, unet: Mapping[str, Any]) -> tuple[str, str] | None:
        """Return what the file and a U-Net of that diffusers config differ in, each put in words; None: they fit."""
        ...

    def load(self, header: Header, model: Model) -> Loaded:
        """Load the file for `model`, onto its device and in its dtype; raise `BrokenFile` for what cannot be."""
        ...


@runtime_checkable
class Sees(Protocol):
    """A kind of control that is told what an image encoder sees in a picture, and not the picture itself."""

    def sight(self, header: Header) -> Sight:
        """Return which image encoder the file was made for."""
        ...


def soft_weights(count: int) -> list[float]:
    """Return the weights of a ControlNet's `count` residuals when the prompt counts more: 1 for the middle one."""
    return [SLOPE ** (count - 1 - place) for place in range(count)]
