"""The entries of a "parameters" text as values of a form: numbers as numbers, choices by the names a request has.

What A1111 takes for granted where an entry is missing is filled in as A1111 does, and so is what its older versions
did otherwise (`versions.py`).
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, get_args

from pydantic import BaseModel

from modules.images import infotext
from modules.images.plain_entries import PLAIN
from modules.images.versions import SPELLINGS, as_it_was
from modules.request import (
    PROMPT_LENGTH,
    SIZE,
    Control,
    Encoding,
    Guidance,
    Hires,
    InitImage,
    Mask,
    Refiner,
    Request,
    Sampling,
    Soft,
    Tiles,
    Variation,
    limits,
)

MASK_WEIGHT = "Conditional mask weight"
_NUMBERS: Mapping[str, tuple[type[BaseModel], str]] = MappingProxyType(
    {
        "Steps": (Request, "steps"),
        "CFG scale": (Request, "cfg_scale"),
        "Seed": (Request, "seed"),
        "Clip skip": (Request, "clip_skip"),
        "ENSD": (Request, "seed_delta"),
        "Variation seed": (Variation, "variation/seed"),
        "Variation seed strength": (Variation, "variation/strength"),
        "Seed resize from-1": (Variation, "variation/from_width"),
        "Seed resize from-2": (Variation, "variation/from_height"),
        **{
            infotext.SAMPLING[name]: (Sampling, f"sampling/{name}")
            for name, info in Sampling.model_fields.items()
            if info.annotation in (float, int)
        },
        **{
            entry: (part, f"{field}/{name}")
            for field, (part, own) in PLAIN.items()
            for name, entry in own.items()
            if part.model_fields[name].annotation in (float, int)
        },
        "CFG Rescale": (Guidance, "guidance/rescale"),
        "Skip Early CFG": (Guidance, "guidance/skip_early"),
        "NGMS": (Guidance, "guidance/s_min_uncond"),
        infotext.ENCODING["comma_backtrack"]: (Encoding, "encoding/comma_backtrack"),
        "Hires strength": (Hires, "hires/denoising_strength"),  # "Denoising strength" in a text with a second pass
        "Hires upscale": (Hires, "hires/scale"),
        "Hires resize-1": (Hires, "hires/width"),
        "Hires resize-2": (Hires, "hires/height"),
        "Hires steps": (Hires, "hires/steps"),
        "Hires CFG Scale": (Hires, "hires/cfg_scale"),
        "Refiner switch at": (Refiner, "refiner/switch_at"),
        "SD upscale overlap": (Tiles, "tiles/overlap"),
        "SD upscale factor": (Tiles, "tiles/scale"),
        "Denoising strength": (InitImage, "init/denoising_strength"),
        "Noise multiplier": (InitImage, "init/noise_multiplier"),
        MASK_WEIGHT: (InitImage, "init/mask_weight"),
        "Image CFG scale": (InitImage, "init/image_cfg_scale"),
        "Mask blur": (Mask, "mask/blur"),
        "Masked area padding": (Mask, "mask/padding"),
        **{
            f"Soft inpainting {infotext.SOFT.get(name, name.replace('_', ' '))}": (Soft, f"mask/soft/{name}")
            for name in Soft.model_fields
        },
    }
)
_HIRES = frozenset({"Hires upscale", "Hires upscaler", "Hires resize-1"})
_SWITCH = MappingProxyType({"True": True, "False": False})
_CHOICES: Mapping[str, tuple[str, Mapping[str, object]]] = MappingProxyType(
    {
        "Resize mode": (
            "init/resize_mode",
            {"Just resize": "stretch"} | {said: mode for mode, said in infotext.RESIZES.items()},
        ),
        "Color correction": ("init/color_correction", _SWITCH),
        "Mask mode": ("mask/invert", {"Inpaint masked": False, "Inpaint not masked": True}),
        "Inpaint area": ("mask/area", {"Whole picture": "whole", "Only masked": "masked"}),
        "Masked content": (
            "mask/fill",
            {"original": "original"} | {said: fill for fill, said in infotext.CONTENTS.items()},
        ),
        "Soft inpainting enabled": ("soft", _SWITCH),
        "NGMS all steps": ("guidance/s_min_uncond_all", _SWITCH),
        "Tiling": ("tiling", _SWITCH),
        **{entry: (name, _SWITCH) for name, entry in infotext.HISTORIC.items()},
        **{
            entry: (f"encoding/{name}", _SWITCH)
            for name, entry in infotext.ENCODING.items()
            if Encoding.model_fields[name].annotation is bool
        },
        "Noise Schedule": ("noise_schedule", {each: each for each in ("Default", "Zero Terminal SNR")}),
        "Pad conds": ("pad_conds", {"True": "chunks", "False": "off"}),
        "Pad conds v0": ("pad_conds", {"True": "v0"}),
        "Emphasis": ("emphasis", {each: each for each in get_args(Request.model_fields["emphasis"].annotation)}),
        **{
            infotext.SAMPLING[name]: (
                f"sampling/{name}",
                _SWITCH if info.annotation is bool else {each: each for each in get_args(info.annotation)},
            )
            for name, info in Sampling.model_fields.items()
            if info.annotation is bool or get_args(info.annotation)
        },
        **{
            entry: (f"{field}/{name}", _SWITCH)
            for field, (part, own) in PLAIN.items()
            for name, entry in own.items()
            if part.model_fields[name].annotation is bool
        },
        "Refiner switch by sampling steps": ("refiner/switch_by", {"True": "steps", "False": "timesteps"}),
        "Hires refiner": ("refiner/passes", {said: each for each, said in infotext.PASSES.items()}),
        "SD upscale joined": ("tiles/joined", {"end": "end", "every step": "step"}),
    }
)
# What is as usual where a text with parameters does not say otherwise.
_USUAL = MappingProxyType(
    {
        "Clip skip": "1",
        "ENSD": "0",
        "Variation seed strength": "0",
        "Seed resize from-1": "0",
        "Seed resize from-2": "0",
        "CFG Rescale": "0",
        "Skip Early CFG": "0",
        "NGMS": "0",
        "NGMS all steps": "False",
        "Tiling": "False",
        "Old prompt editing timelines": "False",
        "Downcast alphas_cumprod": "False",
        "Noise Schedule": "Default",
        **{entry: str(Encoding.model_fields[name].default) for name, entry in infotext.ENCODING.items()},
        "Pad conds": "True",
        "Emphasis": "Original",
        **{infotext.SAMPLING[name]: str(info.default) for name, info in Sampling.model_fields.items()},
        **{entry: str(part.model_fields[name].default) for part, own in PLAIN.values() for name, entry in own.items()},
    }
)
_SECOND = MappingProxyType({"Hires resize-1": "0", "Hires resize-2": "0", "Hires steps": "0", "Hires CFG Scale": "0"})
_BY_STEPS = (1, 8)  # A1111's first version whose refiner went by noise levels
_VERSION = re.compile(r"v(\d{1,3})\.(\d{1,3})\b")
_INIT = MappingProxyType(
    {"Resize mode": "Just resize", "Noise multiplier": "1", MASK_WEIGHT: "1", "Color correction": "False"}
)
_MASK = MappingProxyType(
    {
        "Mask mode": "Inpaint masked",
        "Inpaint area": "Whole picture",
        "Masked content": "original",
        "Masked area padding": "32",
        "Soft inpainting enabled": "False",
    }
)
# What says how a picture came about, or is looked up by name elsewhere, but is no value of a form.
_ASIDE = frozenset(
    (
        *("Prompt", "Negative prompt", "Sampler", "Schedule type", "Size-1", "Size-2", "Size", "Background"),
        *("Model", "Model hash", "VAE", "VAE hash", "Lora hashes", "TI hashes", "Hypernet hashes"),
        *("Hypernet", "Hypernet strength", "RNG", "Version", "User", "Device", "Dtype", "Attention", "Torch"),
        *("Diffusers", "VAE Encoder", "VAE Decoder", "VAE dtype", "Memory ladder"),
        *("Init image hash", "Interrupted at step"),
        *("Batch size", "Batch pos", "Hires upscaler", "Hires sampler", "Hires schedule type"),
        *("Hires checkpoint", "Hires prompt", "Hires negative prompt", "Refiner"),
        *("SD upscale upscaler", "SD upscale tile-1", "SD upscale tile-2", *SPELLINGS),
    )
)
# Entries that fill a form, but are read elsewhere, or by another name.
_FILLS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "Prompt": ("prompt",),
        "Negative prompt": ("negative_prompt",),
        "Sampler": ("sampler",),
        "Schedule type": ("schedule",),
        "Size": ("width", "height"),
        "Model": ("model",),
        "Model hash": ("model",),
        "VAE": ("vae",),
        "VAE hash": ("vae",),
        "RNG": ("noise_source",),
        "Denoising strength": ("hires/denoising_strength",),
        "Background": ("init/background",),
        "Hires upscaler": ("hires/upscaler",),
        "Hires sampler": ("hires/sampler",),
        "Hires schedule type": ("hires/schedule",),
        "Hires checkpoint": ("hires/model",),
        "Hires prompt": ("hires/prompt",),
        "Hires negative prompt": ("hires/negative_prompt",),
        "Refiner": ("refiner/model",),
        "SD upscale upscaler": ("tiles/upscaler",),
        "Styles": ("styles",),
    }
)
_UNIT = re.compile(r"ControlNet (\d)")
_ADDED = re.compile(r"AddNet (?:Enabled|(?:Module|Model|Weight A|Weight B) \d)")
_COLOUR = re.compile("#[0-9a-fA-F]{6}")
_LONGEST_NUMBER = 40  # characters


@dataclass(frozen=True)
class Left:
    """Something of a text that could not be taken over: a `key` of `recipes.json`, with its values."""

    key: str
    values: Mapping[str, object] = field(default_factory=dict)


def values_of(fields: Mapping[str, str]) -> tuple[dict[str, Any], list[Left]]:
    """Return what `fields` (of `infotext.read`) say as values by the field of a form, and what they leave open.

    Names of models, samplers and the like are not among them: whether there is such a thing is asked elsewhere. A
    text without parameters gives its words alone. Never raises.
    """
    left: list[Left] = []
    values: dict[str, Any] = {"prompt": _words(_with_networks(fields)), "negative_prompt": ""}
    values["negative_prompt"] = _words(fields.get("Negative prompt", ""))
    entries = {"prompt": "Prompt", "negative_prompt": "Negative prompt"}
    if _HIRES & fields.keys():
        entries |= {"hires/prompt": "Hires prompt", "hires/negative_prompt": "Hires negative prompt"}
        values |= {name: _words(fields.get(entry, "")) for name, entry in entries.items() if name not in values}
    for name, entry in entries.items():
        if len(values[name]) > PROMPT_LENGTH:
            del values[name]
            left.append(Left("left_too_long", {"entry": entry, "most": PROMPT_LENGTH}))
    if not has_parameters(fields):
        return values, left
    known = dict(fields)
    values["hires_on"] = bool(_HIRES & fields.keys())
    if "Refiner" in fields:
        known = {"Refiner switch by sampling steps": str(_is_old(fields)), "Hires refiner": "second pass", **known}
    values["in_tiles"] = "SD upscale overlap" in fields
    if values["hires_on"]:  # then it is the second pass's, and no picture was painted over
        known["Hires strength"] = known.pop("Denoising strength", "0.7")
        known = {**_SECOND, **known}
    if "Denoising strength" not in known:  # A1111 says it of every picture that a checkpoint for inpainting makes
        known.pop(MASK_WEIGHT, None)
    given = {**_USUAL, **as_it_was(fields), **known}
    given = (dict(_INIT) if "Denoising strength" in known else {}) | given
    given = (dict(_MASK) if "Mask blur" in fields else {}) | given
    for entry, text in given.items():
        if entry in _NUMBERS:
            part, name = _NUMBERS[entry]
            own = name.rpartition("/")[2]
            _take(values, left, entry, name, _number(part, own, text), text, _bounds(part, own))
        elif entry in _CHOICES:
            name, choices = _CHOICES[entry]
            _take(values, left, entry, name, choices.get(text), text, ", ".join(choices))
    if "Size-1" in fields and "Size-2" in fields:
        _take_size(values, left, fields)
    if _COLOUR.fullmatch(fields.get("Background", "")):
        values["init/background"] = fields["Background"]
    unknown = dict.fromkeys(each.removesuffix("-1").removesuffix("-2") for each in fields if not _known(each))
    if unknown:
        left.append(Left("left_unknown", {"entries": ", ".join(unknown)[:1000]}))
    return values, left


def has_parameters(fields: Mapping[str, str]) -> bool:
    """Return whether there is anything besides words."""
    return any(each not in ("Prompt", "Negative prompt") for each in fields)


def units_of(fields: Mapping[str, str]) -> dict[int, dict[str, Any]]:
    """Return the units of ControlNet by their number, each by field of `Control`, `model_hash` and `sliders` besides.

    Pictures are not in such a text. What cannot be understood is left at its default.
    """
    return {int(found[1]): _unit(text) for entry, text in fields.items() if (found := _UNIT.fullmatch(entry))}


def _unit(text: str) -> dict[str, Any]:
    said = {key.lower(): value for key, value in infotext.entries(text)}
    model, bracket, digits = said.get("model", "None").removesuffix("]").rpartition(" [")
    if not bracket:
        model, digits = digits, ""
    unit: dict[str, Any] = {
        "preprocessor": said.get("module", said.get("preprocessor", "none")),
        "model": "" if model.lower() == "none" else model,
        "model_hash": digits,
        "pixel_perfect": said.get("pixel perfect") == "True",
    }
    for entry, name in (("weight", "weight"), ("processor res", "resolution")):
        unit[name] = _number(Control, name, said.get(entry, ""))
    for entry, name in (("guidance start", "start"), ("guidance end", "end")):
        unit[name] = _number(Control, name, said.get(entry, ""))
    for entry, name, table in (
        ("resize mode", "resize_mode", infotext.RESIZE_MODES),
        ("control mode", "mode", infotext.CONTROL_MODES),
    ):
        unit[name] = next((mode for mode, words in table.items() if words == said.get(entry)), None)
    sliders = (_finite(said.get(f"threshold {letter}", "")) for letter in "ab")
    return {name: value for name, value in unit.items() if value is not None} | {
        "sliders": tuple(each for each in sliders if each is not None)
    }


def _with_networks(fields: Mapping[str, str]) -> str:
    """Return the prompt with the networks that older texts name beside it, as tags in it."""
    prompt = fields.get("Prompt", "")
    tags = []
    if name := fields.get("Hypernet"):
        tags.append(f"<hypernet:{name}:{fields.get('Hypernet strength', '1')}>")
    for place in range(1, 6):
        if fields.get(f"AddNet Module {place}") == "LoRA" and (model := fields.get(f"AddNet Model {place}")):
            tags.append(f"<lora:{model.partition('(')[0]}:{fields.get(f'AddNet Weight A {place}', '1')}>")
    return " ".join([prompt, *(each for each in tags if each not in prompt)]).strip() if tags else prompt


def _is_old(fields: Mapping[str, str]) -> bool:
    """Tell whether a text is of a version of A1111 whose refiner took over by the count of steps."""
    version = _VERSION.match(fields.get("Version", ""))
    return version is not None and tuple(map(int, version.groups())) < _BY_STEPS


def _known(entry: str) -> bool:
    if entry in _ASIDE or entry in _NUMBERS or entry in _CHOICES:
        return True
    return _UNIT.fullmatch(entry) is not None or _ADDED.fullmatch(entry) is not None


def _take(
    values: dict[str, Any], left: list[Left], entry: str, name: str, value: object, text: str, allowed: str
) -> None:
    if value is None:
        left.append(Left("left_value", {"entry": entry, "value": text[:60], "allowed": allowed}))
    else:
        values[name] = value


def _take_size(values: dict[str, Any], left: list[Left], fields: Mapping[str, str]) -> None:
    least, most, step = SIZE
    sides = [_finite(fields[f"Size-{place}"]) for place in (1, 2)]
    text = f"{fields['Size-1'][:20]}x{fields['Size-2'][:20]}"
    if any(each is None or not least <= each <= most for each in sides):
        left.append(Left("left_value", {"entry": "Size", "value": text, "allowed": f"{least} – {most}"}))
        return
    width, height = (int(each or 0) // step * step for each in sides)
    values |= {"width": width, "height": height}
    if text != f"{width}x{height}":
        left.append(Left("left_size", {"given": text, "taken": f"{width}x{height}", "step": step}))


def _number(part: type[BaseModel], name: str, text: str) -> int | float | None:
    """Return `text` as a number the field `name` of `part` allows; None when it is none."""
    info = part.model_fields[name]
    least, most, _ = limits(info.metadata)
    value: int | float | None = _finite(text)
    if info.annotation is int and value is not None:
        value = int(text) if text.strip().lstrip("-").isdecimal() else int(value)
    if value is None or (least is not None and value < least) or (most is not None and value > most):
        return None
    return value


def _bounds(part: type[BaseModel], name: str) -> str:
    least, most, _ = limits(part.model_fields[name].metadata)
    return f"{least} – {most}"


def _finite(text: str) -> float | None:
    try:
        value = float(text) if len(text) <= _LONGEST_NUMBER else math.nan
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _words(text: str) -> str:
    """Return `text` without what no prompt may hold: NUL, and half of a pair of surrogates."""
    return text.replace("\0", "").encode("utf-8", "replace").decode()


def fields_of(entry: str) -> frozenset[str]:
    """Return the fields of a form that an entry of a "parameters" text fills; none for one that fills none.

    "unit_0" stands for all fields of a unit of ControlNet.
    """
    if unit := _UNIT.fullmatch(entry):
        return frozenset({f"unit_{unit[1]}"})
    names = {*_FILLS.get(entry, ())}
    for each in (entry, f"{entry}-1", f"{entry}-2"):
        if each in _NUMBERS:
            names.add(_NUMBERS[each][1])
        elif each in _CHOICES:
            names.add(_CHOICES[each][0])
    return frozenset(names)
