"""What a checkpoint says of its training: noise or velocity, and on which noise levels. No torch here."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from modules.errors import BrokenFile
from modules.families.family import Header
from modules.sampling.prediction import DiscreteTable, Eps, Prediction, V

MOST_TIMESTEPS = 100_000
KINDS: Mapping[str, type[Eps] | type[V]] = MappingProxyType({"epsilon": Eps, "v_prediction": V})
# How metadata spells them (modelspec.prediction_type; kohya's trainers).
SPELLINGS = MappingProxyType(
    {"epsilon": "epsilon", "eps": "epsilon", "v": "v_prediction", "v_prediction": "v_prediction"}
)
VELOCITY_MARK, TERMINAL_MARK = "v_pred", "ztsnr"  # tensors that SDXL fine-tunes carry to say so


def stated_kind(header: Header) -> str:
    """Return "epsilon" or "v_prediction" as the checkpoint states it, or an empty string when it does not.

    The scheduler's config (a folder's, or what a YAML beside the file says) goes before marker tensors, and those
    before the file's metadata. Raises `BrokenFile` for a kind that is not known.
    """
    config = header.configs.get("scheduler", {})
    if "prediction_type" in config:
        kind = str(config["prediction_type"])
        if kind not in KINDS:
            raise BrokenFile("prediction_type", file=str(header.path), value=kind, allowed=", ".join(KINDS))
        return kind
    if _marked(header, VELOCITY_MARK):
        return "v_prediction"
    said = header.metadata.get("modelspec.prediction_type", "").strip().lower()
    if header.metadata.get("ss_v_parameterization", "").lower() == "true":
        said = said or "v"
    return SPELLINGS.get(said, "")


def prediction_of(header: Header, aligned: tuple[float, ...], velocity: bool) -> Prediction:
    """Return what the network says; `velocity` decides where the checkpoint does not state it.

    Raises `BrokenFile` when what it states makes no sense.
    """
    config = header.configs.get("scheduler", {})
    kind = stated_kind(header) or ("v_prediction" if velocity else "epsilon")
    try:
        table = _table(config)
    except (TypeError, ValueError, ZeroDivisionError) as error:
        raise BrokenFile("model_config", file=str(header.path), part="scheduler", reason=str(error)) from error
    if kind == "v_prediction" and _ends_in_noise(header):  # from pure noise, the noise itself says nothing of a picture
        table = table.to_zero_snr()
    return KINDS[kind](table, aligned)


def _ends_in_noise(header: Header) -> bool:
    """Tell whether the last level was nothing but noise (Lin et al. 2023)."""
    told = header.metadata.get("ss_zero_terminal_snr", "").lower() == "true"
    return (
        told
        or _marked(header, TERMINAL_MARK)
        or bool(header.configs.get("scheduler", {}).get("rescale_betas_zero_snr"))
    )


def _marked(header: Header, mark: str) -> bool:
    return any(key.rpartition(".")[2] == mark for key in header.entries)


def _table(config: Mapping[str, Any]) -> DiscreteTable:
    makers = {"scaled_linear": DiscreteTable.scaled_linear, "linear": DiscreteTable.linear}
    schedule = config.get("beta_schedule", "scaled_linear")
    if schedule not in makers:
        raise ValueError(f"beta_schedule is {schedule}, not one of {', '.join(makers)}")
    first, last = float(config.get("beta_start", 0.00085)), float(config.get("beta_end", 0.012))
    count = int(config.get("num_train_timesteps", 1000))
    if not 2 <= count <= MOST_TIMESTEPS:
        raise ValueError(f"num_train_timesteps is {count}, not between 2 and {MOST_TIMESTEPS}")
    return makers[schedule](first, last, count)
