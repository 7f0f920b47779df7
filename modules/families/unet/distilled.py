"""Checkpoints that were distilled to few steps: told by what their file or its metadata calls them."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from modules.families.family import Defaults, Header

TITLES = ("modelspec.title", "modelspec.tags", "ss_output_name", "title")  # metadata that names a checkpoint
MOST_STEPS = 16  # in a name; a larger number there says something else
GUIDANCE_KEY = "unet.time_embedding.cond_proj.weight"  # a network that is told the guidance instead of called twice


@dataclass(frozen=True)
class Distilled:
    """A way of distillation: how names show it, and what suits it where a name says no more.

    `named_steps` is the guidance of one whose name says for how many steps it was made: those want none.
    """

    pattern: str
    steps: int
    cfg_scale: float
    sampler: str
    schedule: str
    named_steps: float = 1.0


KINDS = (
    # Luo et al. 2023. The sampler of that name goes with it.
    Distilled(r"(?<![a-z])lcm(?![a-z])|latent[ _-]?consistency", 6, 1.5, "LCM", "SGM Uniform"),
    # Ren et al. 2024. Its "CFG" variants keep guidance.
    Distilled(r"hyper[ _-]?sd(?!r)|(?<![a-z])hyper(?![a-z])(?![ _-]*(?:real|detail))", 8, 1.0, "Euler", "SGM Uniform"),
    # Lin et al. 2024, "SDXL-Lightning"; merges with it are made for a little guidance.
    Distilled(r"lightning", 6, 2.0, "Euler", "SGM Uniform"),
    # Sauer et al. 2023, "Adversarial Diffusion Distillation": the originals first, then what was merged with them.
    Distilled(r"(?<![a-z])sd[ _-]?(xl[ _-]?)?turbo|diffusion xl (1\.0 )?turbo", 4, 1.0, "Euler a", "SGM Uniform"),
    Distilled(r"turbo", 8, 2.0, "DPM++ SDE", "Karras"),
)
KEPT_GUIDANCE = 5.0  # of Hyper-SD's "CFG" variants


def few_steps(header: Header, usual: Defaults) -> Defaults:
    """Return what suits the checkpoint: `usual`, or the steps, guidance and sampler of its distillation."""
    names = " ".join([header.path.stem, *(header.metadata.get(key, "") for key in TITLES)])
    # "DreamShaperXL" -> "Dream Shaper XL": words run together are told apart by their capitals.
    names = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", names).lower()
    kind = next((each for each in KINDS if re.search(each.pattern, names)), None)
    if kind is None:
        if GUIDANCE_KEY not in header.entries:
            return usual
        kind = replace(KINDS[0], cfg_scale=1.0)
    steps, cfg_scale = kind.steps, kind.cfg_scale
    said = re.search(r"(\d+)[ _-]?steps?(?![a-z])", names)
    if said and 1 <= int(said[1]) <= MOST_STEPS:
        steps, cfg_scale = int(said[1]), kind.named_steps
    if re.search(r"(?<![a-z])cfg(?![a-z])", names):
        cfg_scale = max(cfg_scale, KEPT_GUIDANCE)
    return replace(usual, steps=steps, cfg_scale=cfg_scale, sampler=kind.sampler, schedule=kind.schedule)
