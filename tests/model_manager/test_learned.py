"""Learned words of a folder as each kind of model can read them, and how the page counts them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from modules.errors import BrokenFile
from modules.model_manager.catalog import Catalog
from modules.model_manager.counter import TokenCounter
from modules.model_manager.embeddings import Embedding, embedding_of, read_embedding
from modules.model_manager.header import read_header
from modules.model_manager.learned import Vocabularies, text_widths
from modules.model_manager.vectors import LearnedVectors
from modules.prompts.vocabulary import ClipTokenizer
from modules.settings import Settings
from tests import fake_words
from tests.fake_models import WIDTH, checkpoints, make_sd1
from tests.fake_words import vectors

TINY = {"text_encoder": WIDTH}


@pytest.fixture(scope="module")
def clip() -> ClipTokenizer:
    return ClipTokenizer()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A data folder with a tiny checkpoint and embeddings: two that fit it, and one of SD 1."""
    make_sd1(checkpoints(tmp_path) / "tiny")
    fake_words.a1111(tmp_path / "embeddings" / "my-style", vectors(3))
    fake_words.diffusers_safetensors(tmp_path / "models" / "embeddings" / "nested" / "other", vectors(2, seed=1))
    fake_words.a1111(tmp_path / "embeddings" / "of-sd1", vectors(4, 768))
    return tmp_path


def catalog(folder: Path) -> Catalog:
    return Catalog(Settings(data_dir=folder))


def test_only_what_fits_the_text_encoder_is_a_word(folder: Path, clip: ClipTokenizer) -> None:
    words = Vocabularies(catalog(folder)).of(clip, TINY)
    assert set(words) == {"my-style", "other", "of-sd1"}
    assert words.words.within("a my-style, of-sd1 and other") == (["my-style", "other"], ["of-sd1"])
    refused = words.refused("of-sd1")
    assert isinstance(refused, Embedding)
    assert refused.family == "sd1"
    assert words.refused("my-style") is None
    of_sd1 = Vocabularies(catalog(folder)).of(clip, {"text_encoder": 768})
    assert of_sd1.words.within("a my-style, of-sd1 and other") == (["of-sd1"], ["my-style", "other"])


def test_vectors_are_read_by_name(folder: Path, clip: ClipTokenizer) -> None:
    learned = LearnedVectors(Vocabularies(catalog(folder)).of(clip, TINY))
    assert torch.equal(learned["my-style"]["text_encoder"], vectors(3))
    assert torch.equal(learned["other"]["text_encoder"], vectors(2, seed=1))
    for absent in ("of-sd1", "nothing"):
        assert absent not in dict.fromkeys(name for name in learned if learned.get(name))
        with pytest.raises(KeyError):
            learned[absent]


def test_a_file_that_breaks_later_is_text_with_a_reason(folder: Path, clip: ClipTokenizer) -> None:
    words = Vocabularies(catalog(folder)).of(clip, TINY)
    path = folder / "embeddings" / "my-style.pt"
    path.write_bytes(path.read_bytes()[:200])
    assert words.words.within("my-style") == ([], ["my-style"])
    assert isinstance(words.refused("my-style"), BrokenFile)


def test_the_vocabulary_stays_until_the_folder_changes(folder: Path, clip: ClipTokenizer) -> None:
    vocabularies = Vocabularies(catalog(folder))
    first = vocabularies.of(clip, TINY)
    assert vocabularies.of(clip, {"text_encoder": 768}) is not first
    assert vocabularies.of(clip, TINY) is first
    fake_words.a1111(folder / "embeddings" / "fresh", vectors(1))
    second = vocabularies.of(clip, TINY)
    assert second is not first
    assert second.words.within("fresh") == (["fresh"], [])


def test_words_that_come_with_another_network_win(folder: Path, clip: ClipTokenizer) -> None:
    vocabularies = Vocabularies(catalog(folder))
    inside = read_embedding(fake_words.a1111(folder / "elsewhere", vectors(5, seed=9)))
    words = vocabularies.of(clip, TINY, {"my-style": inside, "bundled": inside})
    assert words.words.within("my-style bundled other") == (["my-style", "bundled", "other"], [])
    assert words.vectors("my-style") == 5
    assert torch.equal(LearnedVectors(words)["my-style"]["text_encoder"], vectors(5, seed=9))
    assert vocabularies.of(clip, TINY, {"my-style": inside, "bundled": inside}) is words
    assert vocabularies.of(clip, TINY).vectors("my-style") == 3


def test_a_bundled_pair_is_one_word(tmp_path: Path) -> None:
    path = fake_words.pair(tmp_path / "pair", vectors(2, 768), vectors(2, 1280))
    assert embedding_of(read_header(path).entries, "lora").family == "sdxl"


def test_widths_are_those_of_the_checkpoint(folder: Path) -> None:
    assert text_widths(read_header(checkpoints(folder) / "tiny")) == TINY


def test_the_counter_counts_what_the_checkpoint_reads(folder: Path, clip: ClipTokenizer) -> None:
    counter = TokenCounter(catalog(folder))
    plain = len(clip("of-sd1"))
    assert counter.count("a my-style, other", "tiny") == (1 + 3 + 1 + 2, 75)
    assert counter.count("a of-sd1", "tiny") == (1 + plain, 75), "the text it is to this checkpoint"
    assert counter.count("a my-style <lora:my-style:0.8>", "tiny") == (1 + 3, 75), "tags are no words"
    assert counter.count("a my-style", "no such checkpoint") == (1 + len(clip("my-style")), 75)
    assert counter.count("", "tiny") == (0, 75)


def test_the_counter_counts_the_longest_of_what_is_said(folder: Path) -> None:
    counter = TokenCounter(catalog(folder))
    assert counter.count("a [red:blue green:0.5] dog", "tiny", steps=10) == (4, 75)
    assert counter.count("a [red:blue green:20] dog", "tiny", steps=10) == (3, 75), "that step never comes"
    assert counter.count("a red dog AND a my-style", "tiny") == (4, 75)
    assert counter.count("a red dog AND a dog", "tiny", negative=True) == (6, 75), "it joins nothing there"
    assert counter.count("[a|" + "b " * 80 + "]", "tiny", steps=2) == (80, 150)


def test_the_counter_tells_where_chunks_end(folder: Path) -> None:
    counter = TokenCounter(catalog(folder))
    assert counter.borders("a red dog", "tiny") == []
    assert counter.borders("a red dog, 고양이 BREAK a my-style, other BREAK c", "tiny") == [
        "red dog , 고양이",
        "a my-style , other",
    ]
    phrase = "red " * 60 + ", a tall tree, " + "blue " * 30
    assert counter.borders(f"a <lora:x:1> [dog:{phrase}:1]", "tiny", steps=3) == ["a tall tree ,"]


def test_counting_needs_no_torch(folder: Path) -> None:
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "from pathlib import Path\n"
        "from modules.model_manager.catalog import Catalog\n"
        "from modules.model_manager.counter import TokenCounter\n"
        "from modules.settings import Settings\n"
        f"print(*TokenCounter(Catalog(Settings(data_dir=Path({str(folder)!r})))).count('a my-style', 'tiny'))\n"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    assert said.stdout.split() == ["4", "75"]
