"""What a LoRA of rank 32 on the 192 layers of a full-size U-Net costs, beside loading the checkpoint."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from modules.engine.threads import prepare_environment

prepare_environment()  # before torch

import torch  # noqa: E402

from modules.engine.engine import Engine  # noqa: E402
from modules.families.family import Model  # noqa: E402
from modules.model_manager.loras import Loras, Wanted  # noqa: E402
from modules.model_manager.model_file import ModelFile  # noqa: E402
from tests.benchmarks._models import NAME, full_size  # noqa: E402
from tests.benchmarks._table import Row, in_turns, show  # noqa: E402
from tests.fake_loras import kohya, layers_of, write_lora  # noqa: E402
from tests.fake_models import engine_on  # noqa: E402

RANK = 32
LAYERS = 192
FIRST, OTHER, SAME, STEP = 0.5, 0.15, 0.001, 1.05


def random_lora(model: Model, path: Path, rank: int = RANK) -> ModelFile:
    """Write random matrices for every projection around and within the attentions of the U-Net."""
    layers = {}
    for name, module in layers_of(model.parts["unet"]).items():
        if ".attentions." in name:
            weight = module.weight
            down = torch.randn(rank, *weight.shape[1:], dtype=torch.float16) * 0.01
            up = torch.randn(weight.shape[0], rank, *weight.shape[2:], dtype=torch.float16) * 0.01
            layers[kohya("unet", name)] = {
                "lora_down.weight": down,
                "lora_up.weight": up,
                "alpha": torch.tensor(float(rank)),
            }
    assert len(layers) == LAYERS
    return ModelFile(path.stem, write_lora(path, layers), "lora")


def load(engine: Engine) -> float:
    """Return the seconds from asking for the model to having it; its file is in the system's cache."""
    file = engine.catalog.find(NAME)
    engine.models.release()
    began = time.perf_counter()
    with engine.models.borrow(file):
        return time.perf_counter() - began


def enter(loras: Loras, model: Model, wanted: Sequence[Wanted]) -> float:
    """Return the seconds from asking for networks to having them applied."""
    began = time.perf_counter()
    with loras.applied(model, wanted):
        return time.perf_counter() - began


def measure(engine: Engine, folder: Path) -> list[Row]:
    load(engine)
    loading = min(load(engine) for _ in range(2))
    with torch.inference_mode(), engine.models.borrow(engine.catalog.find(NAME)) as model:
        files = [random_lora(model, folder / f"{number}.safetensors") for number in range(3)]
        loras = Loras()
        first = enter(loras, model, [Wanted(files[0])])
        other = min(enter(loras, model, [Wanted(files[0], unet=strength)]) for strength in (0.9, 0.8, 0.7))
        same = min(enter(loras, model, [Wanted(files[0], unet=0.7)]) for _ in range(5))
        three = min(enter(loras, model, [Wanted(each, unet=strength) for each in files]) for strength in (0.9, 0.8))
        rows = [
            Row("a LoRA for the first time", first, loading, FIRST),
            Row("the same at another strength", other, loading, OTHER),
            Row("three of them, two read for it", three, loading, FIRST),
            Row("the same set again", same, loading, SAME),
        ]
        return [*rows, step(loras, model, files[0])]


def step(loras: Loras, model: Model, file: ModelFile) -> Row:
    """Compare a network call at 256×256 pixels with the LoRA to one without."""
    unet = model.parts["unet"]
    x = torch.randn(2, 4, 32, 32, dtype=model.dtype).contiguous(memory_format=torch.channels_last)
    context, moment = torch.randn(2, 77, 768, dtype=model.dtype), torch.tensor(500.0)

    def without() -> None:
        unet(x, moment, context, return_dict=False)

    def with_it() -> None:
        with loras.applied(model, [Wanted(file)]):
            without()

    ours, other, work = in_turns(with_it, without, 2)
    return Row(f"a step with it ÷ without (processor time {work:.3f})", ours, other, STEP)


def main() -> None:
    with full_size() as root:
        rows = measure(engine_on(root), root)
    show(f"LoRA of rank {RANK} on {LAYERS} layers ÷ loading the checkpoint", rows, "s", ("LoRA", "other"))


if __name__ == "__main__":
    main()
