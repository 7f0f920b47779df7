from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from modules.model_manager.catalog import Catalog
from modules.model_manager.counter import TokenCounter
from modules.model_manager.proofreader import Proofreader
from modules.settings import Settings
from tests import fake_words
from tests.fake_loras import write_lora
from tests.fake_models import checkpoints, make_sd1
from tests.fake_words import vectors


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("proof")
    make_sd1(checkpoints(root) / "tiny", seed=1)
    layers = {"lora_unet_mid": {"lora_up.weight": torch.ones(4, 1), "lora_down.weight": torch.ones(1, 4)}}
    write_lora(root / "models" / "Lora" / "style.safetensors", layers, {"ss_output_name": "trained as"})
    fake_words.a1111(root / "embeddings" / "my-style", vectors(3))
    fake_words.a1111(root / "embeddings" / "of-sd1", vectors(2, 768))
    return root


@pytest.fixture
def reader(folder: Path) -> Proofreader:
    catalog = Catalog(Settings(data_dir=folder))
    return Proofreader(catalog, TokenCounter(catalog))


def test_what_a_prompt_names_and_is_not_there_is_odd(reader: Proofreader) -> None:
    prompt = "a (my-style <lora:style:0.8> <lora:nothing> <hypernet:nothing> <lorra:style:1> <lora:style:much> of-sd1"
    assert [(each.key, each.place, each.values) for each in reader.oddities(prompt, "tiny")] == [
        ("open", 3, {"near": "(my-style…", "bracket": "("}),
        ("lora_missing", 0, {"name": "nothing"}),
        ("hypernetwork_missing", 0, {"name": "nothing"}),
        ("tag_kind", 0, {"kind": "lorra", "name": "style"}),
        ("tag_number", 0, {"kind": "lora", "name": "style", "value": "much"}),
        ("embedding_unused", 0, {"name": "of-sd1"}),
    ]


def test_what_is_there_is_not(reader: Proofreader) -> None:
    assert reader.oddities("a <lora:style:0.8:te=1> <lyco:trained as> my-style", "tiny") == []
    assert reader.oddities("", "no such checkpoint") == []


def test_tags_in_a_negative_prompt_are_odd_once(reader: Proofreader) -> None:
    found = reader.oddities("a <lora:style:1> <lora:nothing>", "tiny", negative=True)
    assert [(each.key, each.values) for each in found] == [("tag_negative", {"kind": "lora", "name": "style"})]


def test_proofreading_needs_no_torch(folder: Path) -> None:
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "from pathlib import Path\n"
        "from modules.model_manager.catalog import Catalog\n"
        "from modules.model_manager.counter import TokenCounter\n"
        "from modules.model_manager.proofreader import Proofreader\n"
        "from modules.settings import Settings\n"
        f"catalog = Catalog(Settings(data_dir=Path({str(folder)!r})))\n"
        "print(Proofreader(catalog, TokenCounter(catalog)).oddities('(of-sd1', 'tiny')[1].key)\n"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    assert said.stdout.strip() == "embedding_unused"
