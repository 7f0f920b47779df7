"""Networks that enlarge or restore: their architecture is told from their weights, by spandrel."""

from __future__ import annotations

import importlib
import importlib.util
import re
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import spandrel
import torch
from torch import Tensor

from modules.errors import BrokenFile, SetupError, WrongFamily
from modules.upscalers.tiles import Pixels

EXTRA = "spandrel_extra_arches"  # a package of its own, for its licences' sake; CodeFormer is in it
HIGHEST = 2000  # layers counted in a key: no network has as many, and what counts further would only fill the memory
_NUMBER = re.compile(r"\d+")
_MALFORMED = (
    spandrel.UnsupportedModelError,
    RuntimeError,
    KeyError,
    ValueError,
    TypeError,
    IndexError,
    AttributeError,
    AssertionError,
    ZeroDivisionError,
)
_CODEFORMER = ("position_emb", "idx_pred_layer.1.weight")  # keys that no other network has both of


class Network:
    """A network on a device; one call takes one tile."""

    def __init__(self, name: str, descriptor: Any, device: torch.device) -> None:
        self.name = name
        self.scale: int = descriptor.scale
        self.whole: bool = descriptor.tiling is spandrel.ModelTiling.INTERNAL  # it cuts into tiles by itself
        self.size = sum(each.nbytes for each in descriptor.model.parameters())  # bytes
        self._descriptor = descriptor.to(device, _dtype(descriptor, device)).eval()
        self._grey: bool = descriptor.input_channels == 1

    def __call__(self, pixels: Pixels) -> Pixels:
        """Return a tile enlarged `scale` times; raises torch's own error when there is no room."""
        with torch.inference_mode():
            made = self._descriptor(self._read(pixels))[0]
            levels = (made.float() * 255).round().clamp_(0, 255).byte().permute(1, 2, 0).cpu().numpy()
        return np.repeat(levels, 3, axis=2) if self._grey else np.ascontiguousarray(levels)

    def _read(self, pixels: Pixels) -> Tensor:
        tensor = torch.tensor(pixels).to(self._descriptor.device).permute(2, 0, 1)[None]
        tensor = tensor.to(self._descriptor.dtype) / 255
        return tensor.mean(1, keepdim=True) if self._grey else tensor


class Restorer:
    """A network that makes a face anew: 512 x 512 pixels in, as many out."""

    def __init__(self, name: str, descriptor: Any, device: torch.device) -> None:
        self.name = name
        self.size = sum(each.nbytes for each in descriptor.model.parameters())  # bytes
        self._descriptor = descriptor.to(device, torch.float32).eval()

    def __call__(self, pixels: Pixels, weight: float) -> Pixels:
        """Return the face; `weight` (0 to 1) says how true to its model CodeFormer stays, others take no notice.

        These networks speak of pixels from -1 to 1; what spandrel's own call cuts off is half of them.
        """
        model = self._descriptor.model
        with torch.inference_mode():
            tensor = torch.tensor(pixels).to(self._descriptor.device).permute(2, 0, 1)[None].float() / 127.5 - 1
            made = model(tensor, **_asked(self._descriptor.architecture.id, weight))[0][0]
            return _bytes(made)


def _asked(architecture: str, weight: float) -> dict[str, Any]:
    if architecture == "GFPGAN":
        return {"return_rgb": False, "randomize_noise": False}
    return {"weight": weight} if architecture == "CodeFormer" else {}


def _bytes(made: Tensor) -> Pixels:
    levels = (made.float() * 127.5 + 127.5).round().clamp(0, 255).byte().permute(1, 2, 0)
    return np.ascontiguousarray(levels.cpu().numpy())


def load_network(name: str, tensors: Mapping[str, Tensor], device: torch.device) -> Network:
    """Return the network with these weights, for enlarging or for cleaning an image as it is.

    Raises `WrongFamily` for one that does something else, `BrokenFile` for what no known network has.
    """
    descriptor = _descriptor(name, tensors)
    if descriptor.purpose == "FaceSR":
        raise WrongFamily("upscaler_face", file=name)
    if descriptor.purpose == "Inpainting":
        raise WrongFamily("upscaler_inpainting", file=name)
    if descriptor.input_channels not in (1, 3) or descriptor.output_channels != descriptor.input_channels:
        raise WrongFamily("upscaler_channels", file=name)
    return Network(name, descriptor, device)


def load_restorer(name: str, tensors: Mapping[str, Tensor], device: torch.device) -> Restorer:
    """Return the face restorer with these weights.

    Raises `WrongFamily` for another network, `BrokenFile` for what no known one has, `SetupError` when it is a
    CodeFormer and the package that knows it is not installed.
    """
    descriptor = _descriptor(name, tensors)
    if descriptor.purpose != "FaceSR":
        raise WrongFamily("face_other", file=name)
    return Restorer(name, descriptor, device)


def _descriptor(name: str, tensors: Mapping[str, Tensor]) -> Any:
    if any(int(number) > HIGHEST for key in tensors for number in _NUMBER.findall(key) if len(number) < 9):
        raise BrokenFile("upscaler_unknown", file=name)
    registry = _registry()
    fault: Exception | None = None
    for state in _readings(tensors):
        try:
            return spandrel.ModelLoader(registry=registry).load_from_state_dict(state)
        except _MALFORMED as error:
            fault = fault or error
    if all(key in tensors for key in _CODEFORMER) and EXTRA not in _installed():
        raise SetupError("codeformer_package", file=name, package=EXTRA)
    raise BrokenFile("upscaler_unknown", file=name) from fault


def _readings(tensors: Mapping[str, Tensor]) -> Iterator[dict[str, Tensor]]:
    """Yield the weights by the names they may have: "model." may be a wrapper, or belong to the name."""
    yield dict(tensors)
    for prefix in ("model.", "net.", "generator."):
        if tensors and all(key.startswith(prefix) for key in tensors):
            yield {key.removeprefix(prefix): tensor for key, tensor in tensors.items()}


def _registry() -> Any:
    registry = spandrel.MAIN_REGISTRY.copy()
    for name in _installed():
        registry.add(*importlib.import_module(name).EXTRA_REGISTRY, ignore_duplicates=True)
    return registry


def _installed() -> tuple[str, ...]:
    return (EXTRA,) if importlib.util.find_spec(EXTRA) is not None else ()


def _dtype(descriptor: Any, device: torch.device) -> torch.dtype:
    """Return what a network is computed in: half precision on a GPU, where it can be."""
    if device.type != "cuda":
        return torch.float32
    if descriptor.supports_half:
        return torch.float16
    return torch.bfloat16 if descriptor.supports_bfloat16 else torch.float32
