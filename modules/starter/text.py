"""The starter's words: CLIP's tokenizer, a small CLIP text encoder, and its first lessons.

Before the U-Net begins, the encoder learns from captions alone to say what they ask for: every closing token must
hold the whole wish in a form one linear map can read, and every word's token must still tell its word. The U-Net then
starts with words that mean something.
"""

from __future__ import annotations

import gzip
import random
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from modules.starter.captions import understood, varied
from modules.starter.loop import cosine, run, seeded
from modules.starter.scenes import COLOURS, KINDS, SIZES, STYLES, draw_scene

WIDTH = 64
START, END = 49406, 49407


def vocabulary() -> tuple[dict[str, int], list[tuple[str, str]]]:
    """CLIP's byte-pair vocabulary and merges, from the copy that the package open_clip_torch carries."""
    spec = find_spec("open_clip")
    if spec is None or spec.origin is None:
        raise FileNotFoundError("the package open_clip_torch carries CLIP's vocabulary; please install it")
    packed = Path(spec.origin).with_name("bpe_simple_vocab_16e6.txt.gz").read_bytes()
    lines = gzip.decompress(packed).decode().split("\n")[1:48895]
    merges = [(left, right) for left, right in (line.split() for line in lines)]
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [b for b in range(256) if b not in printable]
    letters = [chr(b) for b in printable] + [chr(256 + i) for i in range(len(others))]
    words = [*letters, *(letter + "</w>" for letter in letters), *(left + right for left, right in merges)]
    words += ["<|startoftext|>", "<|endoftext|>"]
    return {word: number for number, word in enumerate(words)}, merges


def tokenizer() -> CLIPTokenizer:
    """CLIP's tokenizer as Stable Diffusion uses it: 77 tokens, padded with the end token."""
    words, merges = vocabulary()
    return CLIPTokenizer(vocab=words, merges=merges, model_max_length=77)  # type: ignore[arg-type]


def tokens(words: CLIPTokenizer, texts: Sequence[str]) -> Tensor:
    """Prompts as (n, 77) token numbers."""
    found = words(list(texts), padding="max_length", max_length=77, truncation=True, return_tensors="pt")
    ids: Tensor = found["input_ids"]
    return ids


def build() -> CLIPTextModel:
    """A fresh CLIP text encoder: 64 wide, three layers."""
    return CLIPTextModel(
        CLIPTextConfig(
            vocab_size=END + 1,
            hidden_size=WIDTH,
            intermediate_size=4 * WIDTH,
            projection_dim=WIDTH,
            num_hidden_layers=3,
            num_attention_heads=4,
            max_position_embeddings=77,
            hidden_act="quick_gelu",
            bos_token_id=START,
            eos_token_id=END,
            pad_token_id=END,
        )
    )


def lessons(text: str) -> list[int]:
    """The wish of a caption as class numbers, 0 where it says nothing."""
    wish = understood(text)
    (first, *rest) = wish.things
    second = rest[0] if rest else (None, None, "medium")

    def number(of: Sequence[str], name: str | None) -> int:
        return 0 if name is None else 1 + of.index(name)

    colours = tuple(COLOURS)
    return [
        number(KINDS, first[0]), number(colours, first[1]), number(SIZES, first[2]), number(KINDS, second[0]),
        number(colours, second[1]), number(colours, wish.background), number(STYLES, wish.style),
        ("alone", "across", "down").index(wish.arrangement),
    ]  # fmt: skip


def train(work: Path, seed: int, device: torch.device, steps: int, count: int = 20000) -> CLIPTextModel:
    """Teaches a fresh encoder to understand captions."""
    torch.manual_seed(seed + 1)
    encoder = build()
    nn.Module.to(encoder, device)
    rng = random.Random(seed + 1)
    captions = [varied(draw_scene(rng), rng) for _ in range(count)]
    ids = tokens(tokenizer(), captions)
    used, compact = torch.unique(ids, return_inverse=True)
    wishes = torch.tensor([lessons(caption) for caption in captions])
    counts = [1 + len(KINDS), 12, 4, 1 + len(KINDS), 12, 12, 5, 3]
    whole, word = nn.Linear(WIDTH, sum(counts)).to(device), nn.Linear(WIDTH, len(used)).to(device)
    params = [p for module in (encoder, whole, word) for p in module.parameters()]
    optimizer = torch.optim.AdamW([{"params": params, "base": 2e-3}], lr=2e-3, weight_decay=0.0)

    def step(number: int) -> tuple[Tensor, str]:
        g = seeded(seed, "text", number)
        rows = torch.randint(count, (64,), generator=g)
        batch = ids[rows].to(device)
        hidden = encoder(batch).last_hidden_state
        ending = (batch == END).float()
        chosen = torch.multinomial(ending, 4, generator=g if device.type == "cpu" else None)
        asked = whole(hidden.gather(1, chosen[..., None].expand(-1, -1, WIDTH)))
        target = wishes[rows].to(device)[:, None].expand(-1, 4, -1)
        parts = [
            F.cross_entropy(part.flatten(0, 1), target[..., i].flatten())
            for i, part in enumerate(asked.split(counts, -1))
        ]
        right = sum(
            (part.argmax(-1) == target[..., i]).float().mean().item() for i, part in enumerate(asked.split(counts, -1))
        ) / len(counts)
        said = batch != END
        spoken = F.cross_entropy(word(hidden[said]), compact[rows].to(device)[said])
        return torch.stack(parts).sum() + 0.5 * spoken, f"right {right:.3f} word {spoken.item():.3f}"

    run(
        "text encoder", work / "text.pt", {"encoder": encoder, "whole": whole, "word": word}, optimizer,
        lambda n: cosine(n, steps, 100), step, steps,
    )  # fmt: skip
    return encoder
