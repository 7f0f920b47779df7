"""What was asked: one frozen model that the page, the command line, the API and a queue row all validate the same way.

There is no mode: a request with only these fields is text to picture; later parts are optional fields of the same
model.
"""

import secrets
from collections.abc import Mapping
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from modules.errors import BadRequest

SIZE = (64, 2048, 8)  # pixels: least, most, step
STEPS = (1, 150)
CFG_SCALE = (1.0, 30.0)
BATCH_COUNT = (1, 100)
BATCH_SIZE = (1, 8)
CLIP_SKIP = (1, 12)
LARGEST_SEED = 2**64 - 1
PROMPT_LENGTH = 10_000  # characters

Size = Annotated[int, Field(ge=SIZE[0], le=SIZE[1], multiple_of=SIZE[2])]


class Shot(BaseModel):
    """One picture of a request after planning: its own words and its own seed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    index: int
    prompt: str
    negative_prompt: str
    seed: int


class Request(BaseModel):
    """A picture, or several, as asked for. Sizes in pixels; `None` means the model's own native size."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    prompt: str = Field("", max_length=PROMPT_LENGTH)
    negative_prompt: str = Field("", max_length=PROMPT_LENGTH)
    model: str = ""  # a name of the catalog; empty means the one chosen on the page, or the first there is
    vae: str = "Automatic"  # automatic: the file beside the checkpoint, if any; None: the checkpoint's own; or a name
    clip_skip: int = Field(1, ge=CLIP_SKIP[0], le=CLIP_SKIP[1])  # 2: what the text encoder's last layer but one said
    sampler: str = "DPM++ 2M"
    schedule: str = "Automatic"  # automatic: the schedule the sampler was made for
    steps: int = Field(20, ge=STEPS[0], le=STEPS[1])
    width: Size | None = None
    height: Size | None = None
    cfg_scale: float = Field(7.0, ge=CFG_SCALE[0], le=CFG_SCALE[1])
    seed: int = Field(-1, ge=-1, le=LARGEST_SEED)  # -1: drawn when the job is added, so that a retry repeats it
    batch_count: int = Field(1, ge=BATCH_COUNT[0], le=BATCH_COUNT[1])
    batch_size: int = Field(1, ge=BATCH_SIZE[0], le=BATCH_SIZE[1])
    extras: dict[str, dict[str, Any]] = Field(default_factory=dict)  # extension name -> its values by name

    @property
    def images(self) -> int:
        """How many pictures this makes."""
        return self.batch_count * self.batch_size

    def with_seed(self) -> Self:
        """Return the request with a drawn seed (0 to 2^32 - 1) where it asked for a random one."""
        return self if self.seed >= 0 else self.model_copy(update={"seed": secrets.randbelow(2**32)})

    def shots(self) -> tuple[Shot, ...]:
        """Return one shot for each picture: the seed rises by one from picture to picture, modulo 2^64."""
        return tuple(
            Shot(
                index=index,
                prompt=self.prompt,
                negative_prompt=self.negative_prompt,
                seed=(self.seed + index) % (LARGEST_SEED + 1),
            )
            for index in range(self.images)
        )


def make_request(values: Mapping[str, Any]) -> Request:
    """Build a request from untrusted `values`; raise `BadRequest` with a sentence that says what is allowed."""
    for name in ("prompt", "negative_prompt"):
        text = values.get(name)
        if not isinstance(text, str):
            continue
        if len(text) > PROMPT_LENGTH:
            raise BadRequest("prompt_length", field=name, length=len(text), most=PROMPT_LENGTH)
        if "\0" in text or any("\ud800" <= character <= "\udfff" for character in text):
            raise BadRequest("prompt_characters", field=name)
    try:
        return Request.model_validate(dict(values))
    except ValidationError as error:
        raise _explained(error, values) from None


def _explained(error: ValidationError, values: Mapping[str, Any]) -> BadRequest:
    """Say the first fault of a validation in words that name the field, the value and what is allowed."""
    fault = error.errors()[0]
    field = str(fault["loc"][0]) if fault["loc"] else ""
    value = str(values.get(field, ""))[:60]
    allowed: dict[str, tuple[str, dict[str, object]]] = {
        "width": ("size", {"least": SIZE[0], "most": SIZE[1], "step": SIZE[2]}),
        "height": ("size", {"least": SIZE[0], "most": SIZE[1], "step": SIZE[2]}),
        "steps": ("whole_number", {"least": STEPS[0], "most": STEPS[1]}),
        "cfg_scale": ("number", {"least": CFG_SCALE[0], "most": CFG_SCALE[1]}),
        "clip_skip": ("whole_number", {"least": CLIP_SKIP[0], "most": CLIP_SKIP[1]}),
        "seed": ("seed", {"most": LARGEST_SEED}),
        "batch_count": ("whole_number", {"least": BATCH_COUNT[0], "most": BATCH_COUNT[1]}),
        "batch_size": ("whole_number", {"least": BATCH_SIZE[0], "most": BATCH_SIZE[1]}),
    }
    if field in allowed:
        key, limits = allowed[field]
        return BadRequest(key, field=field, value=value, **limits)
    if fault["type"] == "extra_forbidden":
        return BadRequest("unknown_field", field=field, allowed=", ".join(Request.model_fields))
    return BadRequest("bad_value", field=field, value=value)
