"""The image encoders that some controls see pictures with: found by what is in a file, whatever it is called."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import MappingProxyType

from modules.controls.control import Sight
from modules.controls.vision.layout import PART, standard
from modules.errors import ModelError, UnknownModel
from modules.families.family import Header
from modules.model_manager.header import CONFIG, NAMES, PICKLED_NAMES, read_header

HOME = "clip_vision"
# Where ComfyUI, people who have them from their authors, and Forge keep them; the last one holds other things as well.
FOLDERS = (HOME, "image_encoder")
MIXED, MARKS = "controlnetpreprocessor", ("clip", "image_encoder")
BESIDE = Path("extensions/sd-webui-controlnet/annotator/downloads/clip_vision")  # in the folder of A1111
SUFFIXES = (".safetensors", ".bin", ".pth", ".pt")
FOLDER_FILES = frozenset({*(f"{name}.safetensors" for name in NAMES), *(f"{name}.bin" for name in PICKLED_NAMES)})
# By the width of what they say: what they are called, and what sd-webui-controlnet calls the file.
KNOWN = MappingProxyType(
    {
        Sight(whole=1024): ("CLIP ViT-H/14", "clip_h.pth"),
        Sight(parts=1280): ("CLIP ViT-H/14", "clip_h.pth"),
        Sight(whole=1280): ("CLIP ViT-bigG/14", "clip_g.pth"),
        Sight(parts=1664): ("CLIP ViT-bigG/14", "clip_g.pth"),
        Sight(whole=768): ("CLIP ViT-L/14", "clip_vitl.pth"),
        Sight(parts=1024): ("CLIP ViT-L/14", "clip_vitl.pth"),
    }
)


def find_image_encoder(bases: Sequence[Path], sight: Sight, asks: str) -> Header:
    """Return the header of the first image encoder below the folders of models `bases` that has that sight.

    `asks` names the control that needs it. Raises `UnknownModel` saying what is missing and where to put it.
    """
    for path in _candidates(bases):
        try:
            header = standard(read_header(path))
        except (ModelError, OSError):  # something else, or not whole; whoever put it there sees it in its own place
            continue
        if header is None:
            continue
        config = header.configs[PART]
        if sight.whole in (0, config["projection_dim"]) and sight.parts in (0, config["hidden_size"]):
            return header
    width = sight.whole or sight.parts
    encoder, example = KNOWN.get(sight, (f"CLIP ({width})", "model.safetensors"))
    folder = str(bases[0] / HOME)
    raise UnknownModel("image_encoder_missing", name=asks, encoder=encoder, example=example, folder=folder)


def _candidates(bases: Sequence[Path]) -> Iterator[Path]:
    """Yield the files and folders that may be image encoders, by their names and places."""
    for base in bases:
        try:
            names = sorted(entry.name for entry in os.scandir(base))
        except OSError:  # absent, or not ours to read
            names = []
        for name in names:
            if name.lower() in (*FOLDERS, MIXED):
                yield from _below(base / name, name.lower() == MIXED)
        yield from _below(base.parent / BESIDE, mixed=False)


def _below(folder: Path, mixed: bool) -> Iterator[Path]:
    for place, folders, files in os.walk(folder):
        folders.sort()
        here = Path(place)
        inside = str(here.relative_to(folder)).lower()
        whole = CONFIG in files and not FOLDER_FILES.isdisjoint(files)
        if whole and (not mixed or any(mark in inside for mark in MARKS)):
            yield here
            continue
        for file in sorted(files):
            told = f"{inside}/{file.lower()}"
            if file.lower().endswith(SUFFIXES) and (not mixed or any(mark in told for mark in MARKS)):
                yield here / file
