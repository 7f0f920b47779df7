"""The contract of a model family.

A family recognises a checkpoint by its header and loads it; the loaded model encodes words, guesses and decodes.
Adding one is a file beside this one with a module-level `families` hook. Such a file imports torch only inside `load`,
so that the web process can ask it what a checkpoint is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from modules.prompts.emphasis import Apply, emphasise
from modules.request import Told

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from modules.prompts.chunks import Chunk
    from modules.prompts.vocabulary import ClipTokenizer
    from modules.sampling.prediction import Prediction


Learned = Mapping[str, Mapping[str, "Tensor"]]
"""Embeddings by name: for each text encoder they were learned for ("text_encoder"), its vectors (n, width)."""

NOTHING_LEARNED: Learned = MappingProxyType({})


@dataclass(frozen=True)
class Entry:
    """Where one tensor lies: `start` and `size` are bytes within `file`; `dtype` is the safetensors name ("F16").

    `shape` is what a module wants. A stored matrix that is the transpose of that is `transposed`.
    """

    file: Path
    dtype: str
    shape: tuple[int, ...]
    start: int
    size: int
    transposed: bool = False


@dataclass(frozen=True)
class Header:
    """What a checkpoint says of itself before any weight is read.

    Tensors are named `component.key` as a diffusers folder has them ("unet.conv_in.weight"), whatever the file calls
    them; `configs` holds diffusers' configs by component, with "easel" for what a model says to Easel only; `metadata`
    is the text a safetensors file carries.
    """

    path: Path
    entries: Mapping[str, Entry]
    configs: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    metadata: Mapping[str, str] = field(default_factory=dict)

    def part(self, name: str) -> dict[str, Entry]:
        """Return the entries of one component, without its name in front."""
        prefix = f"{name}."
        return {key.removeprefix(prefix): entry for key, entry in self.entries.items() if key.startswith(prefix)}


@dataclass(frozen=True)
class LatentFormat:
    """What a family's latents look like.

    `factor` pixels per latent cell; the autoencoder works on `latent / scale + shift`. A latent cell (in the units of
    the sampler) times `rgb` (channels x 3) plus `bias` is its colour, -1..1: a fitted linear map for previews.
    """

    channels: int
    factor: int
    scale: float
    shift: float
    rgb: tuple[tuple[float, float, float], ...]
    bias: tuple[float, float, float] = (0.0, 0.0, 0.0)


@dataclass(frozen=True)
class Defaults:
    """What a family's pictures are made with unless asked otherwise; an empty sampler or schedule means any."""

    native_size: int  # pixels
    steps: int = 20
    cfg_scale: float = 7.0
    sampler: str = ""
    schedule: str = ""


@dataclass(frozen=True)
class Conditioning:
    """Words as the network reads them, one row for each call row: `context` is (B, L, D), `pooled` (B, P) or None.

    `extra` holds what else a family tells its network, also one row for each.
    """

    context: Tensor
    pooled: Tensor | None = None
    extra: Mapping[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class Thrift:
    """How a network's attention saves work, at the cost of detail: as it is here, not at all."""

    merge_ratio: float = 0.0  # 0..1, of the tokens of its widest level
    tile: int = -1  # latent cells: the most that the least side of a tile may be; -1: no tiles
    tile_depth: int = 0  # how many levels below the widest one have tiles
    tile_choices: int = 1  # among how many ways to cut a side


class Model(Protocol):
    """A loaded checkpoint, ready on its device."""

    @property
    def family(self) -> Family:
        """The family that loaded it."""
        ...

    @property
    def prediction(self) -> Prediction:
        """What its network was trained to say."""
        ...

    @property
    def latent(self) -> LatentFormat:
        """What its latents look like."""
        ...

    @property
    def native_size(self) -> int:
        """The side of the square pictures it was trained on, in pixels."""
        ...

    @property
    def further(self) -> int:
        """How many channels its network reads beside the noisy latents.

        None; as many as the latents have (a picture to follow); or one more (a mask, and a picture with a hole).
        """
        ...

    @property
    def parts(self) -> Mapping[str, nn.Module]:
        """Its networks by component: "unet", "vae", "text_encoder", "text_encoder_2" as far as it has them."""
        ...

    @property
    def device(self) -> torch.device:
        """Where its weights are."""
        ...

    @property
    def dtype(self) -> torch.dtype:
        """What it computes in."""
        ...

    @property
    def tokenizer(self) -> ClipTokenizer:
        """What cuts its prompts into tokens."""
        ...

    def encode(
        self,
        prompts: Sequence[Sequence[Chunk]],
        clip_skip: int = 1,
        negative: bool = False,
        learned: Learned = NOTHING_LEARNED,
        apply: Apply = emphasise,
        first_alone: bool = False,
    ) -> Conditioning:
        """Return the conditioning of prompts of equally many chunks, one row for each prompt.

        `clip_skip` 2 takes what the last layer but one of a text encoder said, and so on; `negative` says that these
        are negative prompts, which some families read differently. `learned` holds the vectors that chunks name.
        `apply` says what their weights do. With `first_alone` clip skip is for the first of several text encoders
        alone (A1111's "Clip skip SDXL").
        """
        ...

    def predict(self, x: Tensor, sigma: float, conditioning: Conditioning) -> Tensor:
        """Return the clean latents guessed for `x` (B, C, h, w; float32) at `sigma`: one network call."""
        ...

    def with_vae(self, vae: Header, home: torch.device | None = None) -> Model:
        """Return a model that shares all weights with this one but those of its autoencoder, which come from `vae`.

        They are put to `home`, if that is elsewhere. Raises `BrokenFile` when there is none in it, `WrongFamily` when
        it is made for other latents.
        """
        ...

    def with_prediction(self, prediction: Prediction) -> Model:
        """Return a model that shares everything with this one but what its network is taken to say."""
        ...

    def with_told(self, told: Told) -> Model:
        """Return a model that shares everything with this one but what its network is told about pictures."""
        ...

    def with_thrift(self, thrift: Thrift) -> Model:
        """Return a model that shares everything with this one, whose attention saves work."""
        ...

    def seamless(self) -> AbstractContextManager[None]:
        """Let the opposite borders of pictures fit together until the `with` is left; nothing of it is left behind."""
        ...

    def encode_pictures(self, pixels: Tensor) -> Tensor:
        """Return the latents (B, C, h, w; float32) of `pixels` (B, 3, H, W; -1..1), the same ones each time."""
        ...

    def decode(self, latents: Tensor, tile: int = 0, exact: bool = False) -> Tensor:
        """Return the pictures of `latents` (B, C, h, w): (B, 3, H, W), float32, about -1..1.

        With `tile` they are decoded in overlapping pieces of that side in pixels, which takes less memory; `exact`
        decodes in float32 whatever the model computes in.
        """
        ...


@runtime_checkable
class Family(Protocol):
    """What every family offers."""

    @property
    def name(self) -> str:
        """Its short name, as recipes write it: "sd1"."""
        ...

    @property
    def latent(self) -> LatentFormat:
        """What its latents look like unless a checkpoint says otherwise."""
        ...

    @property
    def defaults(self) -> Defaults:
        """Size, steps and guidance that suit it."""
        ...

    @property
    def signs(self) -> Sequence[object]:
        """What `detect` looks for, each written for people by `str`."""
        ...

    def detect(self, header: Header) -> bool:
        """Return whether the checkpoint is of this family, by keys and shapes alone."""
        ...

    def native_size(self, header: Header) -> int:
        """Return the side in pixels that the checkpoint was trained on."""
        ...

    def defaults_for(self, header: Header) -> Defaults:
        """Return size, steps and guidance that suit the checkpoint: `defaults` unless it was made for others."""
        ...

    def weights(self, header: Header) -> Path:
        """Return the file whose SHA-256 identifies the checkpoint."""
        ...

    def load(
        self,
        header: Header,
        device: torch.device,
        dtype: torch.dtype,
        vae: Header | None = None,
        home: torch.device | None = None,
    ) -> Model:
        """Load the checkpoint, with the autoencoder of `vae` in place of its own where that is given.

        The model computes on `device`; its weights are put to `home`, if that is elsewhere and they are to come when
        they are used. Raises `BrokenFile` saying what is missing from it. Never touches the network.
        """
        ...
