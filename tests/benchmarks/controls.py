"""A step with a ControlNet beside the engine ÷ beside diffusers' pipeline, for SD 1.5 and SDXL at full size.

The same weights, dtype, size and threads, each side in a process of its own, one after the other: two of SDXL in
float32 have no room beside each other. What is timed is one whole step, from the end of the first to the end of the
second. The weights are random; SDXL's second text encoder has two of its 32 layers, which no step needs. Names of
models as arguments leave out the others.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from types import MappingProxyType
from typing import Any

from modules.engine.threads import prepare_environment

prepare_environment()  # before torch

import numpy as np  # noqa: E402
import torch  # noqa: E402
from diffusers import (  # noqa: E402
    ControlNetModel,
    StableDiffusionControlNetPipeline,
    StableDiffusionXLControlNetPipeline,
)
from diffusers.utils.logging import disable_progress_bar  # noqa: E402
from PIL import Image  # noqa: E402
from transformers.utils.logging import disable_progress_bar as disable_loading_bar  # noqa: E402

from modules.events import Event, Step  # noqa: E402
from modules.images.inputs import Inputs  # noqa: E402
from modules.request import make_request  # noqa: E402
from tests.benchmarks._models import TEXT, UNET, VAE  # noqa: E402
from tests.benchmarks._random import write_random_folder, write_random_part  # noqa: E402
from tests.benchmarks._table import Row, say, show  # noqa: E402
from tests.benchmarks.pipeline import CFG, PROMPT, peak  # noqa: E402
from tests.benchmarks.sdxl import SDXL_UNET, TEXT_2  # noqa: E402
from tests.fake_controls import controls_folder  # noqa: E402
from tests.fake_models import checkpoints, engine_on  # noqa: E402
from tests.fakes import RecordingReport  # noqa: E402

SIZE = 256
STEPS = 2  # the first warms caches
MOST_SECONDS, MOST_MEMORY = 1.0, 1.05
DTYPE, KIND = "fp32", torch.float32
# What a ControlNet's config holds of its U-Net's.
COPIED = (
    *("in_channels", "down_block_types", "block_out_channels", "layers_per_block", "cross_attention_dim"),
    *("attention_head_dim", "transformer_layers_per_block", "use_linear_projection", "addition_embed_type"),
    *("addition_time_embed_dim", "projection_class_embeddings_input_dim"),
)


@dataclass(frozen=True)
class Full:
    """A full-size checkpoint, and the pipeline that has a ControlNet for it."""

    unet: Mapping[str, Any]
    text_2: Mapping[str, Any] | None
    pipeline: Any


MODELS = MappingProxyType(
    {
        "SD 1.5": Full(UNET, None, StableDiffusionControlNetPipeline),
        "SDXL": Full(SDXL_UNET, {**TEXT_2, "num_hidden_layers": 2}, StableDiffusionXLControlNetPipeline),
    }
)


@dataclass(frozen=True)
class Figures:
    """The seconds and processor seconds of a step, and the most GiB that the process held."""

    wall: float
    work: float
    memory: float


class Clock:
    """Notes when steps end."""

    def __init__(self) -> None:
        self._ends: list[tuple[float, float]] = []

    def note(self) -> None:
        self._ends.append((time.perf_counter(), time.process_time()))

    def figures(self) -> Figures:
        steps = list(pairwise(self._ends))
        wall, work = (min(last[place] - first[place] for first, last in steps) for place in range(2))
        return Figures(wall, work, peak())


class TimedReport(RecordingReport):
    """Notes the steps it is told of."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self._clock = clock

    def tell(self, event: Event) -> None:
        if isinstance(event, Step):
            self._clock.note()


def hint() -> Image.Image:
    """Return a picture of white edges on black."""
    pixels = np.zeros((SIZE, SIZE, 3), np.uint8)
    pixels[64:192, (64, 191)] = pixels[(64, 191), 64:192] = 255
    return Image.fromarray(pixels)


def write(name: str, root: Path) -> None:
    """Write a checkpoint and its ControlNet, float16: 2.8 GB of SD 1.5, 8 GB of SDXL."""
    full = MODELS[name]
    write_random_folder(checkpoints(root) / name, full.unet, VAE, TEXT, full.text_2)
    config = {key: full.unet[key] for key in COPIED if key in full.unet}
    with torch.device("meta"):
        network = ControlNetModel(**config)
    told = {**config, "_class_name": "ControlNetModel", "_diffusers_version": "0.30.0"}
    write_random_part(controls_folder(root) / f"{name}-control", told, "diffusion_pytorch_model", network)


def ours(name: str, root: Path) -> Figures:
    """Make a picture with the engine."""
    engine = engine_on(root, dtype=DTYPE)
    picture = Inputs(root / ".easel" / "inputs").keep(hint())
    asked = {"prompt": PROMPT, "model": name, "sampler": "Euler", "schedule": "Uniform", "steps": STEPS, "seed": 1}
    unit = {"image": picture, "model": f"{name}-control"}
    request = make_request({**asked, "cfg_scale": CFG, "width": SIZE, "height": SIZE, "controls": [unit]})
    clock = Clock()
    for _ in engine.generate(request, TimedReport(clock), lambda picture: picture):
        pass
    return clock.figures()


def theirs(name: str, root: Path) -> Figures:
    """Make a picture with diffusers' pipeline and its default settings."""
    disable_progress_bar()
    disable_loading_bar()  # type: ignore[no-untyped-call]
    network = ControlNetModel.from_pretrained(controls_folder(root) / f"{name}-control", dtype=KIND)
    pipeline = MODELS[name].pipeline.from_pretrained(checkpoints(root) / name, controlnet=network, dtype=KIND)
    pipeline.set_progress_bar_config(disable=True)
    clock = Clock()

    def ended(pipeline: object, step: int, at: object, given: dict[str, Any]) -> dict[str, Any]:
        clock.note()
        return given

    pipeline(
        PROMPT,
        image=hint(),
        height=SIZE,
        width=SIZE,
        num_inference_steps=STEPS,
        guidance_scale=CFG,
        generator=torch.Generator().manual_seed(1),
        callback_on_step_end=ended,
    )
    return clock.figures()


def asked_apart(side: str, name: str, root: Path) -> Figures:
    """Ask one side in a process of its own."""
    command = [sys.executable, "-m", "tests.benchmarks.controls", side, name, str(root)]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()[-3:]
    return Figures(*map(float, said))


def main(names: Sequence[str]) -> None:
    for name in names or MODELS:
        with tempfile.TemporaryDirectory(prefix="easel-benchmark-") as place:
            write(name, Path(place))
            us, them = (asked_apart(side, name, Path(place)) for side in ("ours", "theirs"))
        step = Row(f"processor time {us.work / them.work:.3f}", us.wall, them.wall, MOST_SECONDS)
        title = f"Full-size {name} with a ControlNet in {DTYPE}, {SIZE}×{SIZE}"
        show(f"{title}: a step, Easel ÷ diffusers' pipeline", [step], "s", ("Easel", "diffusers"))
        held = Row("at most in the process", us.memory, them.memory, MOST_MEMORY)
        show(f"{title}: memory", [held], "GiB", ("Easel", "diffusers"))


if __name__ == "__main__":
    if len(sys.argv) == 4 and sys.argv[1] in ("ours", "theirs"):
        made = {"ours": ours, "theirs": theirs}[sys.argv[1]](sys.argv[2], Path(sys.argv[3]))
        say(f"{made.wall} {made.work} {made.memory}")
    else:
        main(sys.argv[1:])
