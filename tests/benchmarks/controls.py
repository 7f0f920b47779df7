"""A ControlNet beside the engine ÷ beside diffusers' pipeline: the same picture, weights, dtype, steps and threads."""

from __future__ import annotations

import subprocess
import sys
from functools import partial
from pathlib import Path

from modules.engine.threads import prepare_environment

prepare_environment()  # before torch

import numpy as np  # noqa: E402
import torch  # noqa: E402
from diffusers import ControlNetModel, StableDiffusionControlNetPipeline  # noqa: E402
from diffusers.utils.logging import disable_progress_bar  # noqa: E402
from PIL import Image  # noqa: E402
from transformers.utils.logging import disable_progress_bar as disable_loading_bar  # noqa: E402

from modules.images.inputs import Inputs  # noqa: E402
from modules.request import make_request  # noqa: E402
from tests.benchmarks._models import NAME, UNET, full_size  # noqa: E402
from tests.benchmarks._table import Row, in_turns, say, show  # noqa: E402
from tests.benchmarks.pipeline import CFG, PROMPT, peak  # noqa: E402
from tests.fake_controls import controls_folder  # noqa: E402
from tests.fake_models import checkpoints, engine_on, write_part  # noqa: E402
from tests.fakes import RecordingReport  # noqa: E402

SIZE = 256
STEPS = 2
MOST_SECONDS, MOST_MEMORY = 1.0, 1.05
ROUNDS = 2
CONTROL = "full-size-control"
# What a ControlNet's config holds of its U-Net's.
COPIED = ("in_channels", "block_out_channels", "layers_per_block", "cross_attention_dim", "attention_head_dim")


def hint() -> Image.Image:
    """Return a picture of white edges on black."""
    pixels = np.zeros((SIZE, SIZE, 3), np.uint8)
    pixels[64:192, (64, 191)] = pixels[(64, 191), 64:192] = 255
    return Image.fromarray(pixels)


def write_control(root: Path) -> None:
    """Write a full-size ControlNet with random weights as a folder; 0.7 GB."""
    torch.manual_seed(0)
    network = ControlNetModel(**{name: UNET[name] for name in COPIED})
    config = {**dict(network.config), "_class_name": "ControlNetModel", "_diffusers_version": "0.30.0"}
    config.pop("_use_default_values", None)
    write_part(controls_folder(root) / CONTROL, config, "diffusion_pytorch_model", network, torch.float16)


class Ours:
    """The engine."""

    def __init__(self, root: Path, dtype: str) -> None:
        self.engine = engine_on(root, dtype=dtype)
        self.picture = Inputs(root / ".easel" / "inputs").keep(hint())

    def __call__(self) -> None:
        asked = {"prompt": PROMPT, "model": NAME, "sampler": "Euler", "schedule": "Uniform", "steps": STEPS, "seed": 1}
        unit = {"image": self.picture, "model": CONTROL}
        request = make_request({**asked, "cfg_scale": CFG, "width": SIZE, "height": SIZE, "controls": [unit]})
        for _ in self.engine.generate(request, RecordingReport(), lambda picture: picture):
            pass


class Theirs:
    """The pipeline with its default settings."""

    def __init__(self, root: Path, dtype: str) -> None:
        disable_progress_bar()
        disable_loading_bar()  # type: ignore[no-untyped-call]
        kind = {"bf16": torch.bfloat16, "fp32": torch.float32}[dtype]
        network = ControlNetModel.from_pretrained(controls_folder(root) / CONTROL, dtype=kind)
        self.pipeline = StableDiffusionControlNetPipeline.from_pretrained(
            checkpoints(root) / NAME, controlnet=network, dtype=kind
        )
        self.pipeline.set_progress_bar_config(disable=True)

    def __call__(self) -> None:
        self.pipeline(
            PROMPT,
            image=hint(),
            height=SIZE,
            width=SIZE,
            num_inference_steps=STEPS,
            guidance_scale=CFG,
            generator=torch.Generator().manual_seed(1),
        )


def peak_of(side: str, root: Path, dtype: str) -> float:
    """Make one picture in a process of its own and return its peak of memory in GiB."""
    command = [sys.executable, "-m", "tests.benchmarks.controls", side, str(root), dtype]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()[-1])


def main() -> None:
    with full_size() as root:
        write_control(root)
        engine = Ours(root, "auto")
        engine()
        with engine.engine.models.borrow(engine.engine.catalog.find(NAME)) as model:
            dtype = {torch.bfloat16: "bf16", torch.float32: "fp32"}[model.dtype]
        pipeline = Theirs(root, dtype)
        ours, theirs, work = in_turns(partial(engine), partial(pipeline), ROUNDS)
        row = Row(f"{SIZE}×{SIZE} (processor time {work:.3f})", ours, theirs, MOST_SECONDS)
        title = f"Full size with a ControlNet in {dtype}, {STEPS} steps"
        show(f"{title}: Easel ÷ diffusers' pipeline", [row], "s", ("Easel", "diffusers"))
        del engine, pipeline, model
        row = Row(f"{SIZE}×{SIZE}", peak_of("ours", root, dtype), peak_of("theirs", root, dtype), MOST_MEMORY)
        show(f"{title}: peak of memory", [row], "GiB", ("Easel", "diffusers"))


if __name__ == "__main__":
    if len(sys.argv) == 4:
        side, place, dtype = sys.argv[1:]
        make = Ours(Path(place), dtype) if side == "ours" else Theirs(Path(place), dtype)
        make()
        say(str(peak()))
    else:
        main()
