"""Stable Diffusion XL (Podell et al. 2023): a base that reads words with two text encoders, and a refiner."""

from __future__ import annotations

from collections.abc import Sequence

from modules.families.family import Defaults, Family, Header, LatentFormat
from modules.families.signs import Has, Lacks
from modules.families.unet.base import CONV_IN, IMAGE_CHANNELS, UnetFamily
from modules.families.unet.reading import Reading
from modules.hooks import hookimpl
from modules.sampling.prediction import ALIGNED_SDXL

CLIP = Reading("text_encoder", skip=2, normed=False, first=True)
OPEN_CLIP = Reading("text_encoder_2", pad=0, skip=2, normed=False, pooled=True)
DEEPEST_OF_REFINER = "unet.down_blocks.3.resnets.0.conv1.weight"  # the base has three levels


class Sdxl(UnetFamily):
    """SDXL of any width. Its U-Net is told the words as a whole and the picture's size.

    The refiner is told a score people would give, and has the second text encoder only.
    """

    name = "sdxl"
    defaults = Defaults(native_size=1024)
    latent = LatentFormat(
        channels=4,
        factor=8,
        scale=0.13025,
        shift=0.0,
        # The factors of ComfyUI's previews (2023), fitted on SDXL's latents.
        rgb=(
            (0.3651, 0.4232, 0.4341),
            (-0.2533, -0.0042, 0.1068),
            (0.1076, 0.1111, -0.0362),
            (-0.3165, -0.2492, -0.2188),
        ),
        bias=(0.1084, -0.0175, -0.0011),
    )
    # Its first level has no attention, which tells it from SD 2 made for variations of a picture ("unCLIP").
    signs = (
        Has(CONV_IN, (None, IMAGE_CHANNELS, 3, 3)),
        Has("unet.add_embedding.linear_1.weight", (None, None)),
        Has("unet.down_blocks.*.attentions.0.proj_in.weight", (None, None)),
        Lacks("unet.down_blocks.0.attentions.*"),
        Lacks("*edm_mean"),  # Playground 2.5: other noise levels and latents
    )
    example_vae = "sdxl_vae.safetensors"
    silent = True
    aligned = ALIGNED_SDXL

    def readings(self, header: Header) -> tuple[Reading, ...]:
        """Return both text encoders, or the refiner's one, read at the last layer but one, as it is."""
        return (OPEN_CLIP,) if DEEPEST_OF_REFINER in header.entries else (CLIP, OPEN_CLIP)


@hookimpl
def families() -> Sequence[Family]:
    """Offer Stable Diffusion XL."""
    return [Sdxl()]
