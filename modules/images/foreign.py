"""What other tools write into their pictures, as the fields of a "parameters" text.

NovelAI (`Software`, `Comment`), ComfyUI (`prompt`: the graph it ran; `workflow`: the one it shows), InvokeAI
(`invokeai_metadata`, before that `sd-metadata` and `Dream`), Fooocus (JSON under `parameters`) and Easy Diffusion (an
item for each setting, or JSON). All of it is untrusted: what has another form than expected is left out, and nothing
raises.
"""

import json
import re
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from types import MappingProxyType
from typing import Any

from modules.images.workflow import graph_of, of_graph

LONGEST = 8_000_000  # characters of JSON that are read
Fields = dict[str, str]

_NOVELAI = MappingProxyType(
    {
        "k_euler_ancestral": "Euler a",
        "k_euler": "Euler",
        "k_lms": "LMS",
        "plms": "PLMS",
        "ddim": "DDIM",
        "ddim_v3": "DDIM",
        "k_dpm_2": "DPM2",
        "k_dpm_2_ancestral": "DPM2 a",
        "k_dpmpp_2m": "DPM++ 2M",
        "k_dpmpp_2m_sde": "DPM++ 2M SDE",
        "k_dpmpp_2s_ancestral": "DPM++ 2S a",
        "k_dpmpp_sde": "DPM++ SDE",
        "k_dpmpp_3m_sde": "DPM++ 3M SDE",
    }
)
_INVOKE = MappingProxyType(
    {
        "euler": "Euler",
        "euler_a": "Euler a",
        "k_euler": "Euler",
        "k_euler_a": "Euler a",
        "k_lms": "LMS",
        "lms": "LMS",
        "heun": "Heun",
        "k_heun": "Heun",
        "kdpm_2": "DPM2",
        "k_dpm_2": "DPM2",
        "kdpm_2_a": "DPM2 a",
        "k_dpm_2_a": "DPM2 a",
        "dpmpp_2s": "DPM++ 2S a",
        "dpmpp_2m": "DPM++ 2M",
        "dpmpp_2m_sde": "DPM++ 2M SDE",
        "dpmpp_3m": "DPM++ 3M SDE",
        "dpmpp_sde": "DPM++ SDE",
        "unipc": "UniPC",
        "ddim": "DDIM",
        "plms": "PLMS",
        "pndm": "PLMS",
        "ddpm": "Euler a",
        "deis": "DEIS",
        "lcm": "LCM",
    }
)
_EASY = MappingProxyType(
    {
        "prompt": "Prompt",
        "negative_prompt": "Negative prompt",
        "seed": "Seed",
        "num_inference_steps": "Steps",
        "steps": "Steps",
        "guidance_scale": "CFG scale",
        "width": "Size-1",
        "height": "Size-2",
        "sampler_name": "Sampler",
        "sampler": "Sampler",
        "use_stable_diffusion_model": "Model",
        "stable_diffusion_model": "Model",
        "use_vae_model": "VAE",
        "vae_model": "VAE",
        "prompt_strength": "Denoising strength",
    }
)
_FOLDER = re.compile(r"^.*[/\\]|\.(?:safetensors|ckpt|pt|pth|sft)$")
_RESOLUTION = re.compile(r"\(?\s*(\d{1,5})\s*[,x×]\s*(\d{1,5})\s*\)?")


@dataclass(frozen=True)
class Foreign:
    """What a picture of another tool says: the tool's name, and the fields of a "parameters" text."""

    tool: str
    fields: Fields


def understood(texts: Mapping[str, str]) -> Foreign | None:
    """Return what the texts inside a picture say if another tool than A1111 and its kin wrote them; else None."""
    readers: tuple[Callable[[Mapping[str, str]], Foreign | None], ...] = (_novelai, _comfy, _invoke, _fooocus, _easy)
    return next((found for reader in readers if (found := reader(texts)) is not None), None)


def parsed(text: str) -> Any:
    """Return the JSON in `text`, None when there is none: too long, too deep or something else altogether."""
    if len(text) > LONGEST or text.lstrip()[:1] not in ("{", "["):
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _novelai(texts: Mapping[str, str]) -> Foreign | None:
    if texts.get("Software") != "NovelAI":
        return None
    said = _table(parsed(texts.get("Comment", "")))
    fields = {
        "Prompt": texts.get("Description") or _text(said.get("prompt")),
        "Negative prompt": _text(said.get("uc")),
        "Steps": _text(said.get("steps")),
        "Sampler": _NOVELAI.get(_text(said.get("sampler")), "Euler a"),
        "CFG scale": _text(said.get("scale")),
        "CFG Rescale": _text(said.get("cfg_rescale")),
        "Seed": _text(said.get("seed")),
        "Size-1": _text(said.get("width")),
        "Size-2": _text(said.get("height")),
        "Clip skip": "2",
        "ENSD": "31337",
    }
    schedule = _text(said.get("noise_schedule")).capitalize()
    if schedule in ("Karras", "Exponential", "Polyexponential"):
        fields["Schedule type"] = schedule
    if "image" in said or _text(said.get("request_type")).startswith("Img2Img"):
        fields["Denoising strength"] = _text(said.get("strength"))
    return Foreign("NovelAI", _said(fields))


def _comfy(texts: Mapping[str, str]) -> Foreign | None:
    for name in ("prompt", "workflow", "parameters"):
        graph = graph_of(parsed(texts.get(name, "")))
        if graph:
            return Foreign("ComfyUI", _said(of_graph(graph)))
    return None


def _invoke(texts: Mapping[str, str]) -> Foreign | None:
    said = _table(parsed(texts.get("invokeai_metadata", "") or texts.get("parameters", "")))
    if "positive_prompt" in said:
        return Foreign("InvokeAI", _said(_invoke_now(said)))
    said = _table(parsed(texts.get("sd-metadata", "")))
    if "image" in said:
        return Foreign("InvokeAI", _said(_invoke_before(said)))
    if "Dream" in texts:
        return Foreign("InvokeAI", _said(_dream(texts["Dream"])))
    return None


def _invoke_now(said: Mapping[str, Any]) -> Fields:
    model = _table(said.get("model"))
    fields = {
        "Prompt": _text(said.get("positive_prompt")),
        "Negative prompt": _text(said.get("negative_prompt")),
        "Steps": _text(said.get("steps")),
        **_sampler(_text(said.get("scheduler"))),
        "CFG scale": _text(said.get("cfg_scale")),
        "CFG Rescale": _text(said.get("cfg_rescale_multiplier")),
        "Tiling": "True" if said.get("seamless_x") is True and said.get("seamless_y") is True else "",
        "Seed": _text(said.get("seed")),
        "Size-1": _text(said.get("width")),
        "Size-2": _text(said.get("height")),
        "Model": _file(_text(model.get("name") or model.get("model_name"))),
        "VAE": _file(_text(_table(said.get("vae")).get("name"))),
        "RNG": "CPU" if _text(said.get("rand_device")) == "cpu" else "",
        "Denoising strength": _text(said.get("strength")),
    }
    if isinstance(skipped := said.get("clip_skip"), int) and 0 < skipped < 12:
        fields["Clip skip"] = str(skipped + 1)  # it counts the layers left out
    for each in _list(said.get("loras")):
        one = _table(each)
        named = _table(one.get("model") or one.get("lora"))
        name = _file(_text(named.get("name") or named.get("model_name")))
        if name:
            fields["Prompt"] += f" <lora:{name}:{_text(one.get('weight')) or '1'}>"
    return fields


def _invoke_before(said: Mapping[str, Any]) -> Fields:
    image = _table(said.get("image"))
    prompts = image.get("prompt")
    words = prompts if isinstance(prompts, str) else _text(_table(next(iter(_list(prompts)), None)).get("prompt"))
    prompt, negative = _bracketed(words)
    return {
        "Prompt": prompt,
        "Negative prompt": negative,
        "Steps": _text(image.get("steps")),
        **_sampler(_text(image.get("sampler"))),
        "CFG scale": _text(image.get("cfg_scale")),
        "Seed": _text(image.get("seed")),
        "Size-1": _text(image.get("width")),
        "Size-2": _text(image.get("height")),
        "Model": _file(_text(said.get("model_weights"))),
    }


def _dream(line: str) -> Fields:
    """Read a command: "prompt" -s 50 -S 123 -W 512 -H 512 -C 7.5 -A k_lms."""
    try:
        words = shlex.split(line[:20_000])
    except ValueError:
        words = line[:20_000].split()
    options = {name: value for name, value in pairwise(words) if name.startswith("-")}
    spoken = []
    for word in words:
        if re.fullmatch(r"-\w+", word):
            break
        spoken.append(word)
    prompt, negative = _bracketed(" ".join(spoken))
    return {
        "Prompt": prompt,
        "Negative prompt": negative,
        "Steps": options.get("-s", ""),
        **_sampler(options.get("-A", "")),
        "CFG scale": options.get("-C", ""),
        "Seed": options.get("-S", ""),
        "Size-1": options.get("-W", ""),
        "Size-2": options.get("-H", ""),
    }


def _fooocus(texts: Mapping[str, str]) -> Foreign | None:
    read = parsed(texts.get("parameters", ""))
    said = {re.sub(r"\W+", "_", name.lower()): value for name, value in _table(read).items()}
    if "guidance_scale" not in said or not {"base_model", "performance"} & said.keys():
        return None
    fields = {
        "Prompt": _text(said.get("prompt")),
        "Negative prompt": _text(said.get("negative_prompt")),
        "Steps": _text(said.get("steps")),
        **_comfy_names(_text(said.get("sampler")), _text(said.get("scheduler"))),
        "CFG scale": _text(said.get("guidance_scale")),
        "Seed": _text(said.get("seed")),
        "Model": _file(_text(said.get("base_model"))),
        "Model hash": _text(said.get("base_model_hash")),
        "VAE": "" if _text(said.get("vae")).startswith("Default") else _file(_text(said.get("vae"))),
        "Clip skip": _text(said.get("clip_skip")),
    }
    size = said.get("resolution")
    found = _RESOLUTION.fullmatch(", ".join(map(_text, size)) if isinstance(size, list) else _text(size))
    if found:
        fields |= {"Size-1": found[1], "Size-2": found[2]}
    for name in sorted(said):
        if name.startswith("lora_combined_"):
            lora, _, weight = _text(said[name]).rpartition(":")
            fields["Prompt"] += f" <lora:{_file(lora.strip())}:{weight.strip()}>"
    for each in _list(said.get("loras")):
        lora_of, weight_of = (*_list(each), "", "")[:2]
        if isinstance(lora_of, str) and lora_of:
            fields["Prompt"] += f" <lora:{_file(lora_of)}:{_text(weight_of)}>"
    for name, label in (("styles", "Styles"), ("refiner_model", "Refiner"), ("sharpness", "Sharpness")):
        if _text(said.get(name)) not in ("", "None", "[]"):
            fields[label] = _text(said[name])
    return Foreign("Fooocus", _said(fields))


def _easy(texts: Mapping[str, str]) -> Foreign | None:
    said: Mapping[str, Any] = texts
    if not _is_easy(said):
        said = _table(parsed(texts.get("parameters", "")))
    said = {re.sub(r"\W+", "_", name.lower()): value for name, value in said.items()}
    if not _is_easy(said):
        return None
    fields = {_EASY[name]: _text(value) for name, value in said.items() if name in _EASY}
    fields |= _sampler(fields.pop("Sampler", ""))
    for name in ("Model", "VAE"):
        fields[name] = _file(fields.get(name, ""))
    if _text(said.get("clip_skip")).lower() == "true":
        fields["Clip skip"] = "2"
    loras, weights = said.get("use_lora_model"), said.get("lora_alpha")
    loras, weights = (parsed(each) or each if isinstance(each, str) else each for each in (loras, weights))
    for place, name in enumerate(_list(loras) or [loras]):
        if isinstance(name, str) and name not in ("", "None"):
            strengths = [*map(_text, _list(weights) or [weights])]
            weight = strengths[place] if place < len(strengths) else ""
            fields["Prompt"] = f"{fields.get('Prompt', '')} <lora:{_file(name)}:{weight or '1'}>"
    return Foreign("Easy Diffusion", _said(fields))


def _is_easy(said: Mapping[str, Any]) -> bool:
    names = {re.sub(r"\W+", "_", name.lower()) for name in said}
    return "prompt" in names and bool(names & {"num_inference_steps", "use_stable_diffusion_model"})


def _sampler(name: str) -> Fields:
    """Return sampler and schedule of a name of InvokeAI or Easy Diffusion; one that ends in "_k" is Karras."""
    plain = name.removesuffix("_k")
    known = _INVOKE.get(plain) or _NOVELAI.get(plain)
    if known is None:
        return _comfy_names(name, "") if name else {}
    return {"Sampler": known} | ({"Schedule type": "Karras"} if plain != name else {})


def _comfy_names(sampler: str, schedule: str) -> Fields:
    graph = {"1": {"class_type": "KSampler", "inputs": {"sampler_name": sampler, "scheduler": schedule}}}
    fields = of_graph(graph)
    return {name: fields[name] for name in ("Sampler", "Schedule type") if name in fields}


def _bracketed(text: str) -> tuple[str, str]:
    """Return the words of an old InvokeAI prompt, and those in square brackets, which are the negative ones."""
    negative = re.findall(r"\[([^\[\]]*)\]", text)
    return re.sub(r"\[[^\[\]]*\]", "", text).strip(), ", ".join(each.strip() for each in negative)


def _file(name: str) -> str:
    return _FOLDER.sub("", _FOLDER.sub("", name))


def _said(fields: Mapping[str, str]) -> Fields:
    kept = {name: value for name, value in fields.items() if value}
    return {"Prompt": "", "Negative prompt": ""} | kept


def _table(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _text(value: object) -> str:
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return str(int(value))
    if value is None or isinstance(value, dict | list):
        return "" if not isinstance(value, list) else ", ".join(str(each) for each in value if isinstance(each, str))
    text = str(value) if not isinstance(value, int) or value.bit_length() < 1000 else ""
    return text.encode("utf-8", "replace").decode()
