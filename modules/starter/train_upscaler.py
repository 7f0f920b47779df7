"""Trains the upscaler that ships with Easel: `python -m modules.starter.train_upscaler --work DIR [--seed 0]`.

Killed and started again with the same arguments, it goes on from its last checkpoint. At the end it is measured against
PIL's bicubic filter on scenes it never saw; `--steps 0` only measures the file.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from PIL import Image
from rich.console import Console
from rich.table import Table
from spandrel import ModelLoader
from spandrel.architectures.Compact import Compact

from modules.starter.autoencoder import pixels
from modules.starter.evaluate import unseen
from modules.starter.generate import Starter
from modules.starter.scenes import draw
from modules.starter.train import FOLDER as STARTER
from modules.starter.upscaler import (
    REDUCTIONS,
    autoencoded,
    decibels,
    enlarged,
    export,
    lessons,
    reduced,
    stretched,
    train,
)

FILE = Path(__file__).parents[2] / "models" / "ESRGAN" / "starter-2x.safetensors"


def measured(network: Compact, starter: Starter, count: int) -> Table:
    """PSNR of bicubic stretching and of the network on `count` unseen scenes, for every way of being given one."""
    pictures = [draw(scene) for scene in unseen(count)]
    table = Table("given", "pictures", "PIL bicubic", "starter-2x", "gain")
    copies = [Image.fromarray(copy.movedim(0, -1).numpy()) for copy in autoencoded(starter.vae, pixels(pictures))]
    for words, given in (("", pictures), (", autoencoded before", copies)):
        for name, how in REDUCTIONS.items():
            small = [reduced(picture, how) for picture in given]
            plain = decibels(stretched(small), pixels(pictures))
            found = decibels(enlarged(network, pixels(small)), pixels(pictures))
            row = (f"{plain:.2f} dB", f"{found:.2f} dB", f"{found - plain:+.2f} dB")
            table.add_row(f"reduced ({name}){words}", str(count), *row)
    return table


def main() -> None:
    """Reads the command line, trains what is not trained yet, and measures."""
    parser = argparse.ArgumentParser(description="Train the upscaler.")
    parser.add_argument("--work", type=Path, required=True, help="folder for checkpoints and reduced drawings")
    parser.add_argument("--out", type=Path, default=FILE, help="the file to write")
    parser.add_argument("--model", type=Path, default=STARTER, help="the starter model")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--steps", type=int, default=3200)
    parser.add_argument("--drawings", type=int, default=1200, help="drawings it learns from")
    parser.add_argument("--unseen", type=int, default=120, help="scenes to measure on")
    asked = parser.parse_args()
    torch.set_float32_matmul_precision("medium")
    device = torch.device(asked.device)
    starter = Starter.load(asked.model, device)
    if asked.steps:
        given = lessons(asked.work, asked.seed, starter.vae, asked.drawings)
        train(
            asked.work, asked.seed, device, given, asked.steps,
            milestone=lambda network, _step: export(asked.out, network),
        )  # fmt: skip
    written = ModelLoader(device).load_from_file(asked.out).model.float().eval()
    Console().print(measured(written, starter, asked.unseen))


if __name__ == "__main__":
    main()
