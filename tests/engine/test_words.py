"""Learned words in prompts on the whole route, with a tiny model: what is read, what is told, what is written down."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest
import torch

from modules.engine.engine import Engine
from modules.events import Note
from modules.request import make_request
from modules.result import Picture
from tests import fake_words
from tests.fake_checkpoints import WIDTH, WIDTH_2, write_single
from tests.fake_models import checkpoints, engine_on, make_sd1
from tests.fake_words import vectors
from tests.fakes import RecordingReport


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("words")
    make_sd1(checkpoints(root) / "one", seed=1)
    fake_words.a1111(root / "embeddings" / "my-style", 3 * vectors(3))
    fake_words.a1111(root / "embeddings" / "of-sd1", vectors(2, 768))
    return root


@pytest.fixture(scope="module")
def engine(folder: Path) -> Engine:
    return engine_on(folder)


def make(engine: Engine, prompt: str, **values: Any) -> tuple[Picture, list[Note]]:
    report = RecordingReport()
    request = make_request({"model": "one", "prompt": prompt, "seed": 7, "steps": 2, **values})
    ((picture, _),) = engine.generate(request, report, lambda picture: None)
    return picture, [event for event in report.events if isinstance(event, Note)]


def drawn(engine: Engine, prompt: str, **values: Any) -> bytes:
    return make(engine, prompt, **values)[0].image.tobytes()


def test_a_learned_word_is_read_and_text_is_not(engine: Engine) -> None:
    plain = drawn(engine, "a cat in nothing")
    assert drawn(engine, "a cat in my-style") == drawn(engine, "a cat in MY-STYLE") != plain
    assert drawn(engine, "a cat in nothing", negative_prompt="my-style") != plain


def test_one_vector_reads_like_the_token_it_was_taken_from(folder: Path) -> None:
    """A word made of two tokens' own vectors is those two tokens, to the last bit."""
    engine = engine_on(folder)
    before = drawn(engine, "a red circle and a dog")
    with engine.models.borrow(engine.catalog.find("one")) as model:
        encoder: Any = model.parts["text_encoder"]
        rows = encoder.get_input_embeddings().weight[model.tokenizer("red circle")]
        fake_words.diffusers_safetensors(folder / "embeddings" / "twins", rows.clone())
    assert drawn(engine, "a twins and a dog") == before


def test_a_new_file_is_read_without_loading_the_model_again(folder: Path) -> None:
    engine = engine_on(folder)
    text = drawn(engine, "a freshly in a box")
    path = fake_words.a1111(folder / "embeddings" / "freshly", vectors(2, seed=3))
    first = drawn(engine, "a freshly in a box")
    assert first != text
    fake_words.a1111(path, 2 * vectors(4, seed=4))
    assert drawn(engine, "a freshly in a box") not in (first, text)
    path.unlink()
    assert drawn(engine, "a freshly in a box") == text


def test_a_word_for_another_kind_of_model_is_text_and_a_note(engine: Engine) -> None:
    picture, notes = make(engine, "a cat in of-sd1", negative_prompt="of-sd1")
    assert [(note.key, note.values) for note in notes] == [("embedding_unfit", {"name": "of-sd1", "family": "sd1"})]
    assert "embedding" not in picture.recipe.networks
    assert make(engine, "a cat")[1] == []
    assert make(engine, "a cat", negative_prompt="of-sd1", cfg_scale=1)[1] == [], "without guidance nobody reads it"


def test_the_recipe_names_what_was_read_with_its_hash(engine: Engine, folder: Path) -> None:
    digest = hashlib.sha256((folder / "embeddings" / "my-style.pt").read_bytes()).hexdigest()
    expected = {"embedding": {"my-style": digest[:12]}}
    assert make(engine, "a (my-style:1.2)")[0].recipe.networks == expected
    assert make(engine, "a cat", negative_prompt="my-style")[0].recipe.networks == expected
    assert make(engine, "a cat", negative_prompt="my-style", cfg_scale=1)[0].recipe.networks == {}
    assert make(engine, "a cat <lora:my-style:1>")[0].recipe.networks == {}, "a tag is no word"
    assert make(engine, "a [cat:my-style:1] AND a dog")[0].recipe.networks == expected, "at one step it is"
    assert make(engine, "a dog AND my-style")[0].recipe.networks == expected
    assert make(engine, "a [cat:my-style:2.0]")[0].recipe.networks == {}
    assert make(engine, "a (my-style:0)")[0].recipe.networks == {}
    assert make(engine, "a (my-style:0)", emphasis="None")[0].recipe.networks == expected, "the weight is text"


def test_the_weight_of_its_brackets_counts(engine: Engine) -> None:
    pictures = [drawn(engine, f"a (my-style:{weight})") for weight in (0.5, 1, 1.5)]
    assert len(set(pictures)) == 3
    assert pictures[1] == drawn(engine, "a my-style")


def test_half_precision_vectors_are_those_of_the_file(folder: Path) -> None:
    """What a trainer rounded stays rounded: nothing is trained into it by reading."""
    rows = vectors(2, seed=5).half()
    fake_words.a1111(folder / "embeddings" / "coarse", rows)
    fake_words.a1111(folder / "embeddings" / "fine", rows.to(torch.float32))
    engine = engine_on(folder)
    assert drawn(engine, "coarse") == drawn(engine, "fine")


def test_a_pair_is_read_by_both_text_encoders_of_sdxl(folder: Path) -> None:
    write_single(checkpoints(folder) / "large.safetensors", "sdxl")
    for name, scales in (("both", (1, 1)), ("first", (2, 1)), ("second", (1, 2))):
        rows = vectors(2, WIDTH) * scales[0], vectors(2, WIDTH_2) * scales[1]
        fake_words.pair(folder / "embeddings" / f"pair-{name}", *rows)
    engine = engine_on(folder)

    def large(prompt: str) -> bytes:
        return drawn(engine, prompt, model="large.safetensors", width=64, height=64)

    pictures = [large(prompt) for prompt in ("a cat", "a cat pair-both", "a cat pair-first", "a cat pair-second")]
    assert len(set(pictures)) == 4, "each of the two encoders counts"
    picture, notes = make(engine, "my-style", model="large.safetensors", width=64, height=64)
    assert [note.key for note in notes] == ["embedding_unfit"], "one tensor is for models of one encoder"
    assert picture.recipe.networks == {}
    assert [note.key for note in make(engine, "a pair-both")[1]] == ["embedding_unfit"], "and a pair is not"
