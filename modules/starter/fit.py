"""Fits a LoRA, an embedding and a hypernetwork to the starter model: `python -m modules.starter.fit --out tests/data`.

Each learns in about a minute on two cores to repaint the stage, whatever colour a prompt asks for: they are what the
tests of networks look at. The teacher is the starter itself, asked for the right colour (distillation); on the
empty prompt the student must stay as the teacher is, so that guidance works as ever.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional as F

from modules.families.unet.reading import Reading
from modules.families.unet.text import TextEncoder
from modules.prompts.chunks import chunks
from modules.prompts.embeddings import LearnedWords
from modules.prompts.syntax import attention
from modules.prompts.vocabulary import ClipTokenizer
from modules.starter.autoencoder import centred, pixels
from modules.starter.captions import standard
from modules.starter.generate import Starter
from modules.starter.loop import cosine, progress
from modules.starter.scenes import Scene, distinct, draw, draw_scene
from modules.starter.text import WIDTH
from modules.starter.train import FOLDER
from modules.starter.unet import alphas_bar

BATCH = 12
EMPTY = 4  # lessons of a batch on the empty prompt
LORA, EMBEDDING, HYPERNETWORK = "green-stage", "yellow-stage", "pink-stage"
RANK = 4
VECTORS = 4

Ask = Callable[[Tensor, Tensor, Sequence[str]], Tensor]  # (x, timesteps, prompts) -> noise


@dataclass(frozen=True)
class Lesson:
    """One picture to look at through noise: what the student is told, what the teacher is, and its latents."""

    said: str
    meant: str
    latents: Tensor


class Teacher:
    """The starter as it is: reads words, guesses noise."""

    def __init__(self, folder: Path) -> None:
        self.starter = Starter.load(folder, torch.device("cpu"))
        for module in (self.starter.unet, self.starter.encoder, self.starter.vae):
            module.requires_grad_(False)
        self.encoder = TextEncoder(Reading("text_encoder"), self.starter.encoder)
        self.tokenizer = ClipTokenizer()
        self.alphas = alphas_bar()

    def read(self, prompts: Sequence[str], learned: dict[str, Tensor] | None = None) -> Tensor:
        """Return (B, 77, D) for prompts of one chunk each; `learned` are vectors by name."""
        learned = learned or {}
        words = LearnedWords(learned, self.tokenizer, lambda name: len(learned[name]))
        cut = [chunks(attention(prompt), self.tokenizer, learned=words)[0] for prompt in prompts]
        vectors = {name: {"text_encoder": rows} for name, rows in learned.items()}
        return self.encoder(cut, 1, vectors, torch.device("cpu"))[0]

    def guess(self, x: Tensor, timesteps: Tensor, hidden: Tensor) -> Tensor:
        """Return the noise guessed in `x` (B, 4, 16, 16)."""
        noise: Tensor = self.starter.unet(x, timesteps, hidden).sample
        return noise

    @torch.no_grad()
    def lessons(self, stage: str, count: int, seed: int, told: Callable[[str], str]) -> list[Lesson]:
        """Return lessons whose stages are painted in the colour `stage`, whatever the words say."""
        rng = random.Random(seed)
        scenes: list[tuple[Scene, Scene]] = []
        while len(scenes) < count:
            scene = replace(draw_scene(rng), style="flat")
            if all(distinct(thing.colour, stage) for thing in scene.things) and scene.background != stage:
                scenes.append((scene, replace(scene, background=stage)))
        scale = self.starter.vae.config.scaling_factor
        found = self.starter.vae.encode(centred(pixels(draw(meant) for _, meant in scenes))).latent_dist.mean * scale
        return [
            Lesson(told(standard(said)), standard(meant), latents)
            for (said, meant), latents in zip(scenes, found, strict=True)
        ]


def fit(
    teacher: Teacher,
    name: str,
    lessons: Sequence[Lesson],
    parameters: Sequence[Tensor],
    ask: Ask,
    steps: int,
    rate: float,
    empty: int = EMPTY,
) -> None:
    """Teach `parameters`: `ask` must answer what the teacher answers when it is told what was meant.

    In `empty` lessons of each batch nothing is said to either.
    """
    optimizer = torch.optim.AdamW(parameters, lr=rate, weight_decay=0.0)
    generator = torch.Generator().manual_seed(0)
    bar = progress(range(steps), name)
    for number in bar:
        for group in optimizer.param_groups:
            group["lr"] = rate * cosine(number, steps, 10)
        rows = torch.randint(len(lessons), (BATCH,), generator=generator).tolist()
        chosen = [lessons[row] for row in rows]
        said = [each.said for each in chosen[empty:]] + [""] * empty
        meant = [each.meant for each in chosen[empty:]] + [""] * empty
        clean = torch.stack([each.latents for each in (*chosen[empty:], *chosen[:empty])])
        # Where the stage's colour is decided there is more noise than picture.
        timesteps = (torch.rand(BATCH, generator=generator).sqrt() * 999).long()
        share = teacher.alphas[timesteps][:, None, None, None]
        x = share.sqrt() * clean + (1 - share).sqrt() * torch.randn(clean.shape, generator=generator)
        with torch.no_grad():
            wanted = teacher.guess(x, timesteps, teacher.read(meant))
        loss = F.mse_loss(ask(x, timesteps, said), wanted)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        optimizer.zero_grad()
        bar.set_postfix_str(f"loss {loss.item():.5f}", refresh=False)


@contextmanager
def hooked(hooks: Sequence[Any]) -> Iterator[None]:
    """Take hooks away on leaving."""
    with ExitStack() as undo:
        for hook in hooks:
            undo.callback(hook.remove)
        yield


def fit_lora(teacher: Teacher, out: Path, steps: int) -> Path:
    """Fit a LoRA to the U-Net's attention and write it with kohya's keys."""
    torch.manual_seed(1)
    layers = {
        name: module
        for name, module in teacher.starter.unet.named_modules()
        if isinstance(module, nn.Linear) and ("attn1" in name or "attn2" in name)
    }
    down = {name: nn.Parameter(torch.randn(RANK, layer.in_features) / RANK) for name, layer in layers.items()}
    up = {name: nn.Parameter(torch.zeros(layer.out_features, RANK)) for name, layer in layers.items()}

    def add(name: str, module: nn.Module, given: tuple[Tensor, ...], answer: Tensor) -> Tensor:
        return answer + F.linear(F.linear(given[0], down[name]), up[name])

    def ask(x: Tensor, timesteps: Tensor, prompts: Sequence[str]) -> Tensor:
        with hooked([layer.register_forward_hook(partial(add, name)) for name, layer in layers.items()]):
            return teacher.guess(x, timesteps, teacher.read(prompts))

    lessons = teacher.lessons("green", 120, 1, lambda said: said)
    fit(teacher, LORA, lessons, [*down.values(), *up.values()], ask, steps, 4e-3)
    weights = {}
    for name in layers:
        key = f"lora_unet_{name.replace('.', '_')}"
        weights[f"{key}.lora_down.weight"] = down[name].detach().half()
        weights[f"{key}.lora_up.weight"] = up[name].detach().half()
        weights[f"{key}.alpha"] = torch.tensor(float(RANK)).half()
    path = _file(out, "Lora", f"{LORA}.safetensors")
    save_file(
        weights, path, {"ss_network_module": "networks.lora", "ss_output_name": LORA, "ss_network_dim": str(RANK)}
    )
    return path


def fit_embedding(teacher: Teacher, out: Path, steps: int) -> Path:
    """Fit the vectors of a new word and write them as A1111 does."""
    torch.manual_seed(2)
    table: Any = teacher.starter.encoder.get_input_embeddings()
    start = table.weight[teacher.tokenizer("yellow background")]
    vectors = nn.Parameter(start.repeat(VECTORS // len(start), 1) + 0.01 * torch.randn(VECTORS, WIDTH))

    def ask(x: Tensor, timesteps: Tensor, prompts: Sequence[str]) -> Tensor:
        return teacher.guess(x, timesteps, teacher.read(prompts, {EMBEDDING: vectors}))

    lessons = teacher.lessons("yellow", 120, 2, lambda said: f"{said}, {EMBEDDING}")
    fit(teacher, EMBEDDING, lessons, [vectors], ask, steps, 2e-2, empty=0)
    path = _file(out, "embeddings", f"{EMBEDDING}.pt")
    word = {"string_to_token": {"*": 265}, "string_to_param": {"*": vectors.detach()}, "name": EMBEDDING, "step": steps}
    torch.save({**word, "sd_checkpoint": None, "sd_checkpoint_name": None}, path)
    return path


def fit_hypernetwork(teacher: Teacher, out: Path, steps: int) -> Path:
    """Fit small networks on the words that attention reads and write them as A1111 does."""
    torch.manual_seed(3)
    stacks = [nn.Sequential(nn.Linear(WIDTH, 2 * WIDTH), nn.ReLU(), nn.Linear(2 * WIDTH, WIDTH)) for _ in "kv"]
    for stack in stacks:
        for parameter in stack[2].parameters():
            nn.init.zeros_(parameter)
    readers = [module for name, module in teacher.starter.unet.named_modules() if name.endswith("attn2")]

    def change(stack: nn.Module, module: nn.Module, given: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        return (given[0] + stack(given[0]), *given[1:])

    def ask(x: Tensor, timesteps: Tensor, prompts: Sequence[str]) -> Tensor:
        hooks = [
            getattr(reader, name).register_forward_pre_hook(partial(change, stack))
            for reader in readers
            for name, stack in zip(("to_k", "to_v"), stacks, strict=True)
        ]
        with hooked(hooks):
            return teacher.guess(x, timesteps, teacher.read(prompts))

    lessons = teacher.lessons("pink", 120, 3, lambda said: said)
    fit(teacher, HYPERNETWORK, lessons, [p for stack in stacks for p in stack.parameters()], ask, steps, 4e-3)
    path = _file(out, "hypernetworks", f"{HYPERNETWORK}.pt")
    layers = [{f"linear.{key}": value for key, value in stack.state_dict().items()} for stack in stacks]
    about = {"layer_structure": [1, 2, 1], "activation_func": "relu", "is_layer_norm": False, "activate_output": False}
    file: dict[Any, Any] = {WIDTH: layers, **about, "name": HYPERNETWORK, "step": steps}
    torch.save(file, path)
    return path


def _file(out: Path, folder: str, name: str) -> Path:
    path = out / folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


FITTED = ((LORA, fit_lora, 60), (EMBEDDING, fit_embedding, 120), (HYPERNETWORK, fit_hypernetwork, 80))  # and steps


def main() -> None:
    """Read the command line and fit."""
    parser = argparse.ArgumentParser(description="Fit small networks to the starter model.")
    parser.add_argument("--out", type=Path, required=True, help="a folder of models, such as tests/data")
    parser.add_argument("--model", type=Path, default=FOLDER, help="the starter model")
    parser.add_argument("--steps", type=int, default=0, help="0: as many as each needs")
    names = [name for name, _, _ in FITTED]
    parser.add_argument("--only", choices=names, nargs="*", default=names)
    asked = parser.parse_args()
    teacher = Teacher(asked.model)
    for name, make, steps in FITTED:
        if name in asked.only:
            Console().print(make(teacher, asked.out, asked.steps or steps))


if __name__ == "__main__":
    main()
