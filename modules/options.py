"""The options: which settings a person may change on the page, in which group, and when a change holds.

A field of `Settings` becomes an option by one line here, and by its name and what it does in two sentences of
`locale/*/settings.json` (`<key>` and `<key>_about`; `<key>_is_<value>` where a value has a name of its own). Its type,
its bounds and its default are the field's. A field that is no option has its reason in `KEPT`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal, get_args, get_origin

from pydantic.fields import FieldInfo

Holds = Literal["now", "worker", "start"]
"""When a change holds: at once, when the workers have begun anew, or when Easel is started the next time."""
Kind = Literal["switch", "whole", "number", "choice", "text", "row"]


@dataclass(frozen=True)
class Option:
    """One option: the field of `Settings` that it is, its group on the page, when it holds, and what A1111 calls it."""

    key: str
    group: str
    holds: Holds = "start"
    a1111: tuple[str, ...] = ()


GROUPS = ("page", "prompts", "making", "saving", "grids", "memory", "models", "jobs")
# Fields of `Saving`, under the names they have in A1111.
# fmt: off
SAVED = (
    "samples_format", "jpeg_quality", "webp_lossless", "enable_pnginfo", "save_txt", "samples_filename_pattern",
    "save_images_add_number", "save_to_dirs", "directories_filename_pattern", "directories_max_prompt_words",
    "export_for_4chan", "img_downscale_threshold", "target_side_length", "save_images_before_highres_fix",
    "save_images_before_color_correction", "save_mask", "save_mask_composite", "save_init_img",
    "save_incomplete_images", "save_selected_only",
    "save_write_log_csv", "use_save_to_dirs_for_ui", "grid_zip_filename_pattern",
)
LAID = (
    "grid_save", "return_grid", "grid_only_if_multiple", "n_rows", "grid_prevent_empty_spots", "grid_format",
    "grid_background_color", "grid_extended_filename", "grid_save_to_dirs", "img_max_size_mp",
)
TOLD = (
    "interrogate_deepbooru_score_threshold", "deepbooru_sort_alpha", "deepbooru_use_spaces", "deepbooru_escape",
    "deepbooru_filter_tags",
)
# fmt: on
# Fields of `Prompting`: those that hold at once, and those that a page is built with.
# fmt: off
TYPED = (
    "include_styles_into_token_counters", "lora_preferred_name", "infotext_skip_pasting", "disable_weights_auto_swap",
    "send_seed", "send_size",
)
BUILT = (
    "disable_token_counters", "keyedit_precision_attention", "keyedit_precision_extra", "keyedit_delimiters",
    "keyedit_delimiters_whitespace", "keyedit_move", "extra_networks_default_multiplier",
    "extra_networks_add_text_separator",
)
ALERTS = ("notification_audio", "notification_volume", "prevent_screen_sleep_during_generation")
# fmt: on
OPTIONS: tuple[Option, ...] = (
    Option("quicksettings", "page", "start", ("quicksettings_list",)),
    Option("theme", "page"),
    Option("controlnet_units", "page", "start", ("control_net_unit_count",)),
    Option("autolaunch", "page", "start", ("auto_launch_browser",)),
    Option("port", "page"),
    *(Option(key, "page", "start", (key,)) for key in ALERTS),
    *(Option(key, "prompts", "now", (key,)) for key in TYPED),
    *(Option(key, "prompts", "start", (key,)) for key in BUILT),
    Option("preview_every", "making", "now", ("show_progress_every_n_steps", "live_previews_enable")),
    Option("upscale_tile", "making", "now", ("ESRGAN_tile",)),
    Option("upscale_overlap", "making", "now", ("ESRGAN_tile_overlap",)),
    Option("interrupt_after_current", "making", "now", ("interrupt_after_current",)),
    Option("set_scale_by_when_changing_upscaler", "making", "now", ("set_scale_by_when_changing_upscaler",)),
    Option("infotext_styles", "making", "now", ("infotext_styles",)),
    *(Option(key, "making", "now", (key,)) for key in TOLD),
    *(Option(key, "saving", "now", (key,)) for key in SAVED),
    *(Option(key, "grids", "now", (key,)) for key in LAID),
    Option("dtype", "memory", "worker"),
    Option("offload", "memory", "worker"),
    Option("models_in_memory", "memory", "now", ("sd_checkpoints_limit",)),
    Option("memory_reserve", "memory", "now"),
    Option("device", "memory"),
    Option("preprocessor_downloads", "models", "worker"),
    Option("hashing", "models"),
    Option("disable_all_extensions", "models", "start", ("disable_all_extensions",)),
    Option("start_paused", "jobs"),
    Option("max_deaths", "jobs"),
    Option("lease_seconds", "jobs"),
)

# Why a setting is no option: a page may be open to others, and must not say where Easel reads and writes, whom it
# answers to, or what its keys are.
KEPT: Mapping[str, str] = MappingProxyType(
    dict.fromkeys(
        (
            *("data_dir", "models_dir", "outputs_dir", "extensions_dir", "model_roots"),
            *("ckpt_dir", "lora_dir", "vae_dir", "embeddings_dir", "hypernetwork_dir", "controlnet_dir"),
            *("upscaler_dir", "face_dir", "text_encoder_dir", "styles_file"),
            *("outdir_samples", "outdir_txt2img_samples", "outdir_img2img_samples", "outdir_extras_samples"),
            *("outdir_grids", "outdir_txt2img_grids", "outdir_img2img_grids", "outdir_save"),
        ),
        "kept_path",
    )
    | dict.fromkeys(("huggingface_token", "civitai_token"), "kept_secret")
    | dict.fromkeys(("host", "database", "private_downloads"), "kept_access")
)

# What every tab has in common and the row on top may hold, by A1111's names -> fields of a request.
SHARED: Mapping[str, str] = MappingProxyType(
    {
        "sd_model_checkpoint": "model",
        "sd_vae": "vae",
        "CLIP_stop_at_last_layers": "clip_skip",
        "emphasis": "emphasis",
        "randn_source": "noise_source",
        "eta_noise_seed_delta": "seed_delta",
    }
)


def option_of(key: str) -> Option | None:
    """Return the option of that key, or that A1111 calls so; None when there is none."""
    return next((each for each in OPTIONS if key == each.key or key in each.a1111), None)


def kind_of(info: FieldInfo) -> Kind:
    """Return what sort of a value a field of `Settings` is."""
    kinds: dict[object, Kind] = {bool: "switch", int: "whole", float: "number", str: "text", Literal: "choice"}
    return kinds.get(get_origin(info.annotation) or info.annotation, "row")


def choices_of(info: FieldInfo) -> tuple[Any, ...]:
    """Return the values that a choice allows."""
    return get_args(info.annotation) if kind_of(info) == "choice" else ()


def row_names(fields: Mapping[str, FieldInfo]) -> tuple[str, ...]:
    """Return what the row on top of the page may hold: what all tabs share, and options that are one simple value."""
    simple = (each.key for each in OPTIONS if each.key in fields and kind_of(fields[each.key]) not in ("text", "row"))
    return *SHARED, *simple
