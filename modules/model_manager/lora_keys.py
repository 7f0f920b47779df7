"""What a LoRA file holds, by its keys and shapes alone: for which modules, in which format, for which family.

Trainers name modules in many ways ("lora_unet_down_blocks_0_…", "unet.down_blocks.0.…", ldm's "input_blocks_1_…"). All
of them are a network's prefix and a path; with its dots as underlines a path is the same whoever wrote it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from modules.families.family import Entry, Header

# How the name of a network begins, dots as underlines; a part that a name may mean, longest prefix first.
PREFIXES: tuple[tuple[str, str], ...] = tuple(
    sorted(
        [
            *((prefix, "unet") for prefix in ("lora_unet_", "oft_unet_", "unet_", "lycoris_", "lycoris_unet_")),
            *((prefix, "unet") for prefix in ("diffusion_model_", "model_diffusion_model_", "")),
            *((prefix, "text_encoder") for prefix in ("lora_te_", "lora_te1_", "oft_te_", "oft_te1_")),
            *((prefix, "text_encoder") for prefix in ("text_encoder_", "lycoris_text_encoder_", "te1_")),
            *((prefix, "text_encoder") for prefix in ("text_encoders_clip_l_transformer_", "clip_l_transformer_", "")),
            *((prefix, "text_encoder_2") for prefix in ("lora_te2_", "oft_te2_", "text_encoder_2_", "te2_")),
            *((prefix, "text_encoder_2") for prefix in ("text_encoders_clip_g_transformer_", "clip_g_transformer_")),
            # A checkpoint with the second encoder alone (SDXL's refiner) calls it the only one.
            *((prefix, "text_encoder_2") for prefix in ("lora_te_", "text_encoder_", "")),
        ],
        key=lambda each: -len(each[0]),
    )
)

_ROLES: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern + "$"), role)
    for pattern, role in (
        (r"(?:\.lora_down|\.lora_A(?:\.\w+)?|[._]lora\.down|\.lora_linear_layer\.down)\.weight", "down"),
        (r"(?:\.lora_up|\.lora_B(?:\.\w+)?|[._]lora\.up|\.lora_linear_layer\.up)\.weight", "up"),
        (r"(?:\.lora_up|\.lora_B(?:\.\w+)?)\.bias", "up_bias"),
        (r"\.lora_mid\.weight", "mid"),
        (r"(?:\.dora_scale|\.lora_magnitude_vector(?:\.\w+)*)", "dora_scale"),
        (r"\.(a1|a2|b1|b2|bm)\.weight", r"\1"),
        (r"\.ia3_l(?:\.\w+)?", "ia3_l"),
        (
            r"\.(alpha|scale|hada_(?:w[12]_[ab]|t[12])|lokr_(?:w[12](?:_[ab])?|t[12])|diff|diff_b|w_norm|b_norm|on_input"
            r"|oft_blocks|oft_diag|rescale|bias_indices|bias_values|bias_size)",
            r"\1",
        ),
    )
)
_WRAPPERS = re.compile(r"(?:^|(?<=\.))base_model\.model\.")
_OLD = re.compile(r"(\.self_attn)?\.(?:processor\.)?to_(q|k|v|out)$")  # what is left of "….attn1.processor.to_q_lora"
_BUNDLED = "bundle_emb."

Roles = Mapping[str, Entry]


@dataclass(frozen=True)
class LoraKeys:
    """The keys of a LoRA file, sorted.

    `layers` are by a module's name with dots as underlines ("lora_unet_mid_block_…"), each with its tensors by role
    ("up", "down", "alpha", "hada_w1_a", …); `bundled` embeddings by name, each by key; `unknown` keys are none of it.
    """

    layers: Mapping[str, Roles]
    bundled: Mapping[str, Roles]
    unknown: tuple[str, ...]


def sort_keys(header: Header) -> LoraKeys:
    """Return what the keys of a LoRA file are for."""
    layers: dict[str, dict[str, Entry]] = {}
    bundled: dict[str, dict[str, Entry]] = {}
    unknown: list[str] = []
    for key, entry in header.entries.items():
        if key.startswith(_BUNDLED):
            name, _, vector = key.removeprefix(_BUNDLED).partition(".")
            bundled.setdefault(name, {})[vector] = entry
        elif found := _role(key):
            layers.setdefault(found[0], {})[found[1]] = entry
        elif key.endswith(".weight") and f"{key.removesuffix('.weight')}.on_input" in header.entries:
            layers.setdefault(_flat(key.removesuffix(".weight")), {})["ia3"] = entry
        else:
            unknown.append(key)
    return LoraKeys(layers, bundled, tuple(unknown))


def is_lora(header: Header) -> bool:
    """Return whether the file holds anything a LoRA or one of its relatives is made of."""
    return any(not roles.keys() <= {"alpha", "scale"} for roles in sort_keys(header).layers.values())


def places(name: str) -> Iterator[tuple[str, str]]:
    """Yield (part, path with underlines) that a layer's name may mean, the likeliest first."""
    for prefix, part in PREFIXES:
        if name.startswith(prefix):
            yield part, flat_path(name.removeprefix(prefix))


def flat_path(path: str) -> str:
    """Return a module's path as names are compared: dots as underlines, without "text_model" in front."""
    return path.replace(".", "_").removeprefix("text_model_")


def inputs(roles: Roles) -> int | None:
    """Return how many inputs (features or channels) the layer has that these tensors are for, where they tell."""
    for role in ("down", "diff", "hada_w1_b"):
        if role in roles and len(roles[role].shape) > 1 and "hada_t1" not in roles:
            return roles[role].shape[1]
    if "hada_t1" in roles and "hada_w1_b" in roles:
        return roles["hada_w1_b"].shape[-1]
    first, second = (roles.get(f"lokr_w{each}", roles.get(f"lokr_w{each}_b")) for each in (1, 2))
    if first is not None and second is not None and min(len(first.shape), len(second.shape)) > 1:
        return first.shape[1] * second.shape[1]
    if "a1" in roles and "a2" in roles:
        return max(*roles["a1"].shape[:2], *roles["a2"].shape[:2])
    return None


def _role(key: str) -> tuple[str, str] | None:
    for pattern, role in _ROLES:
        if match := pattern.search(key):
            stem = key[: match.start()]
            return _flat(_OLD.sub(_new_name, stem)), match.expand(role)
    return None


def _new_name(match: re.Match[str]) -> str:
    """Return what an attention's projection is called now: diffusers' first LoRAs were attention processors."""
    text, name = match.groups()
    if text:
        return f"{text}.{name}_proj"
    return ".to_out.0" if name == "out" else f".to_{name}"


def _flat(stem: str) -> str:
    return _WRAPPERS.sub("", stem).replace(".", "_")
