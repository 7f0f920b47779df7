"""Making an old picture again: the request that made it, and what here is not as it was then."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from modules.errors import BadRequest, UnknownModel
from modules.images.compare import Comparison, compare
from modules.images.inputs import Inputs
from modules.model_manager.autoencoders import OWN
from modules.request import Control, Request, make_request
from modules.result import Recipe
from modules.server.recall import EASEL, Knows, Recalled

HISTORIC = ("old_timelines", "pad_conds", "noise_schedule", "downcast_alphas")  # what A1111 once did otherwise
FACTORS = ("model_hash", "vae_hash", "device", "dtype", "attention", "sampler", "schedule", "noise_source")


@dataclass(frozen=True)
class Change:
    """Something that decides how a picture comes out, and is not as it was."""

    name: str
    then: str
    now: str


def request_again(recalled: Recalled, knows: Knows, inputs: Inputs) -> Request:
    """Return the request that makes the picture once more, alone.

    Raises `BadRequest` when the text does not say enough, or needs a picture that is not here any more;
    `UnknownModel` when its checkpoint is not here.
    """
    recipe = recalled.recipe
    if recipe is None:
        return _of_text(recalled, knows)
    if "model" not in recalled.values:
        raise UnknownModel("again_no_checkpoint", value=recipe.model[:60])
    controls = tuple(used.asked for used in recipe.controls)
    request = make_request(
        {
            **recipe.model_dump(
                include={"prompt", "negative_prompt", "clip_skip", "sampler", "schedule", "steps", "width", "height"}
            ),
            **recipe.model_dump(include={"cfg_scale", "seed", "init", "mask", "extras"}),
            **recipe.model_dump(include={"variation", "noise_source", "seed_delta", "emphasis"}),
            **recipe.model_dump(include={"guidance", "tiling", *HISTORIC}),
            **_larger(recipe),
            "model": recalled.values["model"],
            "vae": recipe.vae or OWN,
            "controls": [each.model_dump() for each in controls],
        }
    )
    for name in _pictures(request, controls):
        inputs.file(name)
    return knows.offers.settle(request)


def _larger(recipe: Recipe) -> dict[str, object]:
    """Return how the picture became larger on the way; in tiles a request's size is that of a tile."""
    if recipe.hires is not None:
        return {"hires": recipe.hires.asked.model_dump()}
    if recipe.tiles is not None:
        tiles = recipe.tiles
        return {"tiles": tiles.asked.model_dump(), "width": tiles.width, "height": tiles.height}
    return {}


def _of_text(recalled: Recalled, knows: Knows) -> Request:
    values = recalled.values
    known = {name: value for name, value in values.items() if name in Request.model_fields}
    for part in ("variation", "guidance", *(["hires"] if values.get("hires_on") else [])):
        own = {name.partition("/")[2]: value for name, value in values.items() if name.startswith(f"{part}/")}
        known |= {part: own} if own else {}
    if not recalled.has_parameters or "seed" not in known or "steps" not in known:
        raise BadRequest("again_nothing")
    if recalled.units or any(name.startswith(("init/", "mask/")) for name in values):
        raise BadRequest("again_pictures")
    if "model" not in known:
        raise UnknownModel("again_no_checkpoint", value=recalled.fields.get("Model", "")[:60])
    return knows.offers.settle(make_request(known))


def _pictures(request: Request, controls: tuple[Control, ...]) -> Iterator[str]:
    named = [part.image for part in (request.init, request.mask) if part is not None]
    yield from named
    yield from (name for unit in controls for name in (unit.image, unit.mask) if name)


def compared(inputs: Inputs, name: str, made: Path) -> tuple[Comparison, str] | None:
    """Return how alike the picture `name` and the one at `made` are, and the name of a picture of the difference.

    None when their sizes differ. Raises `BadRequest` when one of them is gone.
    """
    try:
        found = compare(inputs.open(name), inputs.open(inputs.put(made.read_bytes())))
    except OSError as error:
        raise BadRequest("picture_gone", value=made.name) from error
    return None if found is None else (found, inputs.keep(found.difference))


def changes(recalled: Recalled, now: Recipe) -> list[Change]:
    """Return what the text says of how the picture was made and what is otherwise in `now`, as far as it says it."""
    then = recalled.recipe
    if then is None:
        return [*_said(recalled, now)]
    found = [Change(name, str(getattr(then, name)), str(getattr(now, name))) for name in FACTORS]
    names = sorted({*then.versions, *now.versions})
    found += [Change(name, then.versions.get(name, ""), now.versions.get(name, "")) for name in names]
    for kind in sorted({*then.networks, *now.networks}):
        old, new = then.networks.get(kind, {}), now.networks.get(kind, {})
        found += [Change(name, old.get(name, "-"), new.get(name, "-")) for name in sorted({*old, *new})]
    for used, made in zip(then.controls, now.controls, strict=False):
        found.append(Change(used.asked.model, used.model_hash, made.model_hash))
    found += [Change(name, then.notes.get(name, "-"), now.notes.get(name, "-")) for name in {*then.notes, *now.notes}]
    return [each for each in found if each.then and each.then != each.now]


def _said(recalled: Recalled, now: Recipe) -> Iterator[Change]:
    fields = recalled.fields
    said = {
        "model_hash": fields.get("Model hash", ""),
        "vae_hash": fields.get("VAE hash", ""),
        "device": fields.get("Device", ""),
        "dtype": fields.get("Dtype", ""),
        "attention": fields.get("Attention", ""),
        "noise_source": fields.get("RNG", ""),
    }
    for name, then in said.items():
        if then and then != str(getattr(now, name)):
            yield Change(name, then[:60], str(getattr(now, name)))
    for name in ("torch", "diffusers"):
        then, here = fields.get(name.capitalize(), ""), now.versions.get(name, "")
        if then and then != here:
            yield Change(name, then[:60], here)
    then, here = fields.get("Version", "").removeprefix("easel-"), now.versions.get("easel", "")
    if recalled.tool != EASEL:
        yield Change("program", f"{recalled.tool} {then[:60]}".strip(), f"{EASEL} {here}".strip())
    elif then != here:
        yield Change("easel", then[:60], here)
