"""The gallery on 100,000 pictures: its first page, further pages, searches, and a step of the database to this form.

The rows have recipes as Easel writes them (about 2 kB with their parameters), prompts of 8 to 30 words from a
vocabulary whose words are as unequally frequent as those of a language, 12 checkpoints, 16 samplers and 5 sizes. The
files are not there but for those of the first page. What is measured is what the page asks for over HTTP, but for the
thumbnails.
"""

from __future__ import annotations

import itertools
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from sqlalchemy import insert
from starlette.testclient import TestClient

from modules.api import gallery as routes
from modules.images.infotext import write
from modules.library.records import PictureRecord, TagRecord
from modules.library.search import plain_words
from modules.result import Recipe
from modules.server.server import Server
from modules.ui.gallery_faces import Faces
from modules.ui.page_words import PageWords
from tests.benchmarks._table import Row, show
from tests.ui.drawing import drawing_server

PICTURES = 100_000
WORDS = 3000
MODELS = [f"models/checkpoint {number:02}.safetensors" for number in range(12)]
SAMPLERS = [f"Sampler {number:02}" for number in range(16)]
SIZES = ((512, 512), (512, 768), (768, 512), (1024, 1024), (832, 1216))
SYLLABLES = [first + vowel + last for first in "bdgklmnprstv" for vowel in "aeiou" for last in ("", "n", "r", "s")]
VOCABULARY = [
    "".join(SYLLABLES[number * step % len(SYLLABLES)] for step in (7, 101, 239)) + str(number % 7)
    for number in range(1, WORDS + 1)
]
TAGS = ("portrait", "keep", "print", "client", "idea")
MOST = {"first page": 0.2, "a further page": 0.1, "a search": 0.1}  # seconds
START = 1.7e9

SEARCHES: dict[str, dict[str, Any]] = {
    "a frequent word": {"words": VOCABULARY[0]},
    "two frequent words": {"words": f"{VOCABULARY[0]} {VOCABULARY[1]}"},
    "a rare word": {"words": VOCABULARY[-5]},
    "the beginning of a word": {"words": VOCABULARY[0][:1]},
    "nothing": {"words": "absent"},
    "a seed": {"words": "77777"},
    "a checkpoint": {"model": MODELS[3]},
    "checkpoint and sampler": {"model": MODELS[11], "sampler": SAMPLERS[15]},
    "stars": {"rating": 5},
    "a size and a day": {"width": 512, "height": 768, "since": "2023-12-01", "until": "2023-12-01"},
    "a frequent word, checkpoint, stars": {"words": VOCABULARY[0], "model": MODELS[11], "rating": 5},
    "a tag": {"tag": "print"},
    "the trash": {"trash": True},
}


@dataclass(frozen=True)
class Taken:
    """Seconds by the clock, and of this process's own work: what it takes when nothing else runs."""

    wall: float
    work: float


def take(run: Callable[[], object], rounds: int = 5) -> Taken:
    """Return the medians of several runs after a first one."""
    run()
    walls, works = [], []
    for _ in range(rounds):
        wall, work = time.perf_counter(), time.process_time()
        run()
        walls.append(time.perf_counter() - wall)
        works.append(time.process_time() - work)
    return Taken(statistics.median(walls), statistics.median(works))


def rows(count: int) -> Iterator[dict[str, Any]]:
    """Yield records, the same ones in every run."""
    dice = random.Random(5)
    weights = list(itertools.accumulate(1 / (number + 1) for number in range(WORDS)))
    for number in range(count):
        width, height = dice.choices(SIZES, (40, 25, 15, 12, 8))[0]
        recipe = Recipe(
            prompt=", ".join(dice.choices(VOCABULARY, cum_weights=weights, k=dice.randint(8, 30))),
            negative_prompt=", ".join(dice.choices(VOCABULARY, cum_weights=weights, k=12)),
            model=dice.choices(MODELS, range(12, 0, -1))[0],
            model_hash="0123456789",
            family="sd1",
            sampler=dice.choices(SAMPLERS, range(16, 0, -1))[0],
            schedule="Karras",
            steps=20,
            width=width,
            height=height,
            cfg_scale=7,
            seed=dice.randrange(2**32),
            device="cpu",
            dtype="fp32",
            versions={"easel": "0.1.0", "torch": "2.10.0", "diffusers": "0.42.0"},
        )
        name = f"{number:06}-{recipe.seed}.png"
        yield {
            "place": 0,
            "path": f"txt2img-images/2023-12-{number // 4000 + 1:02}/{name}",
            "recipe": recipe.model_dump_json(),
            "infotext": write(recipe),
            "created": START + number * 60,
            "width": width,
            "height": height,
            "owner": "local",
            "words": plain_words(recipe.prompt, recipe.model, recipe.seed, name),
            "model": recipe.model,
            "sampler": recipe.sampler,
            "rating": dice.choices(range(6), (80, 4, 4, 5, 5, 2))[0],
            "trashed": None if dice.random() < 0.98 else START,
        }


def fill(server: Server) -> None:
    """Put the pictures on record."""
    every = list(rows(PICTURES))
    with server.library._database.write() as session:
        for first in range(0, PICTURES, 2000):
            session.execute(insert(PictureRecord), every[first : first + 2000])
        tags = [{"picture": id, "tag": TAGS[id % 5]} for id in range(1, PICTURES, 7)]
        session.execute(insert(TagRecord), tags)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        server = drawing_server(Path(folder))
        fill(server)
        app = FastAPI()
        app.include_router(routes.router(server, Faces(PageWords())))
        client = TestClient(app)

        def ask(path: str, **values: Any) -> None:
            answer = client.get(f"/easel/gallery/{path}", params=values)
            assert answer.status_code == 200, answer.text

        def first_page() -> None:
            ask("filters")
            ask("cells")

        taken = {"first page": take(first_page), "a further page": take(partial(ask, "cells", before=PICTURES // 2))}
        searches = {what: take(partial(ask, "cells", **values)) for what, values in SEARCHES.items()}
        server.stop()
    for title, kind in (("by the clock", "wall"), ("processor time", "work")):
        table = [Row(what, getattr(each, kind), MOST[what], 1.0) for what, each in taken.items()]
        table += [Row(f"search: {what}", getattr(each, kind), MOST["a search"], 1.0) for what, each in searches.items()]
        show(f"The gallery on {PICTURES:,} pictures, {title}", table, "s", ("taken", "allowed"))


if __name__ == "__main__":
    main()
