"""Making an old picture again: the request that made it, and what here is not as it was then."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from modules.errors import BadRequest, UnknownModel
from modules.images.compare import Comparison, compare
from modules.images.inputs import Inputs
from modules.images.plain_entries import PLAIN
from modules.model_manager.autoencoders import AUTOMATIC, OWN
from modules.request import SIZE, Control, Hires, Refiner, Request, make_request
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
    _see_others(recipe, recalled)
    request = make_request(
        {
            **recipe.model_dump(
                include={"prompt", "negative_prompt", "clip_skip", "sampler", "schedule", "steps", "width", "height"}
            ),
            **recipe.model_dump(include={"cfg_scale", "seed", "init", "mask", "extras"}),
            **recipe.model_dump(include={"variation", "noise_source", "seed_delta", "sampling", "emphasis"}),
            **recipe.model_dump(include={"guidance", "tiling", "encoding", *HISTORIC, *PLAIN}),
            **_larger(recipe, recalled),
            "model": recalled.values["model"],
            "vae": _autoencoder(recipe),
            "refiner": None if recipe.refiner is None else _here(recipe.refiner.asked, recalled, "refiner/model"),
            "controls": [each.model_dump() for each in controls],
        }
    )
    for name in _pictures(request, controls):
        inputs.file(name)
    return knows.offers.settle(request)


def request_larger(
    recalled: Recalled, knows: Knows, inputs: Inputs, picture: Path, hires: Mapping[str, object]
) -> Request:
    """Return the request that makes a finished `picture` larger: what made it once more, as a second pass alone.

    `hires` are the fields of that pass. What the picture was painted over does not count any more, nor do controls that
    looked at that. Raises `BadRequest` when it is gone, too large to begin with, or says too little of how it was made;
    `UnknownModel` when its checkpoint is not here.
    """
    try:
        name = inputs.put(picture.read_bytes())
    except OSError as error:
        raise BadRequest("picture_gone", value=picture.name) from error
    size = inputs.open(name).size
    least, most, step = SIZE
    if max(size) > most or min(size) < least:
        raise BadRequest("larger_size", width=size[0], height=size[1], least=least, most=most)
    request = request_again(_without_beginning(recalled), knows, inputs)
    sides = {side: length // step * step for side, length in zip(("width", "height"), size, strict=True)}
    return make_request({**request.model_dump(), **sides, "hires": {**hires, "image": name}})


def _without_beginning(recalled: Recalled) -> Recalled:
    """Return what a picture says of itself but for what it was painted over, and how it became larger."""
    dropped = ("init/", "mask/", "hires/", "hires_on")
    values = {name: value for name, value in recalled.values.items() if not name.startswith(dropped)}
    recipe = recalled.recipe
    if recipe is not None:
        controls = tuple(used for used in recipe.controls if used.asked.image)
        gone = {"init": None, "mask": None, "tiles": None, "hires": None, "controls": controls}
        recipe = recipe.model_copy(update=gone)
    return replace(recalled, values=values, units={}, recipe=recipe)


def _see_others(recipe: Recipe, recalled: Recalled) -> None:
    """Raise `UnknownModel` when a checkpoint that the picture needs besides the first is not here."""
    parts = {"hires/model": recipe.hires, "refiner/model": recipe.refiner}
    for name, part in parts.items():
        if part is not None and part.asked.model and not recalled.values.get(name):
            raise UnknownModel("again_no_checkpoint", value=part.asked.model[:60])


def _here(asked: Hires | Refiner, recalled: Recalled, name: str) -> dict[str, object]:
    """Return a part of a request with its checkpoint as it is called here."""
    return {**asked.model_dump(), "model": recalled.values.get(name, "")}


def _autoencoder(recipe: Recipe) -> str:
    """Return which autoencoder a request wants: only where each checkpoint has its own file do they differ."""
    parts = (part for part in (recipe.hires, recipe.refiner) if part is not None and part.asked.model)
    if any(part.vae != recipe.vae for part in parts):
        return AUTOMATIC
    return recipe.vae or OWN


def _larger(recipe: Recipe, recalled: Recalled) -> dict[str, object]:
    """Return how the picture became larger on the way; in tiles a request's size is that of a tile."""
    if recipe.hires is not None:
        return {"hires": _here(recipe.hires.asked, recalled, "hires/model")}
    if recipe.tiles is not None:
        tiles = recipe.tiles
        return {"tiles": tiles.asked.model_dump(), "width": tiles.width, "height": tiles.height}
    return {}


def _of_text(recalled: Recalled, knows: Knows) -> Request:
    values = recalled.values
    known = {name: value for name, value in values.items() if name in Request.model_fields}
    parts = {
        "variation": True,
        "sampling": True,
        "guidance": True,
        **dict.fromkeys(PLAIN, True),
        "encoding": True,
        "hires": values.get("hires_on"),
        "refiner": values.get("refiner/model"),
    }
    for part in (part for part, there in parts.items() if there):
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
    named = [part.image for part in (request.init, request.mask, request.hires) if part is not None and part.image]
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
    if then.hires is not None and now.hires is not None:
        found.append(Change("hires_hash", then.hires.model_hash, now.hires.model_hash))
    if then.refiner is not None:
        digits = "-" if now.refiner is None else now.refiner.model_hash
        found.append(Change("refiner_hash", then.refiner.model_hash, digits))
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
