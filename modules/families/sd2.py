"""Stable Diffusion 2 (Rombach et al. 2022; Stability AI 2022): OpenCLIP's ViT-H text encoder; noise or velocity."""

from __future__ import annotations

import re
from collections.abc import Sequence

from modules.families.family import Defaults, Family, Header, LatentFormat
from modules.families.signs import Has, Lacks
from modules.families.unet.base import CONV_IN, IMAGE_CHANNELS, UnetFamily
from modules.families.unet.objective import stated_kind
from modules.families.unet.reading import Reading
from modules.hooks import hookimpl

SIZE_OF_VELOCITY = 768  # pixels: the checkpoints that say velocity were trained on these


class Sd2(UnetFamily):
    """Stable Diffusion 2.x, of any width: at 512 pixels it says noise, at 768 velocity.

    Which of them a checkpoint says is what it states: a folder's scheduler, a YAML beside the file, its metadata.
    Where nothing states it the loaded network is asked (`unet/velocity.py`).
    """

    name = "sd2"
    defaults = Defaults(native_size=512)
    latent = LatentFormat(
        channels=4,
        factor=8,
        scale=0.18215,
        shift=0.0,
        # Its latents are SD 1's.
        rgb=((0.298, 0.207, 0.208), (0.187, 0.286, 0.173), (-0.158, 0.189, 0.264), (-0.184, -0.271, -0.473)),
    )
    signs = (
        Has(CONV_IN, (None, IMAGE_CHANNELS, 3, 3)),
        Has("unet.down_blocks.*.attentions.0.proj_in.weight", (None, None)),
        Lacks("unet.add_embedding.*"),
        Lacks("unet.class_embedding.*"),
    )
    example_vae = "vae-ft-mse-840000-ema-pruned.safetensors"

    def readings(self, header: Header) -> tuple[Reading, ...]:
        """Return the one text encoder, read at its last layer but one; what is behind that is in no folder."""
        return (Reading("text_encoder", pad=0, skip=2, cut=1),)

    def asks_network(self, header: Header) -> bool:
        """Return whether the checkpoint leaves open what its network says; those that read a picture too say noise."""
        return not stated_kind(header) and not Has(CONV_IN, (None, IMAGE_CHANNELS[1:], 3, 3)).holds(header)

    def velocity_size(self) -> int:
        """Return 768."""
        return SIZE_OF_VELOCITY

    def native_size(self, header: Header, velocity: bool = False) -> int:
        """Return 512, or 768 for one that says velocity; before it is loaded its name may tell ("v2-1_768-ema")."""
        named = not stated_kind(header) and str(SIZE_OF_VELOCITY) in re.findall(r"\d+", header.path.stem)
        return super().native_size(header, velocity or named)


@hookimpl
def families() -> Sequence[Family]:
    """Offer Stable Diffusion 2."""
    return [Sd2()]
