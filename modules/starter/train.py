"""Trains the starter model from nothing: `python -m modules.starter.train --work DIR [--seed 0]`.

Autoencoder, text encoder, U-Net, one after the other. Killed and started again with the same arguments, it goes on
from its last checkpoint. The model folder is rewritten at every milestone with the averaged weights.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from rich.console import Console

from modules.starter import autoencoder, text, unet
from modules.starter.export import export, latent_rgb
from modules.starter.scenes import draw

FOLDER = Path(__file__).parents[2] / "models" / "Stable-diffusion" / "starter"


def main() -> None:
    """Reads the command line and trains what is not trained yet."""
    parser = argparse.ArgumentParser(description="Train the starter model.")
    parser.add_argument("--work", type=Path, required=True, help="folder for checkpoints and cached latents")
    parser.add_argument("--out", type=Path, default=FOLDER, help="the model folder to write")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--autoencoder-steps", type=int, default=4500)
    parser.add_argument("--text-steps", type=int, default=600)
    parser.add_argument("--unet-steps", type=int, default=4600)
    parser.add_argument("--drawings", type=int, default=9000, help="drawings whose latents the U-Net learns from")
    parser.add_argument("--milestone", type=int, default=500, help="steps between two exports")
    asked = parser.parse_args()
    torch.set_float32_matmul_precision("medium")
    device = torch.device(asked.device)
    console = Console()
    work: Path = asked.work

    vae = autoencoder.train(work, asked.seed, device, asked.autoencoder_steps)
    found = autoencoder.psnr(vae, autoencoder.drawings(99, 200))
    console.print(f"autoencoder: {found:.2f} dB PSNR on 200 unseen whole pictures")
    encoder = text.train(work, asked.seed, device, asked.text_steps)
    cache = unet.cached(work, asked.seed, device, vae, asked.drawings)
    preview = latent_rgb(cache, autoencoder.pixels([draw(scene) for scene in cache.scenes[:200]]))

    def milestone(learner: unet.Learner, step: int) -> None:
        if step % asked.milestone == 0 or step == asked.unet_steps:
            export(asked.out, learner.averaged(), encoder, vae, cache.scale, preview)

    unet.train(work, asked.seed, device, cache, encoder, asked.unet_steps, milestone=milestone)
    console.print(f"written to {asked.out}; measure it with: python -m modules.starter.evaluate")


if __name__ == "__main__":
    main()
