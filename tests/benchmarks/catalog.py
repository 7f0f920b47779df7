"""The catalog on 5,000 LoRA files: the first scan, a restart, a search, and the browser's first page.

The files have the headers that kohya's trainer writes for SD 1.5 (792 tensors and the trainer's notes, about 110 kB)
in 64 different ranks; behind the header they are holes that take no room on the disk. Hashing is left out: it goes on
in the background, as fast as the disk.
"""

from __future__ import annotations

import json
import math
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from PIL import Image

from modules.library.database import Database
from modules.model_manager.catalog import Catalog
from modules.settings import Settings
from tests.benchmarks._table import Row, show

FILES = 5000
FOLDERS = 50
MOST = {"first scan": 3.0, "restart": 0.3, "a search": 0.05, "first page": 0.2}  # seconds
RANKS = 64
ATTENTION = [f"attn{place}_to_{name}" for place in (1, 2) for name in ("q", "k", "v", "out_0")]
LAYERS = ["proj_in", "proj_out", *ATTENTION, "ff_net_0_proj", "ff_net_2"]
TEXT = ["mlp_fc1", "mlp_fc2", *(f"self_attn_{name}_proj" for name in ("k", "out", "q", "v"))]
WORDS = ("portrait", "detail", "light", "anime", "ink", "oil", "city", "forest", "robot", "night", "grain", "neon")


def lora_keys() -> dict[str, tuple[int, int]]:
    """Return kohya's names of the layers of SD 1.5, each with its inputs and outputs."""
    blocks = [(f"down_blocks_{a}", b, 320 * 2**a) for a in range(3) for b in range(2)] + [("mid_block", 0, 1280)]
    blocks += [(f"up_blocks_{a}", b, 1280 // 2 ** (a - 1)) for a in range(1, 4) for b in range(3)]
    keys = {}
    for block, place, width in blocks:
        for layer in LAYERS:
            inside = "" if layer.startswith("proj") else "transformer_blocks_0_"
            inputs = 768 if layer in ("attn2_to_k", "attn2_to_v") else width
            keys[f"lora_unet_{block}_attentions_{place}_{inside}{layer}"] = (inputs, width)
    keys |= {f"lora_te_text_model_encoder_layers_{a}_{layer}": (768, 768) for a in range(12) for layer in TEXT}
    return keys


def write_lora(path: Path, rank: int, name: str) -> None:
    """Write a LoRA whose header is real and whose tensors are a hole."""
    tags = {f"10_{name}": {f"{word} {number}": number for word in WORDS for number in range(1, 10)}}
    text = {"ss_output_name": name, "ss_network_dim": str(rank), "ss_base_model_version": "sd_v1"}
    table: dict[str, object] = {"__metadata__": {**text, "ss_tag_frequency": json.dumps(tags)}}
    end = 0
    for key, (inputs, outputs) in sorted(lora_keys().items()):
        for role, shape in (("alpha", []), ("lora_down.weight", [rank, inputs]), ("lora_up.weight", [outputs, rank])):
            begin, end = end, end + math.prod(shape) * 2
            table[f"{key}.{role}"] = {"dtype": "F16", "shape": shape, "data_offsets": [begin, end]}
    header = json.dumps(table, separators=(",", ":")).encode()
    with path.open("wb") as file:
        file.write(len(header).to_bytes(8, "little") + header)
        file.truncate(8 + len(header) + end)


def fill(root: Path) -> None:
    """Write the files, every second with a preview and notes beside it."""
    models = [root / f"rank{rank}.safetensors" for rank in range(1, RANKS + 1)]
    for rank, model in enumerate(models, 1):
        write_lora(model, rank, f"rank{rank}")
    preview = root / "preview.png"
    Image.new("RGB", (64, 96), "teal").save(preview)
    for number in range(FILES):
        folder = root / "models" / "Lora" / f"folder {number % FOLDERS}"
        folder.mkdir(parents=True, exist_ok=True)
        stem = f"{WORDS[number % len(WORDS)]} {WORDS[number // 7 % len(WORDS)]} v{number}"
        copy_with_holes(models[number % len(models)], folder / f"{stem}.safetensors")
        if number % 2:
            shutil.copyfile(preview, folder / f"{stem}.png")
            (folder / f"{stem}.json").write_text(json.dumps({"activation text": stem, "preferred weight": 0.8}))


def copy_with_holes(source: Path, target: Path) -> None:
    with source.open("rb") as file:
        length = file.read(8)
        header = file.read(int.from_bytes(length, "little"))
    with target.open("wb") as file:
        file.write(length + header)
        file.truncate(source.stat().st_size)


@dataclass(frozen=True)
class Taken:
    """Seconds by the clock, and of this process's own work: what it takes when nothing else runs."""

    wall: float
    work: float


def take(*runs: Callable[[], object]) -> Taken:
    """Return the medians of `runs`."""
    walls, works = [], []
    for run in runs:
        wall, work = time.perf_counter(), time.process_time()
        run()
        walls.append(time.perf_counter() - wall)
        works.append(time.process_time() - work)
    return Taken(statistics.median(walls), statistics.median(works))


def first_page(catalog: Catalog) -> None:
    """What the browser shows when it is opened: sixty cards with what lies beside them, and the folders."""
    catalog.folders("lora")
    for file in catalog.search("lora", limit=60).files:
        catalog.details(file)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        fill(root)
        settings = Settings(data_dir=root)
        database = Database(settings.database_url)
        catalog = Catalog(settings, database=database)
        taken = {"first scan": take(lambda: catalog.files("lora"))}
        assert {(file.family, file.problem) for file in catalog.files("lora")} == {("sd1", "")}
        assert len(catalog.files("lora")) == FILES
        restarts = [Catalog(settings, database=database) for _ in range(5)]
        taken["restart"] = take(*(partial(each.search, "lora") for each in restarts))
        asked = ("neon", "robot v4", "folder 7 ink", "rank8", "nothing", "4711", "grain oil", "light")
        search = partial(catalog.search, "lora", family="sd1", sort="modified")
        taken["a search"] = take(*(partial(search, words) for words in asked))
        taken["first page"] = take(*(partial(first_page, each) for each in restarts))
        database.close()
    title = f"The catalog on {FILES} LoRA files"
    rows = [Row(what, taken[what].wall, most, 1.0) for what, most in MOST.items()]
    show(f"{title}, by the clock", rows, "s", ("taken", "allowed"))
    rows = [Row(what, taken[what].work, most, 1.0) for what, most in MOST.items()]
    show(f"{title}, processor time", rows, "s", ("taken", "allowed"))


if __name__ == "__main__":
    main()
