"""The "parameters" text of a picture, in the grammar of AUTOMATIC1111's web UI (recipe to text, text to fields)."""

import json
import re
from collections.abc import Mapping
from types import MappingProxyType

from modules import __version__
from modules.images.plain_entries import PLAIN
from modules.request import InitImage, Numbers
from modules.result import Recipe, UsedControl

NEGATIVE = "Negative prompt:"
# A1111's own expression, made to look at each place once: a key begins where a run of its characters does, and what
# was matched is never tried again in another way. A megabyte of anything takes milliseconds.
_ENTRY = re.compile(r'(?<![\w \-/])[ \-/]*+(\w[\w \-/]++):\s*+("(?:\\.|[^\\"])++"(?=,|$)|[^,]*+)(?:,|$)')
_FILE = re.compile(r"^.*/|\.(?:safetensors|ckpt)$")  # what of a checkpoint's name is not written: folder and ending
_SIZE = re.compile(r"^(\d+)x(\d+)$")
NETWORKS = MappingProxyType(
    {"lora": "Lora hashes", "hypernetwork": "Hypernet hashes", "embedding": "TI hashes"}
)  # kind -> the entry that lists them: "name: hash, name: hash"
RESIZES = MappingProxyType(
    {"crop": "Crop and resize", "fill": "Resize and fill", "latent": "Just resize (latent upscale)"}
)
CONTENTS = MappingProxyType({"fill": "fill", "noise": "latent noise", "nothing": "latent nothing"})
SOFT = MappingProxyType({"transition_contrast": "transition contrast boost"})
ALL_STEPS = "s_min_uncond_all"
GUIDANCE = MappingProxyType(
    {"skip_early": "Skip Early CFG", "s_min_uncond": "NGMS", ALL_STEPS: "NGMS all steps", "rescale": "CFG Rescale"}
)  # field of `Guidance` -> its entry; the last is that of an extension
HISTORIC = MappingProxyType(
    {"downcast_alphas": "Downcast alphas_cumprod", "old_timelines": "Old prompt editing timelines"}
)  # field of a request -> its entry
ENCODING = MappingProxyType(
    {
        "old_emphasis": "Old emphasis",
        "comma_backtrack": "Comma padding backtrack",
        "clip_l_skip": "Clip skip SDXL",
        "comments": "Prompt comments",
        "first_pass_networks": "Hires first pass conds",
    }
)  # field of `Encoding` -> its entry; A1111 writes none of them
# A1111 says when it has filled up a prompt, which is as usual here; that it has not is said by none but Easel.
PADDING: Mapping[str, dict[str, str]] = MappingProxyType(
    {"off": {"Pad conds": "False"}, "v0": {"Pad conds v0": "True"}}
)
RESIZE_MODES = MappingProxyType({"stretch": "Just Resize", "crop": "Crop and Resize", "fill": "Resize and Fill"})
CONTROL_MODES = MappingProxyType(
    {"balanced": "Balanced", "prompt": "My prompt is more important", "control": "ControlNet is more important"}
)
SAMPLING = MappingProxyType(
    {
        "eta": "Eta",
        "eta_ddim": "Eta DDIM",
        "s_churn": "Sigma churn",
        "s_tmin": "Sigma tmin",
        "s_tmax": "Sigma tmax",
        "s_noise": "Sigma noise",
        "sigma_min": "Schedule min sigma",
        "sigma_max": "Schedule max sigma",
        "rho": "Schedule rho",
        "discard_penultimate": "Discard penultimate sigma",
        "sgm_noise_multiplier": "SGM noise multiplier",
        "extra_noise": "Extra noise",
        "beta_dist_alpha": "Beta scheduler alpha",
        "beta_dist_beta": "Beta scheduler beta",
        "quantize": "Quantized timesteps",
        "ddim_discretize": "DDIM discretize",
        "uni_pc_variant": "UniPC variant",
        "uni_pc_skip_type": "UniPC skip type",
        "uni_pc_order": "UniPC order",
        "uni_pc_lower_order_final": "UniPC lower order final",
    }
)  # number of `Sampling` -> its entry
PASSES = MappingProxyType({"first": "first pass", "second": "second pass", "both": "both passes"})
_WORDS = frozenset({"Hires prompt", "Hires negative prompt"})  # entries that are no size, whatever they look like
_EMPHASIS = ("(", "[", "BREAK")  # what is read in more than one way
PACKAGES = MappingProxyType({"torch": "Torch", "diffusers": "Diffusers"})  # package -> the entry of its version
FEWEST_ENTRIES = 3  # a last line with fewer entries is words, not parameters


def write(recipe: Recipe) -> str:
    """Return the text for `recipe`: prompt, negative prompt (left out when empty) and one line of parameters.

    The entries come in the order other tools expect; empty ones are left out, `recipe.notes` follow the built-in
    ones, and a value that holds a comma, a colon or a newline is quoted as JSON. A finished picture that was changed
    keeps the text it had, to the letter.
    """
    if recipe.postprocessing:
        return recipe.given
    said: dict[str, str] = {
        "Steps": str(recipe.steps),
        "Sampler": recipe.sampler,
        "Schedule type": recipe.schedule,
        "CFG scale": _number(recipe.cfg_scale),
        "Seed": str(recipe.seed),
        "Size": f"{recipe.width}x{recipe.height}",
    }
    if recipe.model_hash:
        said["Model hash"] = recipe.model_hash
    said["Model"] = _FILE.sub("", recipe.model)
    if recipe.vae:
        said |= {"VAE hash": recipe.vae_hash, "VAE": recipe.vae} if recipe.vae_hash else {"VAE": recipe.vae}
    said |= _varied(recipe)
    said |= _larger(recipe) | _painted_over(recipe) | _refined(recipe)
    if recipe.clip_skip > 1:
        said["Clip skip"] = str(recipe.clip_skip)
    if recipe.seed_delta:
        said["ENSD"] = str(recipe.seed_delta)
    if recipe.init_hash:
        said["Init image hash"] = recipe.init_hash
    if recipe.emphasis != "Original" and any(each in recipe.prompt + recipe.negative_prompt for each in _EMPHASIS):
        said["Emphasis"] = recipe.emphasis
    if recipe.noise_source != "GPU":
        said["RNG"] = recipe.noise_source
    said |= _sampled(recipe)
    said |= _guided(recipe)
    for kind, entry in NETWORKS.items():
        if hashes := _hashes(recipe.networks.get(kind, {})):
            said[entry] = hashes
    said |= _masked(recipe)
    said |= _tiled(recipe)
    said |= {f"ControlNet {place}": _control(used) for place, used in enumerate(recipe.controls)}
    if recipe.interrupted:
        said["Interrupted at step"] = str(recipe.interrupted)
    said |= recipe.notes
    said |= _made_with(recipe)
    said["Version"] = f"easel-{recipe.versions.get('easel', __version__)}"
    parameters = _line(said)
    negative = f"\n{NEGATIVE} {recipe.negative_prompt}" if recipe.negative_prompt else ""
    return f"{recipe.prompt}{negative}\n{parameters}".strip()


def postprocessing(recipe: Recipe) -> str:
    """Return what was done to a finished picture, in one line: "Postprocess upscale by: 2, …"."""
    return _line(recipe.postprocessing)


def read(text: str) -> dict[str, str]:
    """Return the fields of a "parameters" text, whoever wrote it: "Prompt", "Negative prompt" and every entry.

    The last line is read as parameters only when it holds at least three entries; otherwise it belongs to the
    prompt. A value like 512x768 comes back as two, `<key>-1` and `<key>-2`. Never raises: what cannot be
    understood stays text.
    """
    *lines, last = text.strip().split("\n")
    if len(_ENTRY.findall(last)) < FEWEST_ENTRIES:
        lines.append(last)
        last = ""
    words: dict[str, list[str]] = {"Prompt": [], "Negative prompt": []}
    part = "Prompt"
    for line in (each.strip() for each in lines):
        if line.startswith(NEGATIVE):
            part, line = "Negative prompt", line[len(NEGATIVE) :].strip()
        words[part].append(line)
    fields = {part: "\n".join(found) for part, found in words.items()}
    for key, value in entries(last):
        size = None if key in _WORDS else _SIZE.match(value)
        if size:
            fields[f"{key}-1"], fields[f"{key}-2"] = size.groups()
        else:
            fields[key] = value
    return fields


def entries(line: str) -> list[tuple[str, str]]:
    """Return the entries of one line, "key: value, key: value", each value without its quotes."""
    return [(key, _unquoted(value)) for key, value in _ENTRY.findall(line)]


def _larger(recipe: Recipe) -> dict[str, str]:
    """Return the entries about the second pass, in the order of A1111's: what is as in the first pass is left out."""
    if recipe.hires is None:
        return {}
    asked = recipe.hires.asked
    found = {"Denoising strength": _number(asked.denoising_strength)}
    if asked.model:
        found["Hires checkpoint"] = _title(asked.model, recipe.hires.model_hash)
    if asked.sampler and asked.sampler != recipe.sampler:
        found["Hires sampler"] = asked.sampler
    found |= second_words(recipe)
    if asked.cfg_scale:
        found["Hires CFG Scale"] = _number(asked.cfg_scale)
    if asked.schedule not in ("", "Automatic", recipe.schedule):
        found["Hires schedule type"] = asked.schedule
    if asked.width or asked.height:
        found["Hires resize"] = f"{asked.width}x{asked.height}"
    else:
        found["Hires upscale"] = _number(asked.scale)
    if asked.steps:
        found["Hires steps"] = str(asked.steps)
    return found | {"Hires upscaler": asked.upscaler}


def second_words(recipe: Recipe) -> dict[str, str]:
    """Return the entries about what was said in a second pass, where it was not what was said in the first."""
    if recipe.hires is None:
        return {}
    asked = recipe.hires.asked
    found = {"Hires prompt": asked.prompt, "Hires negative prompt": asked.negative_prompt}
    first = (recipe.prompt, recipe.negative_prompt)
    return {entry: text for (entry, text), same in zip(found.items(), first, strict=True) if text not in ("", same)}


def _refined(recipe: Recipe) -> dict[str, str]:
    """Return the entries about the checkpoint that took over, as A1111 writes them."""
    if recipe.refiner is None:
        return {}
    asked = recipe.refiner.asked
    found = {"Refiner": _title(asked.model, recipe.refiner.model_hash)}
    found["Refiner switch at"] = _number(asked.switch_at)
    if asked.switch_by == "steps":
        found["Refiner switch by sampling steps"] = "True"
    if recipe.hires is not None and asked.passes != "second":
        found["Hires refiner"] = PASSES[asked.passes]
    return found


def _title(name: str, digits: str) -> str:
    """Return a checkpoint that is not the first as A1111 calls it: its name, and its hash in brackets."""
    plain = _FILE.sub("", name)
    return f"{plain} [{digits}]" if digits else plain


def _varied(recipe: Recipe) -> dict[str, str]:
    """Return the entries about noise of a second seed, and of another size."""
    variation, found = recipe.variation, {}
    if variation is not None and variation.strength:
        found = {"Variation seed": str(variation.seed), "Variation seed strength": _number(variation.strength)}
    if variation is not None and variation.resized:
        found["Seed resize from"] = f"{variation.from_width}x{variation.from_height}"
    return found


def _sampled(recipe: Recipe) -> dict[str, str]:
    """Return the numbers of samplers and schedules that are not as usual."""
    return {} if recipe.sampling is None else _unusual(recipe.sampling, SAMPLING)


def _guided(recipe: Recipe) -> dict[str, str]:
    """Return the entries about borders, guidance and how words are read, those that are not as usual."""
    found = {"Tiling": "True"} if recipe.tiling else {}
    if recipe.guidance is not None:
        asked = recipe.guidance.model_dump()
        found |= {GUIDANCE[name]: _number(value) for name, value in asked.items() if value and name != ALL_STEPS}
        found |= {GUIDANCE[ALL_STEPS]: "True"} if asked[ALL_STEPS] else {}
    if recipe.encoding is not None:
        unusual = recipe.encoding.model_dump(exclude_defaults=True)
        found |= {ENCODING[name]: str(value) for name, value in unusual.items()}
    if recipe.noise_schedule != "Default":
        found["Noise Schedule"] = recipe.noise_schedule
    found |= {entry: "True" for name, entry in HISTORIC.items() if getattr(recipe, name) is True}
    for part, (_, own) in PLAIN.items():
        asked_for = getattr(recipe, part)
        found |= {} if asked_for is None else _unusual(asked_for, own)
    return found | PADDING.get(recipe.pad_conds, {})


def _unusual(part: Numbers, own: Mapping[str, str]) -> dict[str, str]:
    """Return the entries of what of a part is not as usual; `own` are their names by field."""
    numbers = part.numbers.items()
    return {own[name]: str(value) if isinstance(value, bool | str) else _number(value) for name, value in numbers}


def _made_with(recipe: Recipe) -> dict[str, str]:
    """Return what else decides how the picture comes out, to the last bit: no other tool reads these."""
    found = {"Device": recipe.device, "Dtype": recipe.dtype, "Attention": recipe.attention}
    found |= {PACKAGES[name]: recipe.versions.get(name, "") for name in PACKAGES}
    return {key: value for key, value in found.items() if value}


def _painted_over(recipe: Recipe) -> dict[str, str]:
    """Return the entries about the picture that was painted over."""
    if recipe.init is None:
        return {}
    entries = {"Denoising strength": _number(recipe.init.denoising_strength)}
    if recipe.init.resize_mode != "stretch":
        entries["Resize mode"] = RESIZES[recipe.init.resize_mode]
    if recipe.init.noise_multiplier != 1:
        entries["Noise multiplier"] = _number(recipe.init.noise_multiplier)
    if recipe.init.mask_weight != 1:
        entries["Conditional mask weight"] = _number(recipe.init.mask_weight)
    if recipe.init.image_cfg_scale != InitImage.model_fields["image_cfg_scale"].default:
        entries["Image CFG scale"] = _number(recipe.init.image_cfg_scale)
    if recipe.init.background != InitImage.model_fields["background"].default:
        entries["Background"] = recipe.init.background
    return entries | ({"Color correction": "True"} if recipe.init.color_correction else {})


def _masked(recipe: Recipe) -> dict[str, str]:
    """Return the entries about the mask, those that are not as usual."""
    mask = recipe.mask
    if mask is None:
        return {}
    entries = {"Mask blur": str(mask.blur)}
    if mask.invert:
        entries["Mask mode"] = "Inpaint not masked"
    if mask.area == "masked":
        entries |= {"Inpaint area": "Only masked", "Masked area padding": str(mask.padding)}
    if mask.fill != "original":
        entries["Masked content"] = CONTENTS[mask.fill]
    if mask.soft is not None:
        entries["Soft inpainting enabled"] = "True"
        for name, value in mask.soft.model_dump().items():
            entries[f"Soft inpainting {SOFT.get(name, name.replace('_', ' '))}"] = _number(value)
    return entries


def _tiled(recipe: Recipe) -> dict[str, str]:
    """Return the entries about the tiles the picture was made in: A1111's two, and what else they depend on."""
    if recipe.tiles is None:
        return {}
    asked = recipe.tiles.asked
    return {
        "SD upscale overlap": str(asked.overlap),
        "SD upscale upscaler": asked.upscaler,
        "SD upscale factor": _number(asked.scale),
        "SD upscale tile": f"{recipe.tiles.width}x{recipe.tiles.height}",
    } | ({"SD upscale joined": "every step"} if asked.joined == "step" else {})


def _line(entries: Mapping[str, str]) -> str:
    return ", ".join(key if key == value else f"{key}: {_quoted(value)}" for key, value in entries.items())


def _control(used: UsedControl) -> str:
    """Write a unit as sd-webui-controlnet does: "Module: canny, Model: xxx [hash], Weight: 1, …"."""
    unit = used.asked
    model = f"{unit.model} [{used.model_hash}]" if used.model_hash else unit.model or "None"
    entries = {
        "Module": unit.preprocessor,
        "Model": model.replace(",", ""),
        "Weight": _number(unit.weight),
        "Resize Mode": RESIZE_MODES[unit.resize_mode],
        "Processor Res": str(used.resolution or unit.resolution),
        **{f"Threshold {letter}": _number(value) for letter, value in zip("AB", used.sliders, strict=False)},
        "Guidance Start": _number(unit.start),
        "Guidance End": _number(unit.end),
        "Pixel Perfect": str(unit.pixel_perfect),
        "Control Mode": CONTROL_MODES[unit.mode],
    }
    return ", ".join(f"{key}: {value}" for key, value in entries.items())


def _number(value: float) -> str:
    """Write a number as a person types it: 7, 7.5."""
    return str(int(value)) if value == int(value) else repr(value)


def _hashes(networks: Mapping[str, str]) -> str:
    """Write networks with their hashes; what separates them is left out of their names, and one without a hash is."""
    plain = {name.replace(":", "").replace(",", ""): digits for name, digits in networks.items() if digits}
    return ", ".join(f"{name}: {digits}" for name, digits in plain.items())


def _quoted(value: str) -> str:
    plain = value == value.strip() and not value.startswith('"') and not any(each in value for each in ",\n:")
    return value if plain else json.dumps(value, ensure_ascii=False)


def _unquoted(value: str) -> str:
    if len(value) < 2 or value[0] != '"' or value[-1] != '"':
        return value
    try:
        return str(json.loads(value)).encode("utf-8", "replace").decode()  # it may name half of a pair of surrogates
    except ValueError:
        return value
