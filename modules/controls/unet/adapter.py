"""A T2I-Adapter in memory, and the ring of one unit around `predict`."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from diffusers.models.adapter import T2IAdapter
from torch import Tensor

from modules.controls.adapter_layout import PART
from modules.controls.control import Guide, Predict, Ring, soft_weights
from modules.controls.unet.networks import bytes_of, filled, unet_of
from modules.controls.unet.strength import scaled, where_it_acts
from modules.families.family import Conditioning, Header, Model
from modules.families.unet.residuals import adding
from modules.families.unet.seamless import alike

SOFT = (0.25, 0.62, 0.825, 1.0)  # the soft weights of four levels (sd-webui-controlnet)


class LoadedAdapter:
    """The network; what it says of a hint is the same at every step, so it is asked once for a picture."""

    def __init__(self, network: T2IAdapter) -> None:
        self._network = network
        self.size = bytes_of(network)

    def ring(self, model: Model, guide: Guide) -> Ring:
        """Return the ring of one unit; it adds to what other controls add."""
        unet = unet_of(model, "T2I-Adapter")
        hint = _whole(guide.hint, self._network.downscale_factor).to(model.device, model.dtype)
        if self._network.config.in_channels == 1:
            hint = hint.mean(dim=1, keepdim=True)
        with alike(self._network, unet.unet):
            said: list[Tensor] = self._network(unet.laid_out(hint))
        soft = SOFT if len(said) == len(SOFT) else soft_weights(len(said))
        weighed = scaled(said, [1.0] * len(said) if guide.mode == "balanced" else soft, guide)

        def say(x: Tensor, conditioning: Conditioning) -> Sequence[Tensor]:
            return [each.expand(len(x), -1, -1, -1) for each in weighed]

        def ring(predict: Predict) -> Predict:
            def controlled(x: Tensor, sigma: float, conditioning: Conditioning) -> Tensor:
                return predict(x, sigma, adding(conditioning, within=where_it_acts(say, x, conditioning, guide)))

            return controlled

        return ring


def load_adapter(header: Header, model: Model) -> LoadedAdapter:
    """Load an adapter whose header is in diffusers' names; raise `BrokenFile` when it is not whole."""
    network = unet_of(model, header.path.name)
    with torch.inference_mode(False):
        return LoadedAdapter(filled(header, PART, header.part(PART), T2IAdapter.from_config, network))


def _whole(hint: Tensor, factor: int) -> Tensor:
    """Return the hint in a size that can be cut into squares of `factor` pixels."""
    height, width = (-(-side // factor) * factor for side in hint.shape[-2:])
    if (height, width) == tuple(hint.shape[-2:]):
        return hint
    return F.interpolate(hint, (height, width), mode="bilinear")
