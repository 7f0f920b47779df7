"""What the U-Net families share before anything is loaded: torch is not imported here."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from modules.families.family import Defaults, Header, LatentFormat, Model
from modules.families.signs import Sign
from modules.families.unet.distilled import few_steps
from modules.families.unet.objective import stated_kind
from modules.families.unet.reading import Reading
from modules.prompts.vocabulary import ClipTokenizer
from modules.sampling.prediction import ALIGNED_SD1

if TYPE_CHECKING:
    import torch

CONV_IN = "unet.conv_in.weight"
IMAGE_CHANNELS = (4, 8, 9)  # latents alone; with a picture to follow instructions on; with a mask and what is around it


class UnetFamily(ABC):
    """A family of CLIP text encoders and a U-Net: a subclass says what is its own as data.

    `signs` are what a header must show. `silent`: an empty negative prompt is read as zeros. `example_vae`: a file a
    person may look for when a checkpoint has no autoencoder.
    """

    name: str
    latent: LatentFormat
    defaults: Defaults
    signs: tuple[Sign, ...]
    example_vae: str
    silent = False
    aligned: tuple[float, ...] = ALIGNED_SD1

    @cached_property
    def tokenizer(self) -> ClipTokenizer:
        """What cuts prompts into tokens: one for all models of the family, made when the first is loaded."""
        return ClipTokenizer()

    @abstractmethod
    def readings(self, header: Header) -> tuple[Reading, ...]:
        """Return the text encoders a checkpoint must have, and how words are read with each."""

    def asks_network(self, header: Header) -> bool:
        """Return whether only the network itself can tell if it says noise or velocity."""
        return False

    def velocity_size(self) -> int:
        """Return the native size in pixels of a checkpoint that says velocity."""
        return self.defaults.native_size

    def detect(self, header: Header) -> bool:
        """Return whether the header shows every sign of the family."""
        return all(sign.holds(header) for sign in self.signs)

    def native_size(self, header: Header, velocity: bool = False) -> int:
        """Return the side in pixels a checkpoint was trained on.

        What it states goes first: `easel.json`, the U-Net's latent side, the resolution in the metadata.
        """
        stated = header.configs.get("easel", {}).get("native_size")
        if isinstance(stated, int):
            return stated
        side = header.configs.get("unet", {}).get("sample_size")
        if isinstance(side, int):
            return side * self.latent.factor
        if resolution := re.fullmatch(r"\s*(\d{2,4})x\d{2,4}\s*", header.metadata.get("modelspec.resolution", "")):
            return int(resolution[1])
        says_velocity = velocity or stated_kind(header) == "v_prediction"
        return self.velocity_size() if says_velocity else self.defaults.native_size

    def defaults_for(self, header: Header) -> Defaults:
        """Return size, steps and guidance that suit the checkpoint: few steps for one that was distilled to them."""
        return replace(few_steps(header, self.defaults), native_size=self.native_size(header))

    def weights(self, header: Header) -> Path:
        """Return the U-Net's file."""
        return header.entries[CONV_IN].file

    def load(
        self,
        header: Header,
        device: torch.device,
        dtype: torch.dtype,
        vae: Header | None = None,
        home: torch.device | None = None,
    ) -> Model:
        """Load U-Net, autoencoder and text encoders; raise `BrokenFile` when something is missing from them."""
        # torch and diffusers are needed from here on only: the web process asks the questions above without them.
        from modules.families.unet.load import load_unet

        return load_unet(self, header, device, dtype, vae, home)
