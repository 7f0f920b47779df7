"""The modules of a loaded model by every name LoRA files have for them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from torch import Tensor, nn

from modules.families.family import Model
from modules.families.unet.layout import text_names, unet_names
from modules.model_manager.lora_keys import flat_path, places


@dataclass(frozen=True)
class Target:
    """A module with weights: in which part of the model, and at which path ("mid_block.resnets.0.conv1")."""

    part: str
    path: str
    module: nn.Module

    @property
    def is_text(self) -> bool:
        """Whether it belongs to a text encoder."""
        return self.part.startswith("text_encoder")

    def tensor(self, name: str) -> Tensor | None:
        """Return its parameter "weight" or "bias", or None."""
        found = getattr(self.module, name, None)
        return found if isinstance(found, Tensor) else None


class Targets:
    """The modules of one model; made once for it, since a U-Net of SDXL has thousands."""

    def __init__(self, model: Model) -> None:
        self._by_place: dict[tuple[str, str], Target] = {}
        for part, network in model.parts.items():
            theirs = _original_names(part, network)
            for path, module in network.named_modules():
                if isinstance(getattr(module, "weight", None), nn.Parameter):
                    target = Target(part, path, module)
                    for name in {path, theirs.get(flat_path(path), path)}:
                        self._by_place[part, flat_path(name)] = target

    def find(self, name: str) -> Target | None:
        """Return the module that a layer of a file is for, `name` being as `lora_keys.sort_keys` gives it."""
        return next((self._by_place[place] for place in places(name) if place in self._by_place), None)

    def __iter__(self) -> Iterator[Target]:
        return iter(dict.fromkeys(self._by_place.values()))


def _original_names(part: str, network: nn.Module) -> Mapping[str, str]:
    """Return a module's flat path -> its path in the original code, where it has one of its own."""
    config = getattr(network, "config", None)
    if config is None:
        return {}
    if part == "unet":
        names = unet_names(config)
    elif part.startswith("text_encoder"):
        names = text_names(part, config if isinstance(config, Mapping) else config.to_dict())
    else:
        return {}
    stored = list(names.values())
    # Three modules of a text encoder share one matrix there: that name says nothing.
    return {flat_path(ours): theirs for ours, theirs in names.items() if stored.count(theirs) == 1}
