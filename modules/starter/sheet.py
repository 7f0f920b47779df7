"""The sheet of sample pictures in the model's README: `python -m modules.starter.sheet`."""

from __future__ import annotations

import argparse
import textwrap
from pathlib import Path
from typing import Final

import torch
from PIL import Image, ImageDraw, ImageFont

from modules.starter.generate import Starter, generate
from modules.starter.train import FOLDER

PROMPTS: Final = (
    "a red circle on a blue background",
    "a yellow star on a purple background",
    "a pink heart on a white background",
    "a white house on a green background",
    "an orange cat on a gray background",
    "a green tree on a pink background",
    "a purple flower on a yellow background",
    "a yellow moon on a black background",
    "a red mushroom on a green background",
    "a blue boat on an orange background",
    "an orange fish on a blue background",
    "a large black ring on a yellow background",
    "a small green square on a white background",
    "a brown triangle on a pink background",
    "a red house next to a green tree on a white background",
    "a yellow star above a blue boat on a gray background",
    "a white cat to the left of a pink fish on a blue background",
    "a purple mushroom on a white background, outline",
    "a red boat on a yellow background, sketch",
    "a yellow house on a blue background at night",
    "a white moon above an orange tree on a purple background at night",
)
_CELL, _WORDS, _ACROSS = 128, 34, 7


def sheet(model: Starter, seed: int) -> Image.Image:
    """One picture per prompt, each with its prompt below, seeds counting up from `seed`."""
    pictures = generate(model, PROMPTS, range(seed, seed + len(PROMPTS)))
    rows = -(-len(PROMPTS) // _ACROSS)
    page = Image.new("RGB", (_ACROSS * (_CELL + 8) + 8, rows * (_CELL + _WORDS + 8) + 8), "white")
    pen, font = ImageDraw.Draw(page), ImageFont.load_default(10)
    for i, (prompt, picture) in enumerate(zip(PROMPTS, pictures, strict=True)):
        x, y = 8 + i % _ACROSS * (_CELL + 8), 8 + i // _ACROSS * (_CELL + _WORDS + 8)
        page.paste(Image.fromarray(picture.permute(1, 2, 0).numpy()), (x, y))
        pen.multiline_text((x + 1, y + _CELL + 3), textwrap.fill(prompt, 27), (60, 60, 66), font, spacing=1)
    return page


def main() -> None:
    """Reads the command line and writes the sheet."""
    parser = argparse.ArgumentParser(description="Draw the starter's sample sheet.")
    parser.add_argument("--model", type=Path, default=FOLDER)
    parser.add_argument("--out", type=Path, default=FOLDER / "samples.png")
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    torch.set_float32_matmul_precision("medium")
    sheet(Starter.load(asked.model, torch.device("cpu")), asked.seed).save(asked.out, optimize=True)


if __name__ == "__main__":
    main()
