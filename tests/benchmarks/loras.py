"""What a LoRA of rank 32 on the 192 layers of a full-size U-Net costs, beside loading the checkpoint."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType

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
ROUNDS = 3
FIRST, OTHER = "a LoRA for the first time", "the same at another strength"
SAME, THREE = "the same set again", "three of them, two read for it"
MOST = MappingProxyType({FIRST: 0.5, OTHER: 0.15, SAME: 0.005, THREE: 1.0})
STEP = 1.05


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


@dataclass(frozen=True)
class Took:
    """Seconds on the clock, and of all processors together: what else runs disturbs the latter less."""

    wall: float
    work: float


def took(call: Callable[[], object]) -> Took:
    wall, work = time.perf_counter(), time.process_time()
    call()
    return Took(time.perf_counter() - wall, time.process_time() - work)


def load(engine: Engine) -> None:
    """Ask for the model until it is there; its file is in the system's cache."""
    engine.models.release()
    with engine.models.borrow(engine.catalog.find(NAME)):
        pass


def enter(loras: Loras, model: Model, wanted: Sequence[Wanted]) -> None:
    """Ask for networks until they are applied, and leave again, which takes next to nothing."""
    with loras.applied(model, wanted):
        pass


def measure(engine: Engine, folder: Path) -> list[Row]:
    found: dict[str, list[Took]] = {}
    files: list[ModelFile] = []
    load(engine)
    for number in range(ROUNDS):
        found.setdefault("loading", []).append(took(partial(load, engine)))
        with torch.inference_mode(), engine.models.borrow(engine.catalog.find(NAME)) as model:
            files = files or [random_lora(model, folder / f"{each}.safetensors") for each in range(3)]
            loras = Loras()
            for what, wanted in (
                (FIRST, [Wanted(files[0])]),
                (OTHER, [Wanted(files[0], unet=0.9)]),
                (OTHER, [Wanted(files[0], unet=0.8)]),
                (SAME, [Wanted(files[0], unet=0.8)]),
                (THREE, [Wanted(each, unet=0.5) for each in files]),
            ):
                found.setdefault(what, []).append(took(partial(enter, loras, model, wanted)))
            if number == ROUNDS - 1:
                last = step(loras, model, files[0])
    least = {what: Took(min(e.wall for e in each), min(e.work for e in each)) for what, each in found.items()}
    loading = least.pop("loading")
    return [
        *(
            Row(f"{what} (processor time {each.work / loading.work:.3f})", each.wall, loading.wall, MOST[what])
            for what, each in least.items()
        ),
        last,
    ]


def step(loras: Loras, model: Model, file: ModelFile) -> Row:
    """Compare a network call at 128×128 pixels with the LoRA to one without."""
    unet = model.parts["unet"]
    x = torch.randn(2, 4, 16, 16, dtype=model.dtype).contiguous(memory_format=torch.channels_last)
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
