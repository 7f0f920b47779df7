"""A1111's `config.json` and `ui-config.json`, taken over.

Options become options, what is a field of a request here becomes a default of the forms, and everything else is said
with its reason. Nothing in such a file is run.
"""

import json
import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Protocol, get_args

from pydantic import BaseModel, Field, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from modules.errors import BadRequest, EaselError
from modules.images.plain_entries import PLAIN
from modules.model_manager.autoencoders import AUTOMATIC, OWN
from modules.model_manager.catalog import Catalog
from modules.model_manager.extras_task import upscaler_named
from modules.model_manager.hires_check import LATENT
from modules.offers import Offers
from modules.options import SHARED, Option, option_of, row_names
from modules.request import (
    Encoding,
    Guidance,
    Hires,
    InitImage,
    Mask,
    Request,
    Sampling,
    Variation,
    limits,
    make_request,
)
from modules.server.forms import Forms
from modules.server.old_controls import CONTROLS, TABS
from modules.server.options import Options, checked
from modules.settings import Settings

NAMES = Path(__file__).with_name("old_names.json")
LARGEST = 1_000_000  # characters; A1111's own file has some thirty thousand
DEEPEST = 20
# Why a setting of A1111 is none here; the names of each in `old_names.json`.
REASONS = (
    *("none_always", "none_each", "none_one_tile", "none_memory", "none_path"),
    *("none_look", "none_console", "none_training", "none_here", "none_yet"),
)
UNKNOWN, BOUNDS = "none_unknown", "none_bounds"
PARTS: Mapping[str, type[BaseModel]] = MappingProxyType(
    {
        "init": InitImage,
        "mask": Mask,
        "hires": Hires,
        "variation": Variation,
        "sampling": Sampling,
        "guidance": Guidance,
        **{name: part for name, (part, _) in PLAIN.items()},
        "encoding": Encoding,
    }
)
TEXTS = frozenset({"seed", "variation/seed"})  # fields whose box holds text
# A1111's setting -> the field of a form that it is here.
FIELDS: Mapping[str, str] = MappingProxyType(
    {
        **SHARED,
        "img2img_color_correction": "init/color_correction",
        "img2img_background_color": "init/background",
        "initial_noise_multiplier": "init/noise_multiplier",
        "inpainting_mask_weight": "init/mask_weight",
        "img2img_extra_noise": "sampling/extra_noise",
        "eta_ancestral": "sampling/eta",
        "always_discard_next_to_last_sigma": "sampling/discard_penultimate",
        **{name: f"sampling/{name}" for name in ("eta_ddim", "s_churn", "s_tmin", "s_tmax", "s_noise")},
        **{name: f"sampling/{name}" for name in ("sigma_min", "sigma_max", "rho", "sgm_noise_multiplier")},
        **{name: f"sampling/{name}" for name in ("beta_dist_alpha", "beta_dist_beta", "ddim_discretize")},
        **{f"uni_pc_{name}": f"sampling/uni_pc_{name}" for name in ("variant", "skip_type", "order")},
        "uni_pc_lower_order_final": "sampling/uni_pc_lower_order_final",
        "enable_quantization": "sampling/quantize",
        "sdxl_crop_top": "told/crop_top",
        "sdxl_crop_left": "told/crop_left",
        "sdxl_refiner_high_aesthetic_score": "told/high_score",
        "sdxl_refiner_low_aesthetic_score": "told/low_score",
        "token_merging_ratio": "merging/merge_ratio",
        "token_merging_ratio_img2img": "merging/merge_ratio",
        "token_merging_ratio_hr": "merging/merge_ratio_hires",
        "hypertile_enable_unet": "hypertile/tile_attention",
        "hypertile_enable_unet_secondpass": "hypertile/tile_attention_hires",
        **{f"hypertile_{name}_unet": f"hypertile/{name}" for name in ("max_depth", "max_tile", "swap_size")},
        "skip_early_cond": "guidance/skip_early",
        "s_min_uncond": "guidance/s_min_uncond",
        "s_min_uncond_all": "guidance/s_min_uncond_all",
        "tiling": "tiling",
        "use_old_scheduling": "old_timelines",
        "use_downcasted_alpha_bar": "downcast_alphas",
        "sd_noise_schedule": "noise_schedule",
        "use_old_emphasis_implementation": "encoding/old_emphasis",
        "comma_padding_backtrack": "encoding/comma_backtrack",
        "sdxl_clip_l_skip": "encoding/clip_l_skip",
        "enable_prompt_comments": "encoding/comments",
        "hires_fix_use_firstpass_conds": "encoding/first_pass_networks",
        "pad_cond_uncond": "pad_conds",
        "pad_cond_uncond_v0": "pad_conds",
    }
)
# Switches of A1111 that are one choice here, and what they choose; one that is off may leave it to another.
CHOSEN: Mapping[str, Mapping[bool, str | None]] = MappingProxyType(
    {
        "pad_cond_uncond": MappingProxyType({True: "chunks", False: "off"}),
        "pad_cond_uncond_v0": MappingProxyType({True: "v0", False: None}),
    }
)


# What counts on some tabs alone, in place of what counts on all; 0 is none of its own.
ONLY: Mapping[str, tuple[str, ...]] = MappingProxyType({"token_merging_ratio_img2img": TABS["img2img"]})
# A switch of A1111 that means numbers here, of those that the file does not set itself.
MEANT: Mapping[str, Mapping[str, float]] = MappingProxyType(
    {"use_old_karras_scheduler_sigmas": MappingProxyType({"sigma_min": 0.1, "sigma_max": 10.0})}
)


class _Own(BaseModel):
    """Fields of a form that are none of the request's."""

    hires_on: bool = False
    scale_by: float = Field(0, ge=0, le=4)


class House(Protocol):
    """What an import changes, and asks for the names there are; a `Server` does."""

    catalog: Catalog
    offers: Offers
    options: Options
    forms: Forms


@dataclass(frozen=True)
class Taken:
    """A setting that was taken: what A1111 had, and where it went, a key of a sentence; `tab` where it is a form's."""

    key: str
    old: str
    where: str
    new: Any
    tab: str = ""
    option: str = ""


@dataclass(frozen=True)
class Refused:
    """A setting that could not be taken as it is, and why."""

    key: str
    old: str
    error: EaselError


@dataclass
class Report:
    """What became of a file: what was taken, what was refused, and what has no counterpart, by the reason."""

    taken: list[Taken] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)
    none: dict[str, list[str]] = field(default_factory=dict)

    def leave(self, reason: str, key: str) -> None:
        """Note that there is nothing here that `key` could be."""
        self.none.setdefault(reason, []).append(key)


def read_config(text: str) -> dict[str, Any]:
    """Return the entries of such a file; of one that stands there twice the last counts, as it does for A1111.

    Raises `BadRequest` for what is too large, too deep, no JSON, or no object.
    """
    if len(text) > LARGEST:
        raise BadRequest("old_large", most=LARGEST)
    try:
        found = json.loads(text.removeprefix("\ufeff"))
    except RecursionError as error:
        raise BadRequest("old_object", most=DEEPEST) from error
    except ValueError as error:
        raise BadRequest("old_json", reason=str(error)[:200]) from error
    if not isinstance(found, dict) or _deep(found, DEEPEST):
        raise BadRequest("old_object", most=DEEPEST)
    return found


def take_over(text: str, house: House, owner: str, forms: Mapping[str, Collection[str]]) -> Report:
    """Take over what the file says; `forms` names the fields of each tab.

    Raises `BadRequest` when it cannot be read, `SaveError` when the settings cannot be written.
    """
    values = read_config(text)
    report = Report()
    named = json.loads(NAMES.read_text(encoding="utf-8"))
    reasons = {key: reason for reason in REASONS for key in named[reason]}
    options = _Options(house, report)
    defaults = _Defaults(house, owner, forms, report)
    later: list[tuple[str, Any]] = []
    meant: list[tuple[str, float, str]] = []
    for key, value in values.items():
        if key in CHOSEN and isinstance(value, bool):
            value = CHOSEN[key][value]
        if value is None:  # nothing was chosen
            continue
        option = option_of(key) if "/" not in key else None
        if "/" in key:
            _control(key, value, defaults, report)
        elif key in FIELDS:
            later.append((key, value))
        elif key in MEANT:
            meant += [(key, new, FIELDS[name]) for name, new in MEANT[key].items() if value and not values.get(name)]
        elif option is not None and key in option.a1111:
            options.take(key, value, option)
        else:
            report.leave(reasons.get(key, UNKNOWN), _shown(key))
    options.apply()
    later.sort(key=lambda entry: entry[0] in ONLY)
    for key, value in later:  # once it is known what the row on top will hold
        if value or key not in ONLY:
            defaults.take(key, value, FIELDS[key], ONLY.get(key, forms), SHARED if key in SHARED else ())
    for key, new, name in meant:
        defaults.take(key, new, name, forms)
    defaults.keep()
    return report


class _Options:
    """Collects options, and applies them at once."""

    def __init__(self, house: House, report: Report) -> None:
        self._house = house
        self._report = report
        self._values: dict[str, Any] = {}

    def take(self, key: str, value: Any, option: Option) -> None:
        old = _shown(value)
        try:
            if self._house.options.get(option.key).fixed:
                raise BadRequest(f"setting_{self._house.options.get(option.key).source}", field=option.key)
            value = self._row(value) if option.key == "quicksettings" else _CONVERTED.get(key, _same)(value)
            if value is None:
                return
            new = checked(option.key, value)
        except BadRequest as error:
            self._report.refused.append(Refused(key, old, error))
            return
        if key == "live_previews_enable":
            self._values[option.key] = new
        self._values.setdefault(option.key, new)
        self._report.taken.append(Taken(key, old, f"settings.{option.key}", self._values[option.key], "", option.key))

    def apply(self) -> None:
        if self._values:
            self._house.options.apply(self._values)

    def _row(self, value: Any) -> list[str]:
        """Return A1111's list by the names that Easel's row has; report those that it cannot hold."""
        allowed = row_names(Settings.model_fields)
        names = value if isinstance(value, list) else str(value).split(",")
        row = []
        for name in (str(each).strip()[:60] for each in names[:200]):
            option = option_of(name)
            own = name if name in allowed or option is None else option.key
            if own in allowed:
                row.append(own)
            else:
                error = BadRequest("old_row", value=name, allowed=", ".join(allowed))
                self._report.refused.append(Refused("quicksettings_list", name, error))
        return row


class _Defaults:
    """Collects defaults of forms, and keeps them."""

    def __init__(self, house: House, owner: str, forms: Mapping[str, Collection[str]], report: Report) -> None:
        self._house = house
        self._owner = owner
        self._forms = forms
        self._report = report
        self._values: dict[str, dict[str, Any]] = {}

    def take(self, key: str, value: Any, name: str, tabs: Collection[str], shared: Collection[str] = ()) -> None:
        """Take a value as the default of the field `name` on each of `tabs` that has it.

        One that is `shared` by all tabs is on a tab as well where the row on top will hold it.
        """
        old = _shown(value)
        row = self._house.options.chosen_row if shared else ()
        coming = name == "model" or key in row
        having = [tab for tab in tabs if coming or name in self._forms.get(tab, ())]
        try:
            new = checked_field(name, value, self._house)
            if not having and new != _usual(name):
                raise BadRequest("old_no_field", field=label_of(name))
        except EaselError as error:
            self._report.refused.append(Refused(key, old, error))
            return
        for tab in having:
            self._values.setdefault(tab, {})[name] = str(new) if name in TEXTS else new
        first = having[0] if len(having) == 1 else ""
        self._report.taken.append(Taken(key, old, f"ui.{label_of(name)}", new, first))

    def keep(self) -> None:
        for tab, values in self._values.items():
            self._house.forms.keep_defaults(
                self._owner, tab, {**self._house.forms.defaults(self._owner, tab), **values}
            )


def _control(key: str, value: Any, defaults: _Defaults, report: Report) -> None:
    """Take one entry of `ui-config.json`: "tab/label/value", "customscript/file.py/tab/label/value"."""
    parts = key.split("/")
    if parts[0] == "customscript":
        parts = parts[2:] or [""]
    tab, label, what = parts[0], "/".join(parts[1:-1]).lower(), parts[-1]
    place = CONTROLS.get(tab, {}).get(label)
    if what != "value" or place is None:
        report.leave(UNKNOWN if place is None else BOUNDS, _shown(key))
        return
    if place.name in ("hires/sampler", "hires/schedule") and str(value).startswith("Use same"):
        value = ""
    if place.said:
        value = place.said.get(str(value), value)
    defaults.take(_shown(key), value, place.name, TABS[tab])


def checked_field(name: str, value: Any, house: House) -> Any:
    """Return `value` as the field `name` of a form holds it.

    Raises `BadRequest` with what is allowed, `UnknownModel` for a model there is none of.
    """
    part, _, last = name.rpartition("/")
    if name == "model":
        return _checkpoint(value, house.catalog)
    if name == "vae":
        return value if value in (AUTOMATIC, OWN) else house.catalog.find(str(value)[:300], "vae").name
    if name == "hires/upscaler":
        return _upscaler(value, house)
    if last in ("sampler", "schedule"):
        if value == "" and part:
            return value
        return getattr(house.offers.settle(make_request({last: str(value)[:200]})), last)
    if name in _Own.model_fields:
        return _valid(name, _Own.model_fields[name], value)
    info = (PARTS[part] if part else Request).model_fields[last]
    if isinstance(value, bool) and info.annotation is not bool:
        raise BadRequest("bad_value", field=last, value=_shown(value))
    return _valid(name, info, value) if part else getattr(make_request({last: value}), last)


def label_of(name: str) -> str:
    """Return the key of `ui.json` that labels the field `name` of a form."""
    labels = {
        "variation/seed": "variation_seed",
        "hires/upscaler": "hires_upscaler",
        "hires/scale": "hires_scale",
        "hires/width": "hires_width",
        "hires/height": "hires_height",
        "hires/steps": "hires_steps",
        "mask/blur": "mask_blur",
        "mask/invert": "mask_invert",
    }
    return labels.get(name, name.rpartition("/")[2])


def _checkpoint(value: Any, catalog: Catalog) -> str:
    """Return the name here of "name.safetensors [hash]"; raise `UnknownModel` when there is no such checkpoint."""
    name, bracket, digits = str(value)[:300].removesuffix("]").rpartition(" [")
    found = catalog.get(digits, "checkpoint") if bracket and len(digits) >= 8 else None
    return (found or catalog.find(name if bracket else str(value)[:300])).name


def _upscaler(value: Any, house: House) -> str:
    asked = str(value)[:200]
    known = next((name for name in LATENT if name.lower() == asked.strip().lower()), "")
    known = known or upscaler_named(asked, house.catalog, house.offers.upscalers)
    if not known:
        raise BadRequest("unknown_upscaler", value=_shown(asked), allowed=", ".join(LATENT))
    return known


def _valid(name: str, info: FieldInfo, value: Any) -> Any:
    """Return the `value` of a form's field as `info` says; raise `BadRequest` with what that allows."""
    try:
        if not isinstance(value, float) or math.isfinite(value):
            kind: Any = Annotated[info.annotation, info]
            return TypeAdapter(kind).validate_python(value)
    except ValidationError:
        pass
    least, most, step = limits(info.metadata)
    known = {"field": label_of(name), "value": _shown(value)}
    if step is not None:
        raise BadRequest("size", **known, least=least, most=most, step=step)
    if least is not None and most is not None:
        raise BadRequest("number", **known, least=least, most=most)
    if choices := get_args(info.annotation):
        raise BadRequest("one_of", **known, allowed=", ".join(str(each) for each in choices))
    raise BadRequest("bad_value", **known)


def _usual(name: str) -> Any:
    *parts, last = name.split("/")
    found = (PARTS[parts[0]] if parts else Request).model_fields.get(last)
    return None if found is None else found.default


def _deep(value: Any, levels: int) -> bool:
    """Return whether something lies deeper in `value` than so many levels."""
    layer: Sequence[Any] = [value]
    for _ in range(levels):
        layer = [
            inner
            for each in layer
            if isinstance(each, dict | list)
            for inner in (each.values() if isinstance(each, dict) else each)
        ]
        if not layer:
            return False
    return True


def _shown(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text[:80].encode("utf-8", "replace").decode()


def _launch(value: Any) -> Any:
    return {"Disable": False, "Local": True, "Remote": True}.get(str(value), value)


def _same(value: Any) -> Any:
    return value


def _every(value: Any) -> Any:
    return 0 if value == -1 else value  # only when all is done


def _previews(value: Any) -> Any:
    return 0 if value is False else None  # switched on is as usual


def _extensions(value: Any) -> Any:
    return {"none": False, "extra": True, "all": True}.get(str(value), value)


_CONVERTED: Mapping[str, Callable[[Any], Any]] = MappingProxyType(
    {
        "auto_launch_browser": _launch,
        "show_progress_every_n_steps": _every,
        "live_previews_enable": _previews,
        "disable_all_extensions": _extensions,
    }
)
