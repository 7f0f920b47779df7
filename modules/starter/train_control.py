"""Trains the starter's canny ControlNet: `python -m modules.starter.train_control --work DIR [--seed 0]`.

Killed and started again with the same arguments, it goes on from its last checkpoint. The rate stays level until the
last quarter of the steps, so another `--steps` may be given on the way.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from rich.console import Console

from modules.starter import control
from modules.starter.export import export_control
from modules.starter.generate import Starter
from modules.starter.train import FOLDER as STARTER

FOLDER = Path(__file__).parents[2] / "models" / "ControlNet" / "starter-canny"


def main() -> None:
    """Reads the command line and trains what is not trained yet."""
    parser = argparse.ArgumentParser(description="Train the starter's canny ControlNet.")
    parser.add_argument("--work", type=Path, required=True, help="folder for checkpoints and cached latents")
    parser.add_argument("--out", type=Path, default=FOLDER, help="the folder to write")
    parser.add_argument("--model", type=Path, default=STARTER, help="the starter model")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--drawings", type=int, default=2400, help="drawings whose edges it learns from")
    parser.add_argument("--milestone", type=int, default=200, help="steps between two exports")
    asked = parser.parse_args()
    torch.set_float32_matmul_precision("medium")
    starter = Starter.load(asked.model, torch.device(asked.device))
    given = control.lessons(asked.work, asked.seed, starter.vae, asked.drawings)

    def milestone(learner: control.Learner, step: int) -> None:
        if step % asked.milestone == 0 or step == asked.steps:
            export_control(asked.out, learner.averaged())

    control.train(asked.work, asked.seed, starter, given, asked.steps, milestone=milestone)
    Console().print(f"written to {asked.out}; measure it with: python -m modules.starter.evaluate_control")


if __name__ == "__main__":
    main()
