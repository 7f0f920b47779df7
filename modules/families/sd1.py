"""Stable Diffusion 1 (Rombach et al. 2022): one CLIP text encoder, a U-Net on 4-channel latents."""

from __future__ import annotations

from collections.abc import Sequence

from modules.families.family import Defaults, Family, Header, LatentFormat
from modules.families.signs import Has, Lacks
from modules.families.unet.base import CONV_IN, IMAGE_CHANNELS, UnetFamily
from modules.families.unet.reading import Reading
from modules.hooks import hookimpl


class Sd1(UnetFamily):
    """Stable Diffusion 1.x and what is built like it, of any width; for inpainting and instructions too."""

    name = "sd1"
    defaults = Defaults(native_size=512)
    latent = LatentFormat(
        channels=4,
        factor=8,
        scale=0.18215,
        shift=0.0,
        # Fitted on SD 1.4's latents by "keturn", Hugging Face forum, "Decoding latents to RGB without upscaling", 2022.
        rgb=((0.298, 0.207, 0.208), (0.187, 0.286, 0.173), (-0.158, 0.189, 0.264), (-0.184, -0.271, -0.473)),
    )
    # Its projections into attention are 1×1 convolutions; SD 2's and SDXL's are matrices.
    signs = (
        Has(CONV_IN, (None, IMAGE_CHANNELS, 3, 3)),
        Has("unet.down_blocks.*.attentions.0.proj_in.weight", (None, None, 1, 1)),
        Lacks("unet.add_embedding.*"),
        Lacks("unet.class_embedding.*"),
    )
    example_vae = "vae-ft-mse-840000-ema-pruned.safetensors"

    def readings(self, header: Header) -> tuple[Reading, ...]:
        """Return the one text encoder, read at its last layer."""
        return (Reading("text_encoder"),)


@hookimpl
def families() -> Sequence[Family]:
    """Offer Stable Diffusion 1."""
    return [Sd1()]
