"""An image encoder of CLIP in memory (Radford et al. 2021)."""

from __future__ import annotations

from typing import Any

import torch
from transformers.models.clip.configuration_clip import CLIPVisionConfig
from transformers.models.clip.image_processing_clip import CLIPImageProcessor
from transformers.models.clip.modeling_clip import CLIPVisionModelWithProjection

from modules.controls.control import Seen
from modules.controls.preprocessor import Pixels
from modules.controls.vision.layout import PART
from modules.families.family import Header, Model
from modules.families.unet.making import made, place_buffers
from modules.families.unet.unfilled import unfilled
from modules.families.unet.weights import fill


class ImageEncoder:
    """Looks at the middle of a picture: a square as wide as its shorter side."""

    def __init__(self, network: CLIPVisionModelWithProjection, side: int) -> None:
        self._network = network
        square = {"height": side, "width": side}
        self._reader = CLIPImageProcessor(size={"shortest_edge": side}, crop_size=square)
        self.size = sum(each.nbytes for each in network.parameters())

    def see(self, picture: Pixels) -> Seen:
        """Return what it says of `picture` (H, W, 3), and of none."""
        network = self._network
        values = self._reader(images=picture, return_tensors="pt", input_data_format="channels_last")["pixel_values"]
        values = values.to(network.device, network.dtype)
        said = network(pixel_values=torch.cat([values, torch.zeros_like(values)]), output_hidden_states=True)
        whole = said.image_embeds
        return Seen(torch.cat([whole[:1], torch.zeros_like(whole[:1])]), said.hidden_states[-2])


def load_image_encoder(header: Header, model: Model) -> ImageEncoder:
    """Load an image encoder whose header is in transformers' names, in the dtype and onto the device of `model`.

    Raises `BrokenFile` when it is not whole.
    """

    def make(config: dict[str, Any]) -> CLIPVisionModelWithProjection:
        return CLIPVisionModelWithProjection(CLIPVisionConfig(**config))

    with torch.inference_mode(False):
        with unfilled():
            network: CLIPVisionModelWithProjection = made(header, PART, make)
        fill(network, header.part(PART), model.device, model.dtype)
        place_buffers(network, model.device)
    return ImageEncoder(network, header.configs[PART]["image_size"])
