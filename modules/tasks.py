"""What a worker can be asked for besides pictures: checkpoint files made of other checkpoints, hints for controls.

A task is a row of the queue like a request, with a `kind` that a request does not have.
"""

import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from modules.errors import BadRequest
from modules.request import SIZE, PictureName, Request, Resize, limits

METHODS = ("none", "sum", "difference")
FORMS = ("safetensors", "diffusers")
NAME_LENGTH = 200  # characters

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


FileTask = Merge | Convert
Task = Request | Merge | Convert | Detect
KINDS: tuple[type[Merge] | type[Convert] | type[Detect], ...] = (Merge, Convert, Detect)


def read_task(body: str) -> Task:
    """Return the task that was stored as JSON; raise `ValidationError` for what is not allowed (any more)."""
    kind = task_kind(body)
    return next((each for each in KINDS if each.model_fields["kind"].default == kind), Request).model_validate_json(
        body
    )


def task_kind(body: str) -> str:
    """Return "merge", "convert" or "detect", or "" for a request of pictures."""
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
        fault = error.errors()[0]
        field = str(fault["loc"][0]) if fault["loc"] else ""
        value = str(values.get(field, ""))[:60]
        if field == "multiplier":
            raise BadRequest("number", field=field, value=value, least=-1.0, most=2.0) from None
        if fault["type"] == "literal_error":
            raise BadRequest(
                "one_of", field=field, value=value, allowed=fault.get("ctx", {}).get("expected", "")
            ) from None
        if fault["type"] == "string_too_long":
            raise BadRequest("too_long", field=field, most=fault["ctx"]["max_length"]) from None
        raise BadRequest("bad_value", field=field, value=value) from None


def make_detect(values: Mapping[str, Any]) -> Detect:
    """Build a hint's task from untrusted `values`; raise `BadRequest` with a sentence that says what is allowed."""
    try:
        return Detect.model_validate(dict(values))
    except ValidationError as error:
        fault = error.errors()[0]
        field = str(fault["loc"][0]) if fault["loc"] else ""
        value = str(values.get(field, ""))[:60]
        info = Detect.model_fields.get(field)
        least, most, _ = limits(info.metadata if info else ())
        if least is not None and most is not None:
            raise BadRequest("whole_number", field=field, value=value, least=least, most=most) from None
        raise BadRequest("bad_value", field=field, value=value) from None
