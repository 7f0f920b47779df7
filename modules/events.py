"""What a running job tells whoever watches it: small frozen records that travel as JSON."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter


class _Event(BaseModel):
    model_config = ConfigDict(frozen=True)


class Queued(_Event):
    """The job waits, or waits again after its worker was lost (`attempts` counts the deaths so far)."""

    kind: Literal["queued"] = "queued"
    attempts: int = 0


class Started(_Event):
    """A worker has taken the job; it makes `images` pictures, of which `done` exist already."""

    kind: Literal["started"] = "started"
    worker: str
    images: int
    done: int = 0


class Loading(_Event):
    """A model is being read."""

    kind: Literal["loading"] = "loading"
    model: str


class Step(_Event):
    """Step `step` of `steps` of the pictures `image` .. `image + batch - 1` of `images` is done (images from 0)."""

    kind: Literal["step"] = "step"
    image: int
    batch: int
    images: int
    step: int
    steps: int


class Preview(_Event):
    """How the picture looks now: a small WebP, base64."""

    kind: Literal["preview"] = "preview"
    image: int
    webp: str


class PictureDone(_Event):
    """Picture `image` of the job is saved; `picture` is its id in the library."""

    kind: Literal["picture"] = "picture"
    image: int
    picture: int
    seed: int


class Note(_Event):
    """Something the person should know: a key of `locale/*/notes.json` and its values."""

    kind: Literal["note"] = "note"
    key: str
    values: dict[str, Any] = Field(default_factory=dict)


CAPTIONED = "captioned"  # the key of the note that says what a captioner said
HINT_MADE = "hint_made"  # the key of the note that names the picture a preprocessor drew


class Done(_Event):
    """The job is complete."""

    kind: Literal["done"] = "done"
    seconds: float


class Stopped(_Event):
    """A person stopped the job; pictures finished before stay."""

    kind: Literal["stopped"] = "stopped"


class Failed(_Event):
    """The job failed: a key of `locale/*/errors.json`, its values, and the details for a bug report."""

    kind: Literal["failed"] = "failed"
    key: str
    values: dict[str, Any] = Field(default_factory=dict)
    detail: str = ""
    set_aside: bool = False  # its worker died repeatedly, so it does not run again by itself


Event = Annotated[
    Queued | Started | Loading | Step | Preview | PictureDone | Note | Done | Stopped | Failed,
    Field(discriminator="kind"),
]
EVENT: TypeAdapter[Event] = TypeAdapter(Event)
LAST_KINDS = frozenset({"done", "stopped", "failed"})
