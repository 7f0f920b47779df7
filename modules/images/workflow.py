"""ComfyUI's graphs of nodes: what a picture came of, as the fields of a "parameters" text.

A graph is {id: {"class_type": …, "inputs": {name: value or [id of another node, which of its outputs]}}}. The graph it
shows ("workflow") lists nodes with their values by place and links by number, and is brought into that form first.
"""

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

Graph = Mapping[str, Mapping[str, Any]]
MOST_NODES = 2000
DEPTH = 40  # links that are followed, one after another

SAMPLERS = MappingProxyType(
    {
        "euler": "Euler",
        "euler_ancestral": "Euler a",
        "heun": "Heun",
        "dpm_2": "DPM2",
        "dpm_2_ancestral": "DPM2 a",
        "lms": "LMS",
        "dpm_fast": "DPM fast",
        "dpm_adaptive": "DPM adaptive",
        "dpmpp_2s_ancestral": "DPM++ 2S a",
        "dpmpp_sde": "DPM++ SDE",
        "dpmpp_2m": "DPM++ 2M",
        "dpmpp_2m_sde": "DPM++ 2M SDE",
        "dpmpp_2m_sde_heun": "DPM++ 2M SDE Heun",
        "dpmpp_3m_sde": "DPM++ 3M SDE",
        "ddim": "DDIM",
        "lcm": "LCM",
        "uni_pc": "UniPC",
        "uni_pc_bh2": "UniPC",
        "plms": "PLMS",
    }
)
SCHEDULES = MappingProxyType(
    {
        "normal": "Normal",
        "karras": "Karras",
        "exponential": "Exponential",
        "sgm_uniform": "SGM Uniform",
        "simple": "Simple",
        "ddim_uniform": "DDIM",
        "beta": "Beta",
        "kl_optimal": "KL Optimal",
    }
)
_CHECKPOINTS = ("ckpt_name", "unet_name", "base_ckpt_name")
_WORDS = ("text", "text_g", "text_l", "clip_l", "string", "value", "positive", "prompt", "text_positive")
_MODELS = ("model", "clip", "unet", "guider", "sigmas", "basic_pipe", "pipe")
# What stands where in `widgets_values`, for the nodes that matter.
_WIDGETS = MappingProxyType(
    {
        "KSampler": ("seed", "", "steps", "cfg", "sampler_name", "scheduler", "denoise"),
        "KSamplerAdvanced": ("add_noise", "noise_seed", "", "steps", "cfg", "sampler_name", "scheduler"),
        "CLIPTextEncode": ("text",),
        "CheckpointLoaderSimple": ("ckpt_name",),
        "UNETLoader": ("unet_name",),
        "VAELoader": ("vae_name",),
        "LoraLoader": ("lora_name", "strength_model", "strength_clip"),
        "LoraLoaderModelOnly": ("lora_name", "strength_model"),
        "EmptyLatentImage": ("width", "height", "batch_size"),
        "CLIPSetLastLayer": ("stop_at_clip_layer",),
        "RandomNoise": ("noise_seed",),
        "KSamplerSelect": ("sampler_name",),
        "BasicScheduler": ("scheduler", "steps", "denoise"),
        "CFGGuider": ("cfg",),
        "PrimitiveNode": ("value",),
    }
)


def graph_of(read: object) -> dict[str, dict[str, Any]]:
    """Return the graph in what was read from JSON, in whichever form; empty when that is none."""
    if not isinstance(read, dict):
        return {}
    if isinstance(read.get("nodes"), list):
        return _of_shown(read)
    graph = {
        str(name): {"class_type": node["class_type"], "inputs": node["inputs"]}
        for name, node in list(read.items())[:MOST_NODES]
        if isinstance(node, dict) and isinstance(node.get("class_type"), str) and isinstance(node.get("inputs"), dict)
    }
    return graph


def of_graph(graph: Graph) -> dict[str, str]:
    """Return the fields of the first sampler of `graph` that follows a prompt; a few of them where there is none."""
    samplers = [name for name, node in graph.items() if _is_sampler(node)]
    fields: dict[str, str] = {}
    for name in samplers:
        fields = _of_sampler(graph, name)
        if fields.get("Prompt"):
            break
    return fields


def _is_sampler(node: Mapping[str, Any]) -> bool:
    inputs = node["inputs"]
    if node["class_type"].startswith("SamplerCustom"):
        return True
    return "sampler_name" in inputs and bool({"steps", "scheduler"} & inputs.keys())


def _of_sampler(graph: Graph, name: str) -> dict[str, str]:
    inputs = _gathered(graph, name)
    fields = {
        "Prompt": _spoken(graph, inputs.get("positive", inputs.get("conditioning"))),
        "Negative prompt": _spoken(graph, inputs.get("negative")),
        "Steps": _plain(graph, inputs.get("steps")),
        "CFG scale": _plain(graph, inputs.get("cfg")),
        "Seed": _plain(graph, inputs.get("seed", inputs.get("noise_seed"))),
        "RNG": "CPU",
    }
    sampler, schedule = (_plain(graph, inputs.get(each)) for each in ("sampler_name", "scheduler"))
    fields["Sampler"] = SAMPLERS.get(sampler.removesuffix("_gpu"), sampler)
    fields["Schedule type"] = SCHEDULES.get(schedule, schedule)
    tags = []
    for node in _upstream(graph, [value for each, value in inputs.items() if each in _MODELS]):
        there = node["inputs"]
        for each in _CHECKPOINTS:
            if each in there and "Model" not in fields:
                fields["Model"] = _file(_plain(graph, there[each]))
        lora = _plain(graph, there.get("lora_name"))
        if lora and lora != "None":
            tags.append(f"<lora:{_file(lora)}:{_plain(graph, there.get('strength_model')) or '1'}>")
    fields["Prompt"] = " ".join([fields["Prompt"], *reversed(tags)]).strip()
    fields |= _latents(graph, inputs)
    skip = next((each["inputs"]["stop_at_clip_layer"] for each in graph.values() if _skips(each)), None)
    if isinstance(skip, int) and -12 <= skip <= -1:
        fields["Clip skip"] = str(-skip)
    named = [each["inputs"]["vae_name"] for each in graph.values() if "vae_name" in each["inputs"]]
    if named and (vae := _plain(graph, named[0])):
        fields["VAE"] = _file(vae)
    return {field: value for field, value in fields.items() if value}


def _skips(node: Mapping[str, Any]) -> bool:
    return "stop_at_clip_layer" in node["inputs"]


def _gathered(graph: Graph, name: str) -> dict[str, Any]:
    """Return the inputs of a sampler, with those of the nodes that it is put together from in newer graphs."""
    inputs = dict(graph[name]["inputs"])
    for each in ("noise", "guider", "sampler", "sigmas"):
        if (node := _linked(graph, inputs.get(each))) is not None:
            inputs = {**node["inputs"], **inputs}
    return inputs


def _latents(graph: Graph, inputs: Mapping[str, Any]) -> dict[str, str]:
    """Return the size, and the strength where a picture was painted over."""
    empty = True
    size: dict[str, str] = {}
    for node in _upstream(graph, [inputs.get("latent_image", inputs.get("latent"))], everything=True):
        there = node["inputs"]
        if node["class_type"].startswith("VAEEncode"):
            empty = False
        width, height = (_plain(graph, there.get(side)) for side in ("width", "height"))
        if width.isdecimal() and height.isdecimal() and not size:
            size = {"Size-1": width, "Size-2": height}
    strength = _plain(graph, inputs.get("denoise"))
    return size if empty or not strength else size | {"Denoising strength": strength}


def _spoken(graph: Graph, link: object) -> str:
    """Return the words that reach an input: the nearest text, whatever lies between."""
    for node in _upstream(graph, [link], everything=True):
        inputs = node["inputs"]
        found = [words for each in _WORDS if isinstance(words := inputs.get(each), str) and words.strip()]
        if found:
            return found[0]
    return ""


def _upstream(graph: Graph, links: list[Any], everything: bool = False) -> Iterator[Mapping[str, Any]]:
    """Yield the nodes that `links` lead to and those behind them, the nearest first, each once."""
    waiting, seen = list(links), set()
    for _ in range(DEPTH):
        behind: list[Any] = []
        for link in waiting:
            node = _linked(graph, link)
            if node is None or str(link[0]) in seen:
                continue
            seen.add(str(link[0]))
            yield node
            behind += [value for name, value in node["inputs"].items() if everything or name in _MODELS]
        if not behind:
            return
        waiting = behind


def _linked(graph: Graph, link: object) -> Mapping[str, Any] | None:
    if isinstance(link, list) and len(link) == 2 and isinstance(link[0], str | int):
        return graph.get(str(link[0]))
    return None


def _plain(graph: Graph, value: object) -> str:
    """Return a value as text; one that comes from a node of a single value is that value."""
    for _ in range(DEPTH):
        node = _linked(graph, value)
        if node is None:
            break
        known = ("value", "seed", "noise_seed", "int", "float", "number", "string", "text", "Number")
        value = next((node["inputs"][each] for each in known if each in node["inputs"]), None)
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return ""
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        value = int(value)
    text = "" if isinstance(value, int) and value.bit_length() > 100 else str(value)
    return text.encode("utf-8", "replace").decode()


def _of_shown(shown: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Bring the graph that ComfyUI shows into the form of the one that it runs, as far as the nodes are known."""
    sources: dict[int, list[Any]] = {}
    for link in _listed(shown.get("links")):
        if isinstance(link, list) and len(link) >= 4 and isinstance(link[0], int):
            sources[link[0]] = [link[1], link[2]]
    graph: dict[str, dict[str, Any]] = {}
    for node in _listed(shown["nodes"]):
        if not isinstance(node, dict) or not isinstance(node.get("type"), str) or node.get("mode") in (2, 4):
            continue  # 2 and 4: switched off, and passed by
        widgets = node.get("widgets_values")
        values = widgets if isinstance(widgets, list) else []
        inputs = {name: value for name, value in zip(_WIDGETS.get(node["type"], ()), values, strict=False) if name}
        if isinstance(widgets, dict):
            inputs = {str(name): value for name, value in widgets.items()}
        for each in _listed(node.get("inputs")):
            if isinstance(each, dict) and isinstance(each.get("link"), int) and each["link"] in sources:
                inputs[str(each.get("name"))] = sources[each["link"]]
        graph[str(node.get("id"))] = {"class_type": node["type"], "inputs": inputs}
    return graph


def _listed(value: object) -> list[Any]:
    return value[:MOST_NODES] if isinstance(value, list) else []


def _file(name: str) -> str:
    bare = name.replace("\\", "/").rpartition("/")[2]
    stem, dot, ending = bare.rpartition(".")
    return stem if dot and ending in ("safetensors", "ckpt", "pt", "pth", "sft", "gguf") else bare
