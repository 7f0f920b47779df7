"""Old pictures come out again: what a picture or a text says, as values of a form, with the names there are here.

A checkpoint is looked for by its hash first and then by its name, a LoRA by its hash, samplers and schedules under
every spelling. What could not be taken over is said, never guessed.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Protocol, get_args

from modules.errors import BadRequest, EaselError
from modules.images import foreign, infotext
from modules.images.entries import Left, has_parameters, units_of, values_of
from modules.images.metadata import PARAMETERS, Inside
from modules.model_manager.autoencoders import AUTOMATIC as USUAL_VAE
from modules.model_manager.autoencoders import OWN, Autoencoders
from modules.model_manager.catalog import Catalog
from modules.model_manager.control_check import KIND, find_preprocessor
from modules.model_manager.extras_task import upscaler_named, upscaler_names
from modules.model_manager.hires_check import LATENT
from modules.model_manager.model_file import ModelFile
from modules.offers import AUTOMATIC, Offers
from modules.request import NoiseSource, make_request
from modules.result import Recipe

EASEL = "Easel"
A1111 = "AUTOMATIC1111"
_TAG = re.compile(r"<(lora|lyco|hypernet):([^:>]+)")
_VERSIONS = MappingProxyType({"easel-": EASEL, "v1.": A1111, "f": "Forge", "Fooocus": "Fooocus", "ComfyUI": "ComfyUI"})


class Knows(Protocol):
    """What is asked for the names there are; a `Server` does."""

    catalog: Catalog
    offers: Offers


@dataclass(frozen=True)
class Recalled:
    """What a text says: `fields` as they stand in it, `values` by the field of a form, and what was `left` out.

    `units` are those of ControlNet by number, each by field of `Control` with `sliders` besides. `recipe` is there
    where Easel made the picture.
    """

    tool: str = ""  # which one wrote it, where that is known
    fields: Mapping[str, str] = field(default_factory=dict)
    values: Mapping[str, Any] = field(default_factory=dict)
    units: Mapping[int, Mapping[str, Any]] = field(default_factory=dict)
    left: Sequence[Left] = ()
    recipe: Recipe | None = None

    @property
    def has_parameters(self) -> bool:
        """Whether it says more than words."""
        return has_parameters(self.fields)


def recall_text(text: str, knows: Knows) -> Recalled:
    """Return what a text says that somebody copied: "parameters", or what another tool writes. Never raises."""
    return recall(Inside(parameters=text, texts={PARAMETERS: text}), knows)


def recall(inside: Inside, knows: Knows) -> Recalled:
    """Return what a picture says of itself; see `modules.images.metadata.inside`. Never raises."""
    recipe = inside.recipe
    if recipe is not None and (recipe.postprocessing or not recipe.steps):
        recipe = None  # only changed here: what it says is somebody else's
    found = None if recipe is not None else foreign.understood(inside.texts)
    fields = infotext.read(inside.parameters) if found is None else found.fields
    tool = _tool(fields) if found is None else found.tool
    if recipe is not None:  # it is exact, where the text may have lost blanks at the ends of lines
        fields = {**infotext.read(infotext.write(recipe)), **_words(recipe)}
        tool = EASEL
    values, left = values_of({name: value for name, value in fields.items() if not _is_note(name, recipe)})
    if has_parameters(fields):
        values |= _algorithm(fields, knows.offers, left)
        values |= _checkpoint(fields, knows.catalog, tool, left)
        values |= _noise(fields, tool, recipe)
        if values.get("hires_on") or values.get("in_tiles"):
            values |= _second(fields, knows, left)
        values |= _others(fields, knows.catalog, bool(values.get("hires_on")), left)
    for name in ("prompt", "hires/prompt"):
        if name in values:
            values[name] = _networks(values[name], fields, knows.catalog, left)
    units = {number: _unit(number, unit, knows, left) for number, unit in units_of(fields).items()}
    if recipe is not None:
        own = recipe.extras.items()
        values |= {f"{name}.{each}": value for name, those in own for each, value in those.items()}
    return Recalled(tool, fields, values, units, tuple(left), recipe)


def _tool(fields: Mapping[str, str]) -> str:
    version = fields.get("Version", "")
    return next((tool for start, tool in _VERSIONS.items() if version.startswith(start)), "")


def _words(recipe: Recipe) -> dict[str, str]:
    return {"Prompt": recipe.prompt, "Negative prompt": recipe.negative_prompt, **infotext.second_words(recipe)}


def _is_note(name: str, recipe: Recipe | None) -> bool:
    """Tell an entry that an extension or the engine added by itself."""
    return recipe is not None and name.removesuffix("-1").removesuffix("-2") in recipe.notes


def _algorithm(fields: Mapping[str, str], offers: Offers, left: list[Left]) -> dict[str, Any]:
    """Return sampler and schedule by the names they have here."""
    values: dict[str, Any] = {}
    sampler, schedule = fields.get("Sampler", ""), fields.get("Schedule type", AUTOMATIC)
    if sampler:
        try:
            settled = offers.settle(make_request({"sampler": sampler[:200]}))
            values = {"sampler": settled.sampler, "schedule": settled.schedule}
        except BadRequest:
            left.append(Left("left_sampler", {"name": sampler[:60]}))
    if schedule != AUTOMATIC:
        try:
            values["schedule"] = offers.settle(make_request({"schedule": schedule[:200]})).schedule
        except BadRequest:
            left.append(Left("left_schedule", {"name": schedule[:60]}))
    return values


def _checkpoint(fields: Mapping[str, str], catalog: Catalog, tool: str, left: list[Left]) -> dict[str, Any]:
    """Return checkpoint and VAE by the names they have here."""
    name, digits = fields.get("Model", ""), fields.get("Model hash", "").lower()
    if not name and not digits:
        return {}
    file = _found(catalog, "checkpoint", name, digits)
    if file is None or file.problem:
        left.append(Left("left_checkpoint", {"name": _title(name, digits)}))
    elif _differs(file, digits):
        left.append(Left("left_other_hash", {"name": file.name, "found": file.sha256[:10], "hash": digits[:10]}))
    values = {} if file is None or file.problem else {"model": file.name}
    return values | _autoencoder(fields, catalog, tool, file, left)


def _autoencoder(
    fields: Mapping[str, str], catalog: Catalog, tool: str, file: ModelFile | None, left: list[Left]
) -> dict[str, Any]:
    name, digits = fields.get("VAE", ""), fields.get("VAE hash", "").lower()
    usual = None
    if file is not None and not file.problem:
        try:
            usual = Autoencoders(catalog).chosen(file, USUAL_VAE)
        except EaselError:
            usual = None
    if name in ("", OWN, USUAL_VAE):
        # Easel says which it was, or it was the checkpoint's own; where others say nothing, the one chosen stays.
        return {"vae": USUAL_VAE if usual is None else OWN} if tool == EASEL else {}
    vae = _found(catalog, "vae", name, digits)
    if vae is None or vae.problem:
        left.append(Left("left_vae", {"name": _title(name, digits)}))
        return {}
    if _differs(vae, digits):
        left.append(Left("left_other_hash", {"name": vae.name, "found": vae.sha256[:10], "hash": digits[:10]}))
    return {"vae": USUAL_VAE if usual is not None and usual.name == vae.name else vae.name}


def _noise(fields: Mapping[str, str], tool: str, recipe: Recipe | None) -> dict[str, Any]:
    """Return by whom the noise is drawn. What A1111 left to the graphics card is drawn here as NVIDIA's do."""
    if recipe is not None:
        return {"noise_source": recipe.noise_source}
    source = fields.get("RNG", "")
    if source in get_args(NoiseSource):
        return {"noise_source": source}
    return {"noise_source": "GPU" if tool == EASEL else "NV" if tool in ("", A1111, "Forge") else "CPU"}


def _second(fields: Mapping[str, str], knows: Knows, left: list[Left]) -> dict[str, Any]:
    """Return upscaler, sampler and schedule of a second pass, and the upscaler of tiles, as they are called here."""
    values: dict[str, Any] = {}
    for entry, name, own in (
        ("Hires upscaler", "hires/upscaler", tuple(LATENT)),
        ("SD upscale upscaler", "tiles/upscaler", ()),
    ):
        if entry not in fields:
            continue
        offered = [*own, *knows.offers.upscalers]
        try:
            values[name] = upscaler_named(fields[entry][:200], knows.catalog, offered)
        except EaselError:
            allowed = ", ".join(upscaler_names(knows.catalog, offered)[:10])
            left.append(Left("left_value", {"entry": entry, "value": fields[entry][:60], "allowed": allowed}))
    for entry, part in (("Hires sampler", "sampler"), ("Hires schedule type", "schedule")):
        asked = fields.get(entry, "")
        values[f"hires/{part}"] = ""
        if asked and not asked.startswith("Use same"):
            try:
                values[f"hires/{part}"] = getattr(knows.offers.settle(make_request({part: asked[:200]})), part)
            except BadRequest:
                left.append(Left(f"left_{part}", {"name": asked[:60]}))
    return values


def _others(fields: Mapping[str, str], catalog: Catalog, twice: bool, left: list[Left]) -> dict[str, Any]:
    """Return the checkpoint of a second pass and the refiner by the names they have here; empty where there is none."""
    asked = {"refiner/model": ("Refiner", "left_refiner")}
    if twice:
        asked["hires/model"] = ("Hires checkpoint", "left_hires_checkpoint")
    values: dict[str, Any] = {}
    for name, (entry, key) in asked.items():
        values[name] = ""
        title = fields.get(entry, "")
        if not title or title.startswith("Use same"):
            continue
        bare, _, digits = title.removesuffix("]").rpartition(" [")
        plain, digits = (bare, digits.lower()) if bare and title.endswith("]") else (title, "")
        file = _found(catalog, "checkpoint", plain, digits)
        if file is None or file.problem:
            left.append(Left(key, {"name": title[:80]}))
            continue
        values[name] = file.name
        if _differs(file, digits):
            left.append(Left("left_other_hash", {"name": file.name, "found": file.sha256[:10], "hash": digits[:10]}))
    return values


def _networks(prompt: str, fields: Mapping[str, str], catalog: Catalog, left: list[Left]) -> str:
    """Return `prompt` with the LoRAs in it called as the files of their hashes are; say which there are none of."""
    said = dict(infotext.entries(fields.get("Lora hashes", "")))
    missing: dict[str, None] = {}

    def renamed(match: re.Match[str]) -> str:
        kind, name = ("hypernetwork" if match[1] == "hypernet" else "lora"), match[2]
        file = _found(catalog, kind, name, said.get(name, "").lower())
        if file is None:
            missing[f"<{match[1]}:{name[:60]}>"] = None
            return match[0]
        by_name = catalog.get(name, kind)
        return match[0] if by_name is not None and by_name.path == file.path else f"<{match[1]}:{file.name}"

    prompt = _TAG.sub(renamed, prompt)
    if missing:
        left.append(Left("left_networks", {"names": ", ".join(missing)}))
    return prompt


def _unit(number: int, unit: Mapping[str, Any], knows: Knows, left: list[Left]) -> dict[str, Any]:
    """Return a unit of ControlNet with the names its parts have here."""
    known = {name: value for name, value in unit.items() if name != "model_hash"}
    try:
        known["preprocessor"] = find_preprocessor(str(unit["preprocessor"]), knows.offers.preprocessors).name
    except BadRequest:
        left.append(Left("left_preprocessor", {"unit": number + 1, "name": str(known.pop("preprocessor"))[:60]}))
    if unit["model"]:
        file = _found(knows.catalog, KIND, str(unit["model"]), str(unit["model_hash"]).lower())
        known["model"] = "" if file is None else file.name
        if file is None:
            left.append(Left("left_control", {"unit": number + 1, "name": str(unit["model"])[:60]}))
    left.append(Left("left_control_picture", {"unit": number + 1}))
    return known


def _found(catalog: Catalog, kind: str, name: str, digits: str) -> ModelFile | None:
    """Return the file of that hash, else the one of that name; None when there is neither."""
    if len(digits) >= 8:
        file = catalog.get(digits[:64], kind)
        if file is not None and digits.startswith((file.hash or "-", (file.network_hash or "-")[:10])):
            return file
    return catalog.get(name[:300], kind) if name else None


def _differs(file: ModelFile, digits: str) -> bool:
    """Tell whether a file has another content than its hash says; eight digits are of an older kind of hash."""
    return len(digits) >= 10 and bool(file.sha256) and not file.sha256.startswith(digits[:10])


def _title(name: str, digits: str) -> str:
    return f"{name[:60]} [{digits[:10]}]".strip() if digits else name[:60]
