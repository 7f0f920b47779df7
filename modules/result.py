"""What came back: a picture and the recipe that makes it again."""

from collections.abc import Mapping
from typing import Any

from PIL import Image
from pydantic import BaseModel, ConfigDict, Field

from modules.request import (
    Control,
    Encoding,
    Guidance,
    Hires,
    Hypertile,
    InitImage,
    Mask,
    Merging,
    Refiner,
    Sampling,
    Tiles,
    Told,
    Variation,
)


class UsedControl(BaseModel):
    """One unit of ControlNet and its kin as it was used: `asked` with the names there are, and the sliders' numbers."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())

    asked: Control
    model_hash: str = ""  # the first 8 hexadecimal digits of SHA-256 of the weights
    sliders: tuple[float, ...] = ()  # of the preprocessor, in its order
    resolution: int = 0  # pixels of the shorter side that the preprocessor looked at


CAPTION = "Caption"  # in `Recipe.postprocessing`: what a picture shows, in words


GRID = -1  # the place in its job of the grid of all its pictures; those that are not finished have lower ones


def placed(index: int) -> tuple[bool, int]:
    """Return what sorts the pictures of a job by their places: the grid, the pictures, those that are not finished."""
    return index < GRID, index if index >= GRID else -index


class UsedTiles(BaseModel):
    """The tiles a picture was painted over in: as `asked` for, and how large one was, in pixels."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    asked: Tiles
    width: int
    height: int


class UsedHires(BaseModel):
    """The second pass of a picture: as `asked` for, and how large the picture became, in pixels."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())

    asked: Hires
    width: int
    height: int
    model_hash: str = ""  # of a checkpoint of its own: the first 10 hexadecimal digits of SHA-256 of the weights
    vae: str = ""  # what that was used with; empty: its own autoencoder


class UsedRefiner(BaseModel):
    """The checkpoint that took over: as `asked` for, and the first 10 hexadecimal digits of SHA-256 of its weights."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())

    asked: Refiner
    model_hash: str = ""
    vae: str = ""  # what it was used with; empty: its own autoencoder


class Recipe(BaseModel):
    """A request with every choice resolved, for one picture: what decides how it looks.

    A picture that Easel did not make but only changed has nothing to say in most of it; `given` keeps what it said
    of itself, to the letter, and `postprocessing` is what was done to it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())

    prompt: str = ""
    negative_prompt: str = ""
    model: str = ""
    model_hash: str = ""  # the first 10 hexadecimal digits of SHA-256 of the weights
    family: str = ""
    vae: str = ""  # a file of its own; empty when the checkpoint's own was used
    vae_hash: str = ""
    clip_skip: int = 1
    emphasis: str = "Original"  # how weights in the words were read
    networks: dict[str, dict[str, str]] = Field(default_factory=dict)  # kind -> name -> short hash
    sampler: str = ""
    schedule: str = ""
    steps: int = 0
    width: int
    height: int
    cfg_scale: float = 0.0
    seed: int = -1
    noise_source: str = "CPU"
    variation: Variation | None = None  # its seed is the picture's own
    seed_delta: int = 0
    sampling: Sampling | None = None  # what of it counted
    guidance: Guidance | None = None
    told: Told | None = None
    merging: Merging | None = None
    hypertile: Hypertile | None = None
    tiling: bool = False
    encoding: Encoding | None = None
    old_timelines: bool = False
    pad_conds: str = "chunks"
    noise_schedule: str = "Default"
    downcast_alphas: bool = False
    init: InitImage | None = None
    init_hash: str = ""  # MD5 of its pixels, where it was kept (32 hexadecimal digits)
    mask: Mask | None = None
    tiles: UsedTiles | None = None
    hires: UsedHires | None = None
    refiner: UsedRefiner | None = None  # none where no step was left to it
    device: str = ""
    dtype: str = ""
    attention: str = ""  # the names of the networks' attention processors
    versions: dict[str, str] = Field(default_factory=dict)  # package -> version
    controls: tuple[UsedControl, ...] = ()
    extras: dict[str, dict[str, Any]] = Field(default_factory=dict)
    notes: dict[str, str] = Field(default_factory=dict)  # further "parameters" entries, in order, e.g. from extensions
    given: str = ""  # the "parameters" text of the picture before it was changed
    postprocessing: dict[str, str] = Field(default_factory=dict)  # what was done to a finished picture, in order
    interrupted: int = 0  # the step at which a person wanted no more of it; 0: it is finished
    job: str = ""  # the job's id, empty when made outside the queue
    index: int = 0  # which picture of the job

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the picture as it became, in pixels."""
        return (self.hires.width, self.hires.height) if self.hires is not None else (self.width, self.height)


class Picture:
    """An image with its recipe; what it was on its way lies `beside`, by the suffix of its file."""

    def __init__(self, image: Image.Image, recipe: Recipe, beside: Mapping[str, Image.Image] | None = None) -> None:
        self.image = image
        self.recipe = recipe
        self.beside = beside or {}
