"""A full-size SDXL from one float16 file makes one small picture in bf16: how much memory the process ever has.

Processors without instructions for bf16 take minutes for it.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

from modules.engine.threads import prepare_environment

prepare_environment()  # before torch

from modules.request import make_request  # noqa: E402
from tests.benchmarks._models import NAME, TEXT, UNET, VAE  # noqa: E402
from tests.benchmarks._random import write_random  # noqa: E402
from tests.benchmarks._table import Row, say, show  # noqa: E402
from tests.fake_models import checkpoints, engine_on  # noqa: E402
from tests.fakes import RecordingReport  # noqa: E402

MOST = 20.0  # GiB

SDXL_UNET = {
    **UNET,
    "sample_size": 128,
    "block_out_channels": [320, 640, 1280],
    "cross_attention_dim": 2048,
    "attention_head_dim": [5, 10, 20],
    "transformer_layers_per_block": [1, 2, 10],
    "use_linear_projection": True,
    "addition_embed_type": "text_time",
    "addition_time_embed_dim": 256,
    "projection_class_embeddings_input_dim": 2816,
    "down_block_types": ["DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"],
    "up_block_types": ["CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"],
}
TEXT_2 = {
    **TEXT,
    "hidden_size": 1280,
    "intermediate_size": 5120,
    "projection_dim": 1280,
    "num_hidden_layers": 32,
    "num_attention_heads": 20,
    "hidden_act": "gelu",
}


def status(name: str) -> float:
    """Return a figure of this process in GiB: "VmHWM", the most it ever had, or "RssAnon", its own memory."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) / 2**20 for line in lines if line.startswith(name))


def picture(root: Path) -> None:
    engine = engine_on(root, dtype="bf16", preview_every=0)
    began = time.perf_counter()
    with engine.models.borrow(engine.catalog.find(f"{NAME}.safetensors")):
        loaded = time.perf_counter() - began
    asked = {"model": NAME, "prompt": "a", "seed": 1, "sampler": "Euler", "steps": 1, "cfg_scale": 1}
    request = make_request({**asked, "width": 64, "height": 64})
    ((made, _),) = engine.generate(request, RecordingReport(), lambda picture: picture)
    took = time.perf_counter() - began
    say(f"Loaded in {loaded:.1f} s, {made.image.size} after {took:.1f} s, own memory {status('RssAnon'):.1f} GiB")
    (told,) = engine.resident()
    show(
        f"SDXL in bf16: {told.size / 2**30:.1f} GiB of weights, one picture of 64×64",
        [Row("the most memory the process ever had ÷ allowed", status("VmHWM"), MOST, 1.0)],
        "GiB",
        ("Easel", "allowed"),
    )


def main() -> None:
    if len(sys.argv) == 2:
        picture(Path(sys.argv[1]))
        return
    with tempfile.TemporaryDirectory(prefix="easel-benchmark-") as place:
        write_random(checkpoints(Path(place)) / f"{NAME}.safetensors", SDXL_UNET, VAE, TEXT, TEXT_2)
        subprocess.run([sys.executable, "-m", "tests.benchmarks.sdxl", place], check=True)


if __name__ == "__main__":
    main()
