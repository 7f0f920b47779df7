"""Textual inversions: every layout gives the vectors it was written with, and each fits its own kind of model."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image, PngImagePlugin
from safetensors.torch import save_file
from torch import Tensor

from modules.errors import BrokenFile, UnsafeFile
from modules.model_manager.embedding_picture import carries_embedding
from modules.model_manager.embeddings import Embedding, read_embedding
from modules.model_manager.vectors import read_vectors
from tests import fake_words
from tests.fake_words import LAYOUTS, vectors

SD1, SD2 = {"text_encoder": 768}, {"text_encoder": 1024}
SDXL, REFINER = {"text_encoder": 768, "text_encoder_2": 1280}, {"text_encoder_2": 1280}


@pytest.mark.parametrize("write", LAYOUTS.values(), ids=LAYOUTS)
@pytest.mark.parametrize("count", [1, 5])
def test_every_layout_gives_its_vectors(tmp_path: Path, write: Callable[[Path, Tensor], Path], count: int) -> None:
    rows = vectors(count)
    embedding = read_embedding(write(tmp_path / "style", rows))
    assert embedding.count == count
    sources = embedding.fitting({"text_encoder": 16})
    assert sources is not None
    assert torch.equal(read_vectors(sources["text_encoder"]), rows)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_vectors_are_read_in_full_precision(tmp_path: Path, dtype: torch.dtype) -> None:
    rows = vectors().to(dtype)
    for write in (fake_words.a1111, fake_words.diffusers_safetensors):
        sources = read_embedding(write(tmp_path / "style", rows)).fitting({"text_encoder": 16})
        assert sources is not None
        assert torch.equal(read_vectors(sources["text_encoder"]), rows.float())


def test_a_matrix_that_lies_turned_is_turned_back(tmp_path: Path) -> None:
    rows = vectors(3).T.contiguous().T
    sources = read_embedding(fake_words.a1111(tmp_path / "style", rows)).fitting({"text_encoder": 16})
    assert sources is not None
    assert torch.equal(read_vectors(sources["text_encoder"]), rows)


def fits(embedding: Embedding) -> list[bool]:
    return [embedding.fitting(widths) is not None for widths in (SD1, SD2, SDXL, REFINER)]


@pytest.mark.parametrize(
    ("width", "family", "fitting"),
    [
        (768, "sd1", [True, False, False, False]),
        (1024, "sd2", [False, True, False, False]),
        (1280, "sdxl", [False, False, False, True]),
        (64, "", [False, False, False, False]),
    ],
)
def test_one_tensor_fits_models_of_its_width(tmp_path: Path, width: int, family: str, fitting: list[bool]) -> None:
    embedding = read_embedding(fake_words.a1111(tmp_path / "style", vectors(width=width)))
    assert embedding.family == family
    assert fits(embedding) == fitting


def test_a_pair_fits_sdxl_alone(tmp_path: Path) -> None:
    first, second = vectors(2, 768), vectors(2, 1280, seed=1)
    embedding = read_embedding(fake_words.pair(tmp_path / "style", first, second))
    assert (embedding.family, embedding.count) == ("sdxl", 2)
    assert fits(embedding) == [False, False, True, True]
    sources = embedding.fitting(SDXL)
    assert sources is not None
    assert torch.equal(read_vectors(sources["text_encoder"]), first)
    assert torch.equal(read_vectors(sources["text_encoder_2"]), second)
    of_refiner = embedding.fitting(REFINER)
    assert of_refiner is not None
    assert set(of_refiner) == {"text_encoder_2"}


def test_what_is_no_embedding_says_so(tmp_path: Path) -> None:
    two = tmp_path / "two.safetensors"
    save_file({"one": vectors(), "other": vectors()}, two)
    with pytest.raises(BrokenFile, match=r"two.safetensors.*2 were found"):
        read_embedding(two)
    deep = tmp_path / "deep.safetensors"
    save_file({"one": torch.zeros(2, 2, 2)}, deep)
    with pytest.raises(BrokenFile, match=r"\(2, 2, 2\)"):
        read_embedding(deep)
    with pytest.raises(BrokenFile):
        read_embedding(fake_words.a1111(tmp_path / "none", torch.zeros(0, 16)))
    uneven = fake_words.pair(tmp_path / "uneven", vectors(1, 768), vectors(2, 1280))
    with pytest.raises(BrokenFile):
        read_embedding(uneven)
    page = tmp_path / "page.pt"
    page.write_text("<!DOCTYPE html><html></html>")
    with pytest.raises(BrokenFile):
        read_embedding(page)


class Payload:
    """Leaves a file behind when it is unpickled."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return exec, ("open('ran', 'w')",)


def test_code_in_an_embedding_never_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"string_to_param": {"*": vectors()}, "name": Payload()}, "bad.pt")
    with pytest.raises(UnsafeFile):
        read_embedding(Path("bad.pt"))
    assert not Path("ran").exists()


@pytest.mark.parametrize(
    "text",
    [
        "not base64!",
        base64.b64encode(b"[1, 2").decode(),
        base64.b64encode(b"{}").decode(),
        base64.b64encode(
            json.dumps({"string_to_param": {"*": {"TORCHTENSOR": [[1.0], [1.0, 2.0]]}}}).encode()
        ).decode(),
        base64.b64encode(b'{"string_to_param": {"*": {"TORCHTENSOR": [[NaN]]}}}').decode(),
        base64.b64encode(b'{"string_to_param": {"*": {"TORCHTENSOR": [["a"]]}}}').decode(),
        base64.b64encode(b"[" * 100_000).decode(),
        "",
    ],
)
def test_a_picture_with_something_else_in_it_is_broken(tmp_path: Path, text: str) -> None:
    about = PngImagePlugin.PngInfo()
    about.add_text("sd-ti-embedding", text)
    Image.new("RGB", (8, 8)).save(tmp_path / "odd.png", pnginfo=about)
    with pytest.raises(BrokenFile, match=r"odd\.png"):
        read_embedding(tmp_path / "odd.png")


def test_pictures_that_carry_one_are_told_from_previews(tmp_path: Path) -> None:
    assert carries_embedding(fake_words.picture(tmp_path / "chunk", vectors()))
    assert carries_embedding(fake_words.pixels(tmp_path / "pixels", vectors()))
    for name, size in (("black", (40, 40)), ("dot", (1, 1)), ("wide", (5000, 5000))):
        Image.new("RGB", size).save(tmp_path / f"{name}.png")
        assert not carries_embedding(tmp_path / f"{name}.png")
    striped = Image.new("RGB", (40, 40), (200, 100, 50))
    for column in (10, 30):
        striped.paste((0, 0, 0), (column, 0, column + 1, 40))
    striped.save(tmp_path / "striped.png")
    assert not carries_embedding(tmp_path / "striped.png")


def test_pixels_that_were_cut_off_are_broken(tmp_path: Path) -> None:
    path = fake_words.pixels(tmp_path / "whole", vectors(5))
    with Image.open(path) as whole:
        whole.crop((0, 0, whole.width, whole.height - 8)).save(tmp_path / "cut.png")
    with pytest.raises(BrokenFile, match=r"cut\.png"):
        read_embedding(tmp_path / "cut.png")


def test_an_ordinary_picture_is_no_embedding(tmp_path: Path) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "plain.png")
    with pytest.raises(BrokenFile, match=r"plain\.png"):
        read_embedding(tmp_path / "plain.png")
    (tmp_path / "empty.png").touch()
    with pytest.raises(BrokenFile, match=r"empty\.png"):
        read_embedding(tmp_path / "empty.png")
