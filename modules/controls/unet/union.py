"""A ControlNet Union in memory, and the ring of one unit around `predict`."""

from __future__ import annotations

from collections.abc import Sequence
from types import MappingProxyType

import torch
from diffusers.models.controlnets.controlnet import ControlNetConditioningEmbedding
from diffusers.models.controlnets.controlnet_union import ControlNetUnionModel
from torch import Tensor, nn

from modules.controls.control import Guide, Predict, Ring, soft_weights
from modules.controls.layout import PART
from modules.controls.unet.networks import bytes_of, filled, inheriting, unet_of
from modules.controls.unet.strength import scaled, where_it_acts
from modules.errors import BadRequest
from modules.families.family import Conditioning, Header, Model
from modules.families.unet.model import UnetModel
from modules.families.unet.residuals import adding
from modules.families.unet.seamless import alike

# The kinds of hints in the network's order, by the tags of preprocessors; the last two are in the "ProMax" only.
TYPES = MappingProxyType(
    {"OpenPose": 0, "Depth": 1, "SoftEdge": 2, "Scribble": 2, "Canny": 3, "Lineart": 3, "MLSD": 3}
    | {"NormalMap": 4, "Segmentation": 5, "Tile": 6, "Blur": 6, "Inpaint": 7}
)
OPTION = "union_control_type"  # the number of a kind, for a hint that no preprocessor drew


class LoadedUnion:
    """The network without what reads the hint, which is asked once for a picture."""

    def __init__(self, network: ControlNetUnionModel, name: str) -> None:
        self._hint: ControlNetConditioningEmbedding = network.controlnet_cond_embedding
        network.controlnet_cond_embedding = nn.Identity()
        self._network = network
        self._name = name
        self.size = bytes_of(network, self._hint)

    def ring(self, model: Model, guide: Guide) -> Ring:
        """Return the ring of one unit; raise `BadRequest` when it is not said what the hint is a picture of."""
        network = unet_of(model, self._name)
        kind = self._kind(guide)
        with alike(self._hint, network.unet):
            read: Tensor = self._hint(network.laid_out(guide.hint.to(model.device, model.dtype)))

        def ring(predict: Predict) -> Predict:
            def controlled(x: Tensor, sigma: float, conditioning: Conditioning) -> Tensor:
                def say(rows: Tensor, words: Conditioning) -> Sequence[Tensor]:
                    return self._say(network, rows, sigma, words, read, kind)

                said = where_it_acts(say, x, conditioning, guide)
                weights = [1.0] * len(said) if guide.mode == "balanced" else soft_weights(len(said))
                *down, middle = scaled(said, weights, guide)
                return predict(x, sigma, adding(conditioning, down, middle))

            return controlled

        return ring

    def _say(
        self, model: UnetModel, x: Tensor, sigma: float, conditioning: Conditioning, read: Tensor, kind: int
    ) -> Sequence[Tensor]:
        """Return one tensor for each skip connection of the U-Net, and the middle's at the end."""
        inputs = model.prediction.scale(x, sigma).to(model.dtype)
        types = torch.zeros(len(x), self._network.config.num_control_type, device=x.device)
        types[:, kind] = 1
        with alike(self._network, model.unet):
            down, middle = self._network(
                model.laid_out(inputs),
                model.time(sigma),
                conditioning.context,
                [read.expand(len(x), -1, -1, -1)],
                types,
                [kind],
                added_cond_kwargs=model.about(x, conditioning),
                return_dict=False,
            )
        return [*down, middle]

    def _kind(self, guide: Guide) -> int:
        stated = guide.options.get(OPTION)
        found = int(stated) if stated is not None else next((TYPES[each] for each in guide.kinds if each in TYPES), -1)
        count = self._network.config.num_control_type
        if not 0 <= found < count:
            allowed = ", ".join(tag for tag, place in TYPES.items() if place < count)
            raise BadRequest("control_union_type", name=self._name, option=OPTION, allowed=allowed)
        return found


def load_union(header: Header, model: Model) -> LoadedUnion:
    """Load a ControlNet Union whose header is in diffusers' names; raise `BrokenFile` when it is not whole."""
    network = unet_of(model, header.path.name)
    config = {**inheriting(header.configs[PART], network), **_shapes(header)}
    own = Header(header.path, header.entries, {PART: config})
    with torch.inference_mode(False):
        made = filled(own, PART, header.part(PART), ControlNetUnionModel.from_config, network)
    return LoadedUnion(made, header.path.name)


def _shapes(header: Header) -> dict[str, int]:
    """Return the fields of the config that tell how kinds of hints are told apart."""
    entries = header.part(PART)
    types, channels = entries["task_embedding"].shape
    layers = {key.split(".")[1] for key in entries if key.startswith("transformer_layes.")}
    found = {"num_control_type": types, "num_trans_channel": channels, "num_trans_layer": len(layers)}
    if (told := entries.get("control_add_embedding.linear_1.weight")) is not None:
        found["addition_time_embed_dim"] = told.shape[1] // types
    if (projected := entries.get("spatial_ch_projs.weight")) is not None:
        found["num_proj_channel"] = projected.shape[0]
    return found
