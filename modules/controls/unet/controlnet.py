"""A ControlNet in memory, and the ring of one unit around `predict`."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from diffusers.models.controlnets.controlnet import ControlNetConditioningEmbedding, ControlNetModel
from torch import Tensor, nn

from modules.controls.control import Guide, Predict, Ring, soft_weights
from modules.controls.layout import PART
from modules.controls.unet.networks import bytes_of, filled, inheriting, unet_of
from modules.controls.unet.strength import scaled, where_it_acts
from modules.families.family import Conditioning, Header, Model
from modules.families.unet.model import UnetModel
from modules.families.unet.residuals import adding
from modules.families.unet.seamless import alike


class LoadedControlNet:
    """The network without what reads the hint, which is asked once for a picture and not at each step.

    `pooled`: it says one thing for the whole picture ("shuffle"); `turned`: it reads blue, green and red.
    """

    def __init__(self, network: ControlNetModel, pooled: bool, turned: bool) -> None:
        self._hint: ControlNetConditioningEmbedding = network.controlnet_cond_embedding
        network.controlnet_cond_embedding = nn.Identity()
        self._network = network
        self._pooled = pooled
        self._turned = turned
        self.size = bytes_of(network, self._hint)

    def ring(self, model: Model, guide: Guide) -> Ring:
        """Return the ring of one unit; it adds to what other controls add."""
        network = unet_of(model, "ControlNet")
        hint = guide.hint.flip(1) if self._turned else guide.hint
        with alike(self._hint, network.unet):
            read: Tensor = self._hint(network.laid_out(hint.to(model.device, model.dtype)))

        def ring(predict: Predict) -> Predict:
            def controlled(x: Tensor, sigma: float, conditioning: Conditioning) -> Tensor:
                def say(rows: Tensor, words: Conditioning) -> Sequence[Tensor]:
                    return self._say(network, rows, sigma, words, read)

                said = where_it_acts(say, x, conditioning, guide)
                weights = [1.0] * len(said) if guide.mode == "balanced" else soft_weights(len(said))
                *down, middle = scaled(said, weights, guide)
                return predict(x, sigma, adding(conditioning, down, middle))

            return controlled

        return ring

    def _say(
        self, model: UnetModel, x: Tensor, sigma: float, conditioning: Conditioning, read: Tensor
    ) -> Sequence[Tensor]:
        """Return one tensor for each skip connection of the U-Net, and the middle's at the end."""
        inputs = model.prediction.scale(x, sigma).to(model.dtype)
        with alike(self._network, model.unet):
            down, middle = self._network(
                model.laid_out(inputs),
                model.time(sigma),
                conditioning.context,
                read.expand(len(x), -1, -1, -1),
                added_cond_kwargs=model.about(x, conditioning),
                return_dict=False,
            )
        said = [*down, middle]
        return [each.mean(dim=(2, 3), keepdim=True) for each in said] if self._pooled else said


def load_controlnet(header: Header, model: Model) -> LoadedControlNet:
    """Load a ControlNet whose header is in diffusers' names; raise `BrokenFile` when it is not whole."""
    network = unet_of(model, header.path.name)
    config = inheriting(header.configs[PART], network)
    pooled, turned = bool(config.get("global_pool_conditions")), config.get("controlnet_conditioning_channel_order")
    config |= {"global_pool_conditions": False, "controlnet_conditioning_channel_order": "rgb"}
    own = Header(header.path, header.entries, {PART: config})
    with torch.inference_mode(False):
        made = filled(own, PART, header.part(PART), ControlNetModel.from_config, network)
    return LoadedControlNet(made, pooled, turned == "bgr")
