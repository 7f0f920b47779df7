"""What was asked: one frozen model that the page, the command line, the API and a queue row all validate the same way.

There is no mode: a request of words alone is text to picture; a picture to begin with, a mask, and controls are
optional parts of the same model.
"""

import secrets
from collections.abc import Collection, Mapping, Sequence
from typing import Annotated, Any, Literal, Self, get_args

from annotated_types import Ge, Le, MultipleOf
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from modules.errors import BadRequest

SIZE = (64, 2048, 8)  # pixels: least, most, step
STEPS = (1, 150)
CFG_SCALE = (1.0, 30.0)
BATCH_COUNT = (1, 100)
BATCH_SIZE = (1, 8)
CLIP_SKIP = (1, 12)
LARGEST_SEED = 2**64 - 1
PROMPT_LENGTH = 10_000  # characters

CONTROLS = 10  # units
STYLE_NAME = 200  # characters
STYLES = 50  # in one request

Size = Annotated[int, Field(ge=SIZE[0], le=SIZE[1], multiple_of=SIZE[2])]
PictureName = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
"""The name of a picture in `modules.images.inputs.Inputs`."""
NoiseSource = Literal["CPU", "GPU", "NV"]
Resize = Literal["stretch", "crop", "fill"]
"""How a picture comes to another shape: stretched; cut to it; or whole, with its edges drawn out to fill the rest."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class InitImage(_Part):
    """The picture that is painted over. At a denoising strength of 0 nearly nothing of it changes, at 1 everything."""

    image: PictureName
    denoising_strength: float = Field(0.75, ge=0, le=1)
    resize_mode: Literal["stretch", "crop", "fill", "latent"] = "stretch"  # latent: its latents are stretched
    background: str = Field("#ffffff", pattern="^#[0-9a-fA-F]{6}$")  # what shows through where it is transparent
    color_correction: bool = False  # give the result the colours of the picture
    noise_multiplier: float = Field(1.0, ge=0, le=1.5)  # of the noise that is laid over it
    mask_weight: float = Field(1.0, ge=0, le=1)  # how far a mask hides it from a checkpoint for inpainting
    image_cfg_scale: float = Field(1.5, ge=0, le=3)  # how much it counts for a checkpoint that follows a picture


class Soft(_Part):
    """Soft inpainting: how the mask fades while the picture emerges (the names are A1111's)."""

    schedule_bias: float = Field(1.0, ge=0, le=8)
    preservation_strength: float = Field(0.5, ge=0, le=8)
    transition_contrast: float = Field(4.0, ge=1, le=32)
    mask_influence: float = Field(0.0, ge=0, le=1)
    difference_threshold: float = Field(0.5, ge=0, le=8)
    difference_contrast: float = Field(2.0, ge=0, le=8)


class Mask(_Part):
    """Which part of the picture is painted over: where the mask is white, or opaque if some of it is transparent."""

    image: PictureName
    invert: bool = False  # paint over what is not masked instead
    blur: int = Field(4, ge=0, le=64)  # pixels, the deviation of a Gaussian
    fill: Literal["fill", "original", "noise", "nothing"] = "original"  # what the masked part begins from
    area: Literal["whole", "masked"] = "whole"  # masked: only that part is made, at the full size
    padding: int = Field(32, ge=0, le=256)  # pixels around the masked part that are seen with it
    soft: Soft | None = None


class Tiles(_Part):
    """The picture made `scale` times as large by an upscaler, and then painted over in tiles that overlap.

    The request's width and height are those of a tile then. Joined at the "end", each tile is painted over by itself
    and its edges fade into its neighbours' (A1111's SD upscale); joined at every "step", the tiles' guesses become one
    before the next (MultiDiffusion, Bar-Tal et al. 2023).
    """

    upscaler: str = Field("Lanczos", max_length=200)
    scale: float = Field(2.0, ge=1, le=4)
    overlap: int = Field(64, ge=0, le=256)  # pixels that neighbours share at least; no more than half a tile
    joined: Literal["end", "step"] = "end"


class Control(_Part):
    """One unit of ControlNet and its kin: a picture that says what goes where."""

    image: PictureName | Literal[""] = ""  # empty: the picture that is painted over
    mask: PictureName | Literal[""] = ""  # where it holds; empty: everywhere
    preprocessor: str = Field("none", max_length=200)
    options: dict[str, float] = Field(default_factory=dict)  # the preprocessor's own, by name
    resolution: int = Field(512, ge=64, le=2048)  # pixels of the shorter side that the preprocessor looks at
    pixel_perfect: bool = False  # the preprocessor looks at as many pixels as the result has
    model: str = Field("", max_length=1000)  # a name of the catalog
    weight: float = Field(1.0, ge=0, le=2)
    start: float = Field(0.0, ge=0, le=1)  # share of the steps
    end: float = Field(1.0, ge=0, le=1)
    mode: Literal["balanced", "prompt", "control"] = "balanced"  # what counts more
    resize_mode: Resize = "crop"


class Hires(_Part):
    """A second pass: the picture is made larger and painted over (A1111's "hires. fix").

    `scale` counts where neither `width` nor `height` is given (0); with one of them the other side follows. With
    `image` there is no first pass: that picture is made larger, and the request's size is its size.
    """

    upscaler: str = Field("Latent", max_length=200)
    scale: float = Field(2.0, ge=1, le=4)
    width: int = Field(0, ge=0, le=SIZE[1], multiple_of=SIZE[2])
    height: int = Field(0, ge=0, le=SIZE[1], multiple_of=SIZE[2])
    steps: int = Field(0, ge=0, le=STEPS[1])  # 0: as many as the first pass
    denoising_strength: float = Field(0.7, ge=0, le=1)
    sampler: str = ""  # empty: that of the first pass
    schedule: str = ""
    model: str = Field("", max_length=1000)  # a name of the catalog; empty: that of the first pass
    prompt: str = Field("", max_length=PROMPT_LENGTH)  # empty: that of the first pass
    negative_prompt: str = Field("", max_length=PROMPT_LENGTH)
    cfg_scale: float = Field(0.0, ge=0, le=CFG_SCALE[1])  # 0: that of the first pass
    image: PictureName | Literal[""] = ""


class Refiner(_Part):
    """A checkpoint that takes over where another leaves off (SDXL's refiner, or any of the same latents).

    It takes over at the first step that begins with the share `switch_at` done: of the noise levels the network knows
    ("timesteps"), or of the steps. Where there is a second pass, `passes` says in which it does.
    """

    model: str = Field("", max_length=1000)  # a name of the catalog; empty: none takes over
    switch_at: float = Field(0.8, ge=0.01, le=1)
    switch_by: Literal["timesteps", "steps"] = "timesteps"
    passes: Literal["first", "second", "both"] = "second"


class Variation(_Part):
    """A second seed, whose noise the first's is turned towards, and the size that the noise is drawn for."""

    seed: int = Field(-1, ge=-1, le=LARGEST_SEED)  # -1: drawn when the job is added
    strength: float = Field(0.0, ge=0, le=1)  # 0: the first seed alone; 1: the second alone
    from_width: int = Field(0, ge=0, le=SIZE[1], multiple_of=SIZE[2])  # pixels; 0: the picture's own
    from_height: int = Field(0, ge=0, le=SIZE[1], multiple_of=SIZE[2])

    @property
    def resized(self) -> bool:
        """Whether the noise is drawn for another size than the picture's."""
        return self.from_width > 0 and self.from_height > 0


class Numbers(_Part):
    """A part of which each field counts for itself, where it is not as usual."""

    @property
    def numbers(self) -> dict[str, float | str]:
        """The fields that are not as usual, by name."""
        fields = type(self).model_fields.items()
        return {name: getattr(self, name) for name, info in fields if getattr(self, name) != info.default}


class Sampling(Numbers):
    """The samplers' and schedules' own numbers, by A1111's names; as they are here all is as it was published.

    Each counts for those samplers and schedules alone that know it.
    """

    eta: float = Field(default=1.0, ge=0, le=1)  # how much of the noise is drawn anew at each step
    eta_ddim: float = Field(default=0.0, ge=0, le=1)  # the same for DDIM, which draws none by itself
    s_churn: float = Field(default=0.0, ge=0, le=100)  # noise added before a step, spread over the steps
    s_tmin: float = Field(default=0.0, ge=0, le=10)  # between these levels of noise
    s_tmax: float = Field(default=0.0, ge=0, le=999)  # 0: up to any
    s_noise: float = Field(default=1.0, ge=0, le=1.1)  # the deviation of noise that is added
    sigma_min: float = Field(default=0.0, ge=0, le=100)  # the schedule's last level before 0; 0: the model's own
    sigma_max: float = Field(default=0.0, ge=0, le=10_000)  # its first one
    rho: float = Field(default=0.0, ge=0, le=100)  # how the levels crowd at the end; 0: the schedule's own
    beta_dist_alpha: float = Field(default=0.6, ge=0.01, le=1)  # how the levels of Beta crowd at the end
    beta_dist_beta: float = Field(default=0.6, ge=0.01, le=1)  # and at the beginning
    discard_penultimate: bool = False  # one level more is made, and the last before 0 left out
    sgm_noise_multiplier: bool = False  # begin with noise as strong as a picture and noise are together
    ddim_discretize: Literal["uniform", "quad"] = "uniform"  # how the schedule DDIM chooses its timesteps
    uni_pc_variant: Literal["bh1", "bh2", "vary_coeff"] = "bh1"  # how UniPC weighs what it knows
    uni_pc_skip_type: Literal["time_uniform", "time_quadratic", "logSNR"] = "time_uniform"  # its own schedule
    uni_pc_order: int = Field(default=3, ge=1, le=50)  # how many guesses it looks at
    uni_pc_lower_order_final: bool = True  # at the last steps fewer
    quantize: bool = False  # the network is told the nearest of the times that it was trained on
    extra_noise: float = Field(default=0.0, ge=0, le=1)  # laid over a picture on top of its first level's

    def only(self, names: Collection[str]) -> "Sampling | None":
        """Return the part with nothing unusual but `names`; None where that leaves nothing."""
        kept = {name: value for name, value in self.numbers.items() if name in names}
        return Sampling.model_validate(kept) if kept else None


class Guidance(_Part):
    """What is done about guidance besides its scale (A1111's names where it has any)."""

    rescale: float = Field(default=0.0, ge=0, le=1)  # "CFG Rescale": how far contrast goes back to the prompt's (phi)
    skip_early: float = Field(default=0.0, ge=0, le=1)  # "Skip Early CFG": share of steps without a negative prompt
    s_min_uncond: float = Field(default=0.0, ge=0, le=15)  # "NGMS": noise below which every other step goes without it
    s_min_uncond_all: bool = False  # "NGMS all steps": there, not every other step but all of them


class Told(Numbers):
    """What a network is told about a picture besides words and size, where it was trained to listen (SDXL).

    Pictures it was trained on were cut out of larger ones, so many pixels from the top and the left. Its refiner is
    told how people would score a picture: one of the prompt, and one of the negative prompt.
    """

    crop_top: int = Field(default=0, ge=0, le=4096)  # pixels
    crop_left: int = Field(default=0, ge=0, le=4096)
    high_score: float = Field(default=6.0, ge=0, le=10)
    low_score: float = Field(default=2.5, ge=0, le=10)


class Merging(Numbers):
    """Token merging (Bolya and Hoffman 2023): which share of what attention looks at is merged into what is like it.

    In a second pass it is as in the first, unless that has a share of its own.
    """

    merge_ratio: float = Field(default=0.0, ge=0, le=0.9)
    merge_ratio_hires: float = Field(default=0.0, ge=0, le=0.9)


class Hypertile(Numbers):
    """Attention that looks at a tile at a time (tfernd's HyperTile); a second pass does where either is switched on.

    Deeper levels have larger tiles; the sides of tiles are drawn among so many (`swap_size`), anew for each layer.
    """

    tile_attention: bool = False
    tile_attention_hires: bool = False
    max_depth: int = Field(default=3, ge=0, le=3)  # levels below the widest that have tiles, too
    max_tile: int = Field(default=256, ge=0, le=512)  # pixels that the least side may be; never below 128
    swap_size: int = Field(default=3, ge=0, le=64)


class Encoding(_Part):
    """How words are read, where that is not as usual."""

    old_emphasis: bool = False  # as A1111 did until 2022: brackets among the tokens, and 75 of these at most
    comma_backtrack: int = Field(default=20, ge=0, le=74)  # tokens back that a full chunk is cut, at a comma; 0: never
    clip_l_skip: bool = False  # clip skip is for the first text encoder of SDXL alone, down to its last layer
    comments: bool = True  # what is behind a # is none of the words
    first_pass_networks: bool = False  # a second pass of the same checkpoint reads its words with the first's networks


class Shot(BaseModel):
    """One picture of a request after planning: its own words and its own seeds."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    index: int
    prompt: str
    negative_prompt: str
    seed: int
    variation_seed: int = 0
    hires_prompt: str = ""  # of the second pass; empty: the same
    hires_negative_prompt: str = ""


class Request(BaseModel):
    """A picture, or several, as asked for. Sizes in pixels; `None` means the model's own native size."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    prompt: str = Field("", max_length=PROMPT_LENGTH)
    negative_prompt: str = Field("", max_length=PROMPT_LENGTH)
    styles: tuple[Annotated[str, Field(max_length=STYLE_NAME)], ...] = Field((), max_length=STYLES)  # put around both
    model: str = ""  # a name of the catalog; empty means the one chosen on the page, or the first there is
    vae: str = "Automatic"  # automatic: the file beside the checkpoint, if any; None: the checkpoint's own; or a name
    clip_skip: int = Field(1, ge=CLIP_SKIP[0], le=CLIP_SKIP[1])  # 2: what the text encoder's last layer but one said
    emphasis: Literal["Original", "None", "Ignore", "No norm"] = "Original"  # what (brackets:1.2) do; A1111's names
    sampler: str = "DPM++ 2M"
    schedule: str = "Automatic"  # automatic: the schedule the sampler was made for
    steps: int = Field(20, ge=STEPS[0], le=STEPS[1])
    width: Size | None = None  # with `tiles`: of one of them
    height: Size | None = None
    cfg_scale: float = Field(7.0, ge=CFG_SCALE[0], le=CFG_SCALE[1])
    guidance: Guidance | None = None
    told: Told | None = None
    merging: Merging | None = None
    hypertile: Hypertile | None = None
    tiling: bool = False  # opposite borders of the picture fit together
    encoding: Encoding | None = None
    old_timelines: bool = False  # numbers in [from:to:when] are read as A1111 did before 1.6
    pad_conds: Literal["chunks", "off", "v0"] = "chunks"  # a prompt and a negative prompt of unequal length (A1111's)
    noise_schedule: Literal["Default", "Zero Terminal SNR"] = "Default"  # A1111's; the latter ends in noise alone
    downcast_alphas: bool = False  # noise levels worked out in half precision, as A1111 did before 1.7
    seed: int = Field(-1, ge=-1, le=LARGEST_SEED)  # -1: drawn when the job is added, so that a retry repeats it
    variation: Variation | None = None
    noise_source: NoiseSource = "CPU"  # whose numbers: torch's on the CPU, the device's own, or NVIDIA's, imitated
    seed_delta: int = Field(0, ge=0, le=2**32)  # added to the seed for the noise of the steps (A1111's ENSD)
    sampling: Sampling | None = None
    batch_count: int = Field(1, ge=BATCH_COUNT[0], le=BATCH_COUNT[1])
    batch_size: int = Field(1, ge=BATCH_SIZE[0], le=BATCH_SIZE[1])
    init: InitImage | None = None
    mask: Mask | None = None  # of `init`
    hires: Hires | None = None
    refiner: Refiner | None = None
    tiles: Tiles | None = None  # in which `init` becomes larger
    controls: tuple[Control, ...] = Field((), max_length=CONTROLS)
    extras: dict[str, dict[str, Any]] = Field(default_factory=dict)  # extension name -> its values by name

    @property
    def images(self) -> int:
        """How many pictures this makes."""
        return self.batch_count * self.batch_size

    @field_validator("styles", mode="before")
    @classmethod
    def _no_styles(cls, styles: object) -> object:
        """An emptied list of a page is none."""
        return styles or ()

    @field_validator("variation")
    @classmethod
    def _nothing_varied(cls, variation: Variation | None) -> Variation | None:
        """A variation that changes nothing is none."""
        return variation if variation is not None and (variation.strength or variation.resized) else None

    @field_validator("sampling", "told", "merging")
    @classmethod
    def _nothing_unusual(cls, part: Numbers | None) -> Numbers | None:
        """Numbers that are all as usual are none."""
        return part if part is not None and part.numbers else None

    @field_validator("hypertile")
    @classmethod
    def _no_tiles(cls, hypertile: Hypertile | None) -> Hypertile | None:
        """Tiles in no pass are none."""
        used = hypertile is not None and (hypertile.tile_attention or hypertile.tile_attention_hires)
        return hypertile if used else None

    @field_validator("encoding")
    @classmethod
    def _nothing_odd(cls, encoding: Encoding | None) -> Encoding | None:
        """Words that are read as usual are none."""
        return encoding if encoding != Encoding() else None

    @field_validator("refiner")
    @classmethod
    def _nobody_takes_over(cls, refiner: Refiner | None) -> Refiner | None:
        """A refiner without a checkpoint is none."""
        return refiner if refiner is not None and refiner.model else None

    @field_validator("guidance")
    @classmethod
    def _nothing_guided(cls, guidance: Guidance | None) -> Guidance | None:
        """Guidance that is as usual is none, and no step has less noise than none."""
        if guidance is not None and not guidance.s_min_uncond:
            guidance = guidance.model_copy(update={"s_min_uncond_all": False})
        told = guidance is not None and (guidance.rescale or guidance.skip_early or guidance.s_min_uncond)
        return guidance if told else None

    def with_seed(self) -> Self:
        """Return the request with drawn seeds (0 to 2^32 - 1) where it asked for random ones."""
        drawn: dict[str, Any] = {}
        if self.seed < 0:
            drawn["seed"] = secrets.randbelow(2**32)
        if self.variation is not None and self.variation.seed < 0:
            drawn["variation"] = self.variation.model_copy(update={"seed": secrets.randbelow(2**32)})
        return self.model_copy(update=drawn) if drawn else self

    def shots(self) -> tuple[Shot, ...]:
        """Return one shot for each picture: the seed rises by one from picture to picture, modulo 2^64.

        Where it is turned towards a second seed it stays, and the second rises.
        """
        varied = self.variation is not None and self.variation.strength > 0
        second = self.variation.seed if self.variation is not None else 0
        return tuple(
            Shot(
                index=index,
                prompt=self.prompt,
                negative_prompt=self.negative_prompt,
                seed=(self.seed + (0 if varied else index)) % (LARGEST_SEED + 1),
                variation_seed=(second + index) % (LARGEST_SEED + 1) if varied else 0,
                hires_prompt=self.hires.prompt if self.hires else "",
                hires_negative_prompt=self.hires.negative_prompt if self.hires else "",
            )
            for index in range(self.images)
        )


def make_request(values: Mapping[str, Any]) -> Request:
    """Build a request from untrusted `values`; raise `BadRequest` with a sentence that says what is allowed."""
    hires = values.get("hires")
    prompts = {name: values.get(name) for name in ("prompt", "negative_prompt")}
    if isinstance(hires, Mapping):
        prompts |= {f"hires_{name}": hires.get(name) for name in ("prompt", "negative_prompt")}
    for name, text in prompts.items():
        if not isinstance(text, str):
            continue
        if len(text) > PROMPT_LENGTH:
            raise BadRequest("prompt_length", field=name, length=len(text), most=PROMPT_LENGTH)
        if "\0" in text or any("\ud800" <= character <= "\udfff" for character in text):
            raise BadRequest("prompt_characters", field=name)
    try:
        request = Request.model_validate(dict(values))
    except ValidationError as error:
        raise _explained(error, values) from None
    ends = request.sampling
    if ends is not None and 0 < ends.sigma_max <= ends.sigma_min:
        raise BadRequest("sigma_order", least=ends.sigma_min, most=ends.sigma_max)
    if request.init is None and request.mask is not None:
        raise BadRequest("mask_alone")
    if request.init is not None and request.hires is not None:
        raise BadRequest("hires_with_picture")
    if request.init is None and request.tiles is not None:
        raise BadRequest("tiles_alone")
    if request.tiling and request.tiles is not None:
        raise BadRequest("tiling_in_tiles")
    if request.init is None and any(not control.image for control in request.controls):
        raise BadRequest("control_picture")
    return request


def _explained(error: ValidationError, values: Mapping[str, Any]) -> BadRequest:
    """Say the first fault of a validation in words that name the field, the value and what is allowed."""
    fault = error.errors()[0]
    place = tuple(each for each in fault["loc"] if not isinstance(each, int))
    field = str(place[-1]) if place else ""
    value = "" if isinstance(fault["input"], dict | list) else str(fault["input"])[:60]
    if not place or (len(place) == 1 and field in Request.model_fields):
        value = str(values.get(field, ""))[:60]
    if fault["type"] == "extra_forbidden":
        owner = _owner(place)
        return BadRequest("unknown_field", field=field, allowed=", ".join(owner.model_fields))
    if field == "seed":
        return BadRequest("seed", field=field, value=value, most=LARGEST_SEED)
    if field in ("width", "height") and _owner(place) is Request:
        return BadRequest("size", field=field, value=value, least=SIZE[0], most=SIZE[1], step=SIZE[2])
    info = _owner(place).model_fields.get(field)
    least, most, step = limits(info.metadata if info else ())
    if step is not None:
        return BadRequest("size", field=field, value=value, least=least, most=most, step=step)
    if least is not None and most is not None:
        whole = info is not None and info.annotation is int
        return BadRequest("whole_number" if whole else "number", field=field, value=value, least=least, most=most)
    if fault["type"] == "literal_error":
        allowed = ", ".join(str(each) for each in get_args(info.annotation)) if info else ""
        return BadRequest("one_of", field=field, value=value, allowed=allowed)
    if fault["type"] == "too_long" and field == "controls":
        return BadRequest("too_many_controls", most=CONTROLS)
    return BadRequest("bad_value", field=field, value=value)


def limits(metadata: Sequence[object]) -> tuple[float | None, float | None, float | None]:
    """Return the least and the greatest value and the step that the metadata of a field allow, each None if any."""
    least = next((each.ge for each in metadata if isinstance(each, Ge)), None)
    most = next((each.le for each in metadata if isinstance(each, Le)), None)
    step = next((each.multiple_of for each in metadata if isinstance(each, MultipleOf)), None)
    return least, most, step  # type: ignore[return-value]


def _owner(place: Sequence[object]) -> type[BaseModel]:
    """Return the model that the last name of `place` is a field of."""
    parts: dict[object, type[BaseModel]] = {
        "init": InitImage,
        "mask": Mask,
        "controls": Control,
        "soft": Soft,
        "variation": Variation,
        "sampling": Sampling,
        "guidance": Guidance,
        "told": Told,
        "merging": Merging,
        "hypertile": Hypertile,
        "encoding": Encoding,
        "hires": Hires,
        "refiner": Refiner,
        "tiles": Tiles,
    }
    return next((parts[each] for each in reversed(place[:-1]) if each in parts), Request)
