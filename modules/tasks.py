"""What a worker can be asked for besides pictures of words: checkpoint files, pictures that are there already, hints.

A task is a row of the queue like a request, with a `kind` that a request does not have.
"""

import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from modules.errors import BadRequest
from modules.request import SIZE, PictureName, Request, Resize, limits

METHODS = ("none", "sum", "difference")
FORMS = ("safetensors", "diffusers")
FLIPS = ("horizontal", "vertical", "both")
NAME_LENGTH = 200  # characters
MOST_PICTURES = 500  # of one task
MOST_PIECES = 100  # of one picture that is split
LARGEST_SIDE = 16_384  # pixels of a picture that is made larger
NO_UPSCALER = "None"

_Name = Annotated[str, Field(max_length=NAME_LENGTH)]


class _FileTask(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, protected_namespaces=())

    model: _Name  # the primary checkpoint, a name of the catalog
    name: _Name = ""  # of the file to make, without its ending; empty: made up from what goes into it
    half: bool = False  # store float32 weights as float16


class Merge(_FileTask):
    """A checkpoint of two or three: A·(1 − M) + B·M ("sum"), A + (B − C)·M ("difference"), or A alone ("none")."""

    kind: Literal["merge"] = "merge"
    second: _Name = ""  # B
    third: _Name = ""  # C
    method: Literal["none", "sum", "difference"] = "sum"
    multiplier: float = Field(0.3, ge=-1.0, le=2.0)
    vae: _Name = ""  # a VAE file to bake in; empty: the one A has
    discard: str = Field("", max_length=1000)  # a regular expression; weights whose name it finds are left out
    yaml_from: Literal["any", "second", "third", "none"] = "any"  # whose .yaml is copied beside the file
    keep_metadata: bool = True  # what A, B and C say of themselves
    add_recipe: bool = True
    metadata: dict[str, str] = Field(default_factory=dict)  # further entries


class Convert(_FileTask):
    """The same checkpoint in another form: one safetensors file in the original layout, or a diffusers folder."""

    kind: Literal["convert"] = "convert"
    form: Literal["safetensors", "diffusers"] = "safetensors"


class AutoCrop(BaseModel):
    """A size that is chosen for each picture, of those near to its shape (A1111's auto-sized crop).

    Sides in steps of 64 pixels and areas in pixels lie within bounds; of what differs from the shape by no more than
    `error` (1 minus the quotient of the aspect ratios), the largest is taken, or the one nearest to it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    least: int = Field(384, ge=64, le=2048)
    most: int = Field(768, ge=64, le=2048)
    least_area: int = Field(64 * 64, ge=64 * 64, le=2048 * 2048)
    most_area: int = Field(640 * 640, ge=64 * 64, le=2048 * 2048)
    objective: Literal["area", "error"] = "area"
    error: float = Field(0.1, ge=0, le=1)


class Split(BaseModel):
    """Pictures of another shape than width x height, cut into pieces of that size (A1111's split oversized images).

    Those whose aspect ratio differs from that of the size by a factor of `split_at` or less; `split_overlap` is the
    share of a piece that it has in common with the next at least.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    split_at: float = Field(0.5, ge=0, le=1)
    split_overlap: float = Field(0.2, ge=0, le=0.9)


_Share = Annotated[float, Field(ge=0.0, le=1.0)]
_Side = Annotated[int, Field(ge=8, le=LARGEST_SIDE)]


class Extras(BaseModel):
    """Pictures made larger, with their faces restored, cut, and described; and flipped copies of them.

    The size is `scale` times the old one, or covers `width` x `height` where both are given. A second upscaler is
    laid over the first as far as its visibility says. The visibilities of the face restorers: 0 leaves them out.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    kind: Literal["extras"] = "extras"
    pictures: tuple[PictureName, ...] = Field(min_length=1, max_length=MOST_PICTURES)
    names: tuple[_Name, ...] = Field((), max_length=MOST_PICTURES)  # what their files were called; none, or as many
    upscaler: _Name = NO_UPSCALER  # None: the size stays
    second: _Name = NO_UPSCALER
    second_visibility: _Share = 0.0
    scale: float = Field(4.0, ge=1.0, le=8.0)
    longest: int = Field(0, ge=0, le=LARGEST_SIDE)  # pixels that no side is longer than; 0: as long as it gets
    width: _Side | None = None
    height: _Side | None = None
    crop: bool = True  # cut what covers width x height to exactly that
    focus: bool = False  # cut around what stands out, not from the middle
    split: Split | None = None
    # how many pieces come of each picture, once that is known; none: one
    pieces: tuple[Annotated[int, Field(ge=1, le=MOST_PIECES)], ...] = Field((), max_length=MOST_PICTURES)
    auto_crop: AutoCrop | None = None
    gfpgan: _Share = 0.0
    codeformer: _Share = 0.0
    codeformer_weight: _Share = 0.0  # 0: the most effect, 1: the truest to what was there
    faces_first: bool = False  # restore faces before the picture becomes larger
    caption: _Name = ""  # who describes the pictures in words; empty: nobody
    flips: tuple[Literal["horizontal", "vertical", "both"], ...] = Field((), max_length=len(FLIPS))

    @property
    def enlarges(self) -> bool:
        """Whether the pictures get another size."""
        return self.upscaler != NO_UPSCALER

    @property
    def each(self) -> int:
        """How many pictures come of one, or of a piece of one: itself and its flipped copies."""
        return 1 + len(self.flips)

    @property
    def images(self) -> int:
        """How many pictures this makes."""
        return sum(map(self.pieces_of, range(len(self.pictures)))) * self.each

    @property
    def model(self) -> str:
        """What the time it takes is learnt by."""
        return f"{EXTRAS_MODEL}{self.upscaler}"

    def pieces_of(self, place: int) -> int:
        """Return how many pieces come of the picture at `place`."""
        return self.pieces[place] if len(self.pieces) == len(self.pictures) else 1

    def places(self, place: int) -> range:
        """Return the indices of the pictures that come of the one at `place`."""
        first = sum(map(self.pieces_of, range(place))) * self.each
        return range(first, first + self.pieces_of(place) * self.each)

    def name_of(self, place: int) -> str:
        """Return what the file of the picture at `place` was called, or nothing."""
        return self.names[place] if len(self.names) == len(self.pictures) else ""


class Interrogate(BaseModel):
    """What a picture shows, in words."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["interrogate"] = "interrogate"
    image: PictureName
    captioner: _Name = ""  # empty: the first there is

    @property
    def model(self) -> str:
        """No checkpoint: it is said beside whichever is loaded."""
        return ""


class Detect(BaseModel):
    """The hint that a preprocessor makes of a picture. The sizes are the result's, for `pixel_perfect` alone."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    kind: Literal["detect"] = "detect"
    image: PictureName
    preprocessor: _Name
    options: dict[str, float] = Field(default_factory=dict)
    resolution: int = Field(512, ge=64, le=2048)  # pixels of the shorter side
    pixel_perfect: bool = False
    width: int = Field(0, ge=0, le=SIZE[1])
    height: int = Field(0, ge=0, le=SIZE[1])
    resize_mode: Resize = "crop"

    @property
    def model(self) -> str:
        """No checkpoint: it is made beside whichever is loaded."""
        return ""


EXTRAS_MODEL = "extras/"
FileTask = Merge | Convert
SmallTask = Detect | Interrogate
Task = Request | FileTask | Extras | SmallTask
Kind = type[Merge] | type[Convert] | type[Extras] | type[Detect] | type[Interrogate]
KINDS: tuple[Kind, ...] = (Merge, Convert, Extras, Detect, Interrogate)


def read_task(body: str) -> Task:
    """Return the task that was stored as JSON; raise `ValidationError` for what is not allowed (any more)."""
    kind = task_kind(body)
    return next((each for each in KINDS if each.model_fields["kind"].default == kind), Request).model_validate_json(
        body
    )


def task_kind(body: str) -> str:
    """Return "merge", "convert", "extras", "detect" or "interrogate", or "" for a request of pictures."""
    try:
        stored = json.loads(body)
    except ValueError:
        return ""
    return str(stored.get("kind", "")) if isinstance(stored, dict) else ""


def make_file_task(kind: type[Merge] | type[Convert], values: Mapping[str, Any]) -> FileTask:
    """Build a task from untrusted `values`; raise `BadRequest` with a sentence that says what is allowed."""
    try:
        return kind.model_validate(dict(values))
    except ValidationError as error:
        raise _explained(error, kind, values) from None


def make_extras(values: Mapping[str, Any]) -> Extras:
    """Build a task from untrusted `values`; raise `BadRequest` with a sentence that says what is allowed."""
    if not values.get("pictures"):
        raise BadRequest("extras_pictures", most=MOST_PICTURES)
    try:
        return Extras.model_validate(dict(values))
    except ValidationError as error:
        place = error.errors()[0]["loc"]
        if place[:1] == ("pictures",):
            raise BadRequest("extras_pictures", most=MOST_PICTURES) from None
        for part, kind in (("auto_crop", AutoCrop), ("split", Split)):
            inner = values.get(part)
            if place[:1] == (part,) and len(place) > 1 and isinstance(inner, Mapping):
                raise _explained(error, kind, inner, place[1]) from None
        raise _explained(error, Extras, values) from None


def make_interrogate(values: Mapping[str, Any]) -> Interrogate:
    """Build the task of a caption from untrusted `values`; raise `BadRequest` that says what is allowed."""
    try:
        return Interrogate.model_validate(dict(values))
    except ValidationError as error:
        raise _explained(error, Interrogate, values) from None


def make_detect(values: Mapping[str, Any]) -> Detect:
    """Build a hint's task from untrusted `values`; raise `BadRequest` with a sentence that says what is allowed."""
    try:
        return Detect.model_validate(dict(values))
    except ValidationError as error:
        raise _explained(error, Detect, values) from None


def _explained(
    error: ValidationError, kind: type[BaseModel], values: Mapping[str, Any], place: object = None
) -> BadRequest:
    """Say the first fault of a validation in words that name the field, the value and what is allowed.

    `values` are those of `kind`, and `place` the field, where that is a part of what was validated.
    """
    fault = error.errors()[0]
    field = str(place or (fault["loc"][0] if fault["loc"] else ""))
    value = str(values.get(field, ""))[:60]
    info = kind.model_fields.get(field)
    if info is None:
        return BadRequest("unknown_field", field=field, allowed=", ".join(kind.model_fields))
    least, most, _ = limits([*info.metadata, *_inner(info.annotation)])
    if least is not None and most is not None:
        return BadRequest("number", field=field, value=value, least=least, most=most)
    if fault["type"] == "literal_error":
        return BadRequest("one_of", field=field, value=value, allowed=fault.get("ctx", {}).get("expected", ""))
    if fault["type"] == "string_too_long":
        return BadRequest("too_long", field=field, most=fault["ctx"]["max_length"])
    return BadRequest("bad_value", field=field, value=value)


def _inner(annotation: object) -> list[object]:
    """Return the metadata of the parts of "this or None"."""
    found = [each for part in get_args(annotation) for each in getattr(part, "__metadata__", ())]
    return [each for one in found for each in getattr(one, "metadata", [one])]
