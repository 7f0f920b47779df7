"""Stable Diffusion 1 (Rombach et al. 2022): one CLIP text encoder, a U-Net on 4-channel latents."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from modules.families.family import Defaults, Family, Header, LatentFormat, Model
from modules.hooks import hookimpl

if TYPE_CHECKING:
    import torch


class Sd1:
    """Stable Diffusion 1.x and what is built like it, of any width, in a diffusers folder."""

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

    def detect(self, header: Header) -> bool:
        """Tell SD 1 from SD 2 and XL: one text encoder, and projections into attention that are convolutions."""
        first = header.entries.get("unet.conv_in.weight")
        if first is None or first.shape[1:] != (4, 3, 3):
            return False
        if "text_encoder_2" in header.configs or "text_encoder" not in header.configs:
            return False
        projections = (entry for key, entry in header.entries.items() if key.endswith(".attentions.0.proj_in.weight"))
        projection = next(projections, None)
        return projection is not None and len(projection.shape) == 4

    def native_size(self, header: Header) -> int:
        """Return what the folder says: `easel.json`, else the U-Net's latent side, else 512."""
        stated = header.configs.get("easel", {}).get("native_size")
        if isinstance(stated, int):
            return stated
        side = header.configs.get("unet", {}).get("sample_size")
        return side * self.latent.factor if isinstance(side, int) else self.defaults.native_size

    def weights(self, header: Header) -> Path:
        """Return the U-Net's file."""
        return header.entries["unet.conv_in.weight"].file

    def load(self, header: Header, device: torch.device, dtype: torch.dtype) -> Model:
        """Load U-Net, autoencoder and text encoder; raise `BrokenFile` when something is missing from them."""
        # torch and diffusers are needed from here on only: the web process asks the questions above without them.
        from modules.families.unet.model import load_folder

        return load_folder(self, header, device, dtype)


@hookimpl
def families() -> Sequence[Family]:
    """Offer Stable Diffusion 1."""
    return [Sd1()]
