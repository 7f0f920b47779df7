"""The engine ÷ diffusers' own StableDiffusionPipeline: the same picture, weights, dtype, steps and threads.

Sizes in pixels as arguments leave out the others.
"""

from __future__ import annotations

import platform
import subprocess
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from modules.engine.threads import prepare_environment

prepare_environment()  # before torch

import torch  # noqa: E402
from diffusers import StableDiffusionPipeline  # noqa: E402
from diffusers.utils.logging import disable_progress_bar  # noqa: E402
from transformers.utils.logging import disable_progress_bar as disable_loading_bar  # noqa: E402

from modules.request import make_request  # noqa: E402
from tests.benchmarks._models import NAME, full_size  # noqa: E402
from tests.benchmarks._table import Row, in_turns, say, show  # noqa: E402
from tests.fake_models import checkpoints, engine_on  # noqa: E402
from tests.fakes import RecordingReport  # noqa: E402

PROMPT = "a red circle on a blue background"
CFG = 7.0
STEPS = 3
MOST_SECONDS = {256: 0.95, 512: 0.85}
MOST_MEMORY = 1.05
ROUNDS = 3


class Ours:
    """The engine."""

    def __init__(self, root: Path, dtype: str) -> None:
        self.engine = engine_on(root, dtype=dtype)

    def __call__(self, side: int) -> None:
        request = make_request(
            {
                "prompt": PROMPT,
                "model": NAME,
                "sampler": "Euler",
                "schedule": "Uniform",
                "steps": STEPS,
                "cfg_scale": CFG,
                "seed": 1,
                "width": side,
                "height": side,
            }
        )
        for _ in self.engine.generate(request, RecordingReport(), lambda picture: picture):
            pass


class Theirs:
    """The pipeline with its default settings."""

    def __init__(self, root: Path, dtype: str) -> None:
        disable_progress_bar()
        disable_loading_bar()  # type: ignore[no-untyped-call]
        kind = {"bf16": torch.bfloat16, "fp32": torch.float32}[dtype]
        self.pipeline = StableDiffusionPipeline.from_pretrained(checkpoints(root) / NAME, dtype=kind)
        self.pipeline.set_progress_bar_config(disable=True)

    def __call__(self, side: int) -> None:
        self.pipeline(
            PROMPT,
            height=side,
            width=side,
            num_inference_steps=STEPS,
            guidance_scale=CFG,
            generator=torch.Generator().manual_seed(1),
        )


def peak() -> float:
    """Return the most memory this process ever held, in GiB."""
    if platform.system() == "Linux":
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
        kilobytes = int(next(line for line in lines if line.startswith("VmHWM")).split()[1])
        return kilobytes / 2**20
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**30


def peak_of(side: str, root: Path, dtype: str, size: int) -> float:
    """Make one picture in a process of its own and return its peak of memory in GiB."""
    command = [sys.executable, "-m", "tests.benchmarks.pipeline", side, str(root), dtype, str(size)]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()[-1])


def main(sizes: Sequence[int]) -> None:
    names = ("Easel", "diffusers")
    with full_size() as root:
        engine = Ours(root, "auto")
        engine(256)
        with engine.engine.models.borrow(engine.engine.catalog.find(NAME)) as model:
            dtype = {torch.bfloat16: "bf16", torch.float32: "fp32"}[model.dtype]
        pipeline = Theirs(root, dtype)
        for size in sizes:
            ours, theirs, work = in_turns(partial(engine, size), partial(pipeline, size), ROUNDS)
            row = Row(f"{size}×{size} (processor time {work:.3f})", ours, theirs, MOST_SECONDS[size])
            show(f"Full size in {dtype}, {STEPS} steps: Easel ÷ diffusers' pipeline", [row], "s", names)
        del engine, pipeline, model
        for size in sizes:
            ours, theirs = (peak_of(side, root, dtype, size) for side in ("ours", "theirs"))
            row = Row(f"{size}×{size}", ours, theirs, MOST_MEMORY)
            show(f"Full size in {dtype}: peak of memory", [row], "GiB", names)


if __name__ == "__main__":
    if len(sys.argv) == 5:
        side, place, dtype, size = sys.argv[1:]
        make = Ours(Path(place), dtype) if side == "ours" else Theirs(Path(place), dtype)
        make(int(size))
        say(str(peak()))
    else:
        main([int(size) for size in sys.argv[1:]] or [*MOST_SECONDS])
