"""Loading a full-size Stable Diffusion 1.5 from one float16 file: seconds and memory, and what switching costs.

Each figure comes from processes of their own, in turns; the file is in the system's cache.
"""

from __future__ import annotations

import gc
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from modules.engine.threads import prepare_environment

prepare_environment()  # before torch

import torch  # noqa: E402
from diffusers import StableDiffusionPipeline  # noqa: E402
from safetensors import safe_open  # noqa: E402

from modules.engine.engine import Engine  # noqa: E402
from tests.benchmarks._models import NAME, STARTER, TEXT, UNET, VAE  # noqa: E402
from tests.benchmarks._random import write_random  # noqa: E402
from tests.benchmarks._table import Row, say, show  # noqa: E402
from tests.fake_models import INDEX, SCHEDULER, checkpoints, engine_on, write_json  # noqa: E402

ROUNDS = 5
READ, PRIVATE, OTHERS, BACK, GROWTH = 1.3, 1.1, 0.9, 0.02, 1.02
SWITCHES = 50
GIB = 2**30
DTYPE = torch.float32

# A fifth of the width: three of them are loaded fifty times in reasonable time.
SMALL_UNET = {**UNET, "block_out_channels": [64, 128, 256, 256], "cross_attention_dim": 256}
SMALL_VAE = {**VAE, "block_out_channels": [64, 64, 128, 128]}
SMALL_TEXT = {**TEXT, "hidden_size": 256, "intermediate_size": 1024, "num_attention_heads": 4, "num_hidden_layers": 6}


def private() -> int:
    """Return the bytes of this process's memory that are its own: not those of mapped files."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("RssAnon"):
            return int(line.split()[1]) * 1024
    raise RuntimeError("this system does not tell")


def measured(load: Callable[[], Any]) -> dict[str, float]:
    """Return seconds, and the peak of private memory beyond what was there before, in bytes."""
    gc.collect()
    before, peak, over = private(), [0], threading.Event()

    def watch() -> None:
        while not over.wait(0.002):
            peak[0] = max(peak[0], private())

    watcher = threading.Thread(target=watch)
    watcher.start()
    began = time.perf_counter()
    loaded = load()
    seconds = time.perf_counter() - began
    over.set()
    watcher.join()
    del loaded
    return {"seconds": seconds, "peak": max(peak[0], private()) - before}


def ours(root: Path) -> dict[str, float]:
    engine = engine_on(root, dtype="fp32")
    file = engine.catalog.find(NAME)
    torch.ones(1000, 1000) @ torch.ones(1000, 1000)  # libraries start their threads

    def load() -> Engine:
        with engine.models.borrow(file):
            return engine

    found = measured(load)
    began = time.perf_counter()
    load()
    return {**found, "back": time.perf_counter() - began, "size": engine.resident()[0].size}


def floor(root: Path) -> dict[str, float]:
    """Each tensor of the file read and cast, and nothing else."""
    torch.ones(1000, 1000) @ torch.ones(1000, 1000)

    def load() -> dict[str, torch.Tensor]:
        with safe_open(checkpoints(root) / f"{NAME}.safetensors", "pt") as file:
            return {key: file.get_tensor(key).to(DTYPE) for key in file.keys()}  # noqa: SIM118 - it is no dictionary

    return measured(load)


def theirs(root: Path) -> dict[str, float]:
    """diffusers' own loader, given all configs."""
    torch.ones(1000, 1000) @ torch.ones(1000, 1000)
    return measured(
        lambda: StableDiffusionPipeline.from_single_file(
            str(checkpoints(root) / f"{NAME}.safetensors"),
            config=str(root / "config"),
            local_files_only=True,
            torch_dtype=DTYPE,
            safety_checker=None,
        )
    )


def growth(root: Path) -> dict[str, float]:
    """Memory after three models, one at a time in memory, and after fifty switches among them."""
    engine = engine_on(root, dtype="fp32", models_in_memory=1)
    files = [engine.catalog.find(f"small-{number}") for number in range(3)]
    sizes = []
    for number in range(3 + SWITCHES):
        with engine.models.borrow(files[number % 3]):
            pass
        gc.collect()
        sizes.append(private())
    return {"after 3": sizes[2], "after all": sizes[-1]}


def write(root: Path) -> None:
    write_random(checkpoints(root) / f"{NAME}.safetensors", UNET, VAE, TEXT)
    for number in range(3):
        write_random(checkpoints(root) / f"small-{number}.safetensors", SMALL_UNET, SMALL_VAE, SMALL_TEXT)
    config = root / "config"
    for part, values in (("unet", UNET), ("vae", VAE), ("text_encoder", TEXT)):
        write_json(config / part / "config.json", values)
    write_json(config / "scheduler" / "scheduler_config.json", {**SCHEDULER, "steps_offset": 1})
    write_json(config / "model_index.json", INDEX)
    shutil.copytree(STARTER / "tokenizer", config / "tokenizer")


SIDES: dict[str, Callable[[Path], dict[str, float]]] = {
    "ours": ours,
    "floor": floor,
    "theirs": theirs,
    "growth": growth,
}


def run(side: str, root: Path) -> dict[str, float]:
    """Measure one side in a process of its own."""
    command = [sys.executable, "-m", "tests.benchmarks.loading", side, str(root)]
    quiet = {"HF_HUB_OFFLINE": "1", "DIFFUSERS_VERBOSITY": "error", "TQDM_DISABLE": "1"}
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, env={**os.environ, **quiet})
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def middle(rounds: list[dict[str, dict[str, float]]], other: str) -> tuple[float, float]:
    """Return the seconds of ours and of the `other` in the round whose ratio is the middle one of all.

    What a machine gives varies from minute to minute; both sides of one round had about the same of it.
    """
    pairs = [(each["ours"]["seconds"], each[other]["seconds"]) for each in rounds]
    return sorted(pairs, key=lambda pair: pair[0] / pair[1])[len(pairs) // 2]


def main() -> None:
    if len(sys.argv) == 3:
        say(json.dumps(SIDES[sys.argv[1]](Path(sys.argv[2]))))
        return
    with tempfile.TemporaryDirectory(prefix="easel-benchmark-") as place:
        root = Path(place)
        write(root)
        run("floor", root)  # the file comes into the cache
        rounds = [{side: run(side, root) for side in ("floor", "ours", "theirs")} for _ in range(ROUNDS)]
        after = run("growth", root)
    first = rounds[0]["ours"]
    show(
        "Loading a full-size SD 1.5 (float16 file, float32 in memory)",
        [
            Row("from request to ready ÷ reading and casting the file once", *middle(rounds, "floor"), READ),
            Row("from request to ready ÷ diffusers' from_single_file", *middle(rounds, "theirs"), OTHERS),
            Row("switching back to a model in memory ÷ loading it", first["back"], first["seconds"], BACK),
        ],
        "s",
        ("Easel", "other"),
    )
    show(
        "Memory of its own",
        [
            Row("peak while loading ÷ the weights", first["peak"] / GIB, first["size"] / GIB, PRIVATE),
            Row(f"after {SWITCHES} switches ÷ after 3", after["after all"] / GIB, after["after 3"] / GIB, GROWTH),
        ],
        "GiB",
        ("Easel", "other"),
    )


if __name__ == "__main__":
    main()
