"""The controls of A1111's page by their labels, as `ui-config.json` names them, and what they are in a form here."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType


@dataclass(frozen=True)
class Place:
    """The field of a form, and what A1111 says there where Easel says something else."""

    name: str
    said: Mapping[str, object] = field(default_factory=dict)


# A tab of A1111 -> the tabs here that do what it does.
TABS: Mapping[str, tuple[str, ...]] = MappingProxyType({"txt2img": ("txt2img",), "img2img": ("img2img", "inpaint")})
_BOTH: Mapping[str, Place] = MappingProxyType(
    {
        "prompt": Place("prompt"),
        "negative prompt": Place("negative_prompt"),
        "sampling steps": Place("steps"),
        "sampling method": Place("sampler"),
        "schedule type": Place("schedule"),
        "width": Place("width"),
        "height": Place("height"),
        "batch count": Place("batch_count"),
        "batch size": Place("batch_size"),
        "cfg scale": Place("cfg_scale"),
        "seed": Place("seed"),
        "variation seed": Place("variation/seed"),
        "variation strength": Place("variation/strength"),
        "resize seed from width": Place("variation/from_width"),
        "resize seed from height": Place("variation/from_height"),
    }
)
CONTROLS: Mapping[str, Mapping[str, Place]] = MappingProxyType(
    {
        "txt2img": {
            **_BOTH,
            "hires. fix": Place("hires_on"),
            "upscaler": Place("hires/upscaler"),
            "hires steps": Place("hires/steps"),
            "denoising strength": Place("hires/denoising_strength"),
            "upscale by": Place("hires/scale"),
            "resize width to": Place("hires/width"),
            "resize height to": Place("hires/height"),
            "hires sampling method": Place("hires/sampler"),
            "hires schedule type": Place("hires/schedule"),
        },
        "img2img": {
            **_BOTH,
            "denoising strength": Place("init/denoising_strength"),
            "scale": Place("scale_by"),
            "resize mode": Place(
                "init/resize_mode",
                {
                    "Just resize": "stretch",
                    "Crop and resize": "crop",
                    "Resize and fill": "fill",
                    "Just resize (latent upscale)": "latent",
                },
            ),
            "mask blur": Place("mask/blur"),
            "mask mode": Place("mask/invert", {"Inpaint masked": False, "Inpaint not masked": True}),
            "masked content": Place("mask/fill", {"latent noise": "noise", "latent nothing": "nothing"}),
            "inpaint area": Place("mask/area", {"Whole picture": "whole", "Only masked": "masked"}),
            "only masked padding, pixels": Place("mask/padding"),
        },
    }
)
