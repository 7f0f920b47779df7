from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from modules.engine.device import BIG, choose_device, choose_dtype, describe, name_of
from modules.errors import SetupError
from modules.families.family import Entry, Header
from modules.settings import ROOT, Settings


def header(parameters: int) -> Header:
    return Header(Path("model"), {"unet.weight": Entry(Path("file"), "F16", (parameters,), 0, 2 * parameters)})


def settings(tmp_path: Path, **values: str) -> Settings:
    return Settings.model_validate({"data_dir": tmp_path, **values})


def test_device_is_the_gpu_if_there_is_one(tmp_path: Path) -> None:
    expected = torch.device("cuda", 0) if torch.cuda.is_available() else torch.device("cpu")
    assert choose_device(settings(tmp_path)) == expected
    assert choose_device(settings(tmp_path, device="cpu")) == torch.device("cpu")
    assert describe(torch.device("cpu")) == "cpu"


@pytest.mark.parametrize("device", ["cuda:99", "toaster", "meta", ""])
def test_a_device_that_is_not_there_is_said_with_those_that_are(tmp_path: Path, device: str) -> None:
    with pytest.raises(SetupError, match="cpu"):
        choose_device(settings(tmp_path, device=device))


def test_small_models_are_computed_in_fp32_on_a_cpu_and_never_in_fp16(tmp_path: Path) -> None:
    cpu = torch.device("cpu")
    assert choose_dtype(settings(tmp_path), cpu, header(1000)) == torch.float32
    assert choose_dtype(settings(tmp_path), cpu, header(BIG)) in (torch.float32, torch.bfloat16)
    assert choose_dtype(settings(tmp_path, dtype="bf16"), cpu, header(1000)) == torch.bfloat16
    with pytest.raises(SetupError, match="fp16"):
        choose_dtype(settings(tmp_path, dtype="fp16"), cpu, header(1000))
    assert name_of(torch.bfloat16) == "bf16"


def test_environment_is_prepared_without_torch_and_leaves_what_a_person_set() -> None:
    script = (
        "import os, sys\n"
        "from modules.engine.threads import prepare_environment\n"
        "prepare_environment()\n"
        "print('torch' in sys.modules, os.environ['OMP_WAIT_POLICY'], os.environ['HF_HUB_OFFLINE'])"
    )
    bare = {name: value for name, value in os.environ.items() if name not in ("OMP_WAIT_POLICY", "HF_HUB_OFFLINE")}
    for given, expected in ((bare, "False PASSIVE 1"), (bare | {"OMP_WAIT_POLICY": "ACTIVE"}, "False ACTIVE 1")):
        ran = subprocess.run(
            [sys.executable, "-c", script], cwd=ROOT, env=given, capture_output=True, text=True, check=True
        )
        assert ran.stdout.strip() == expected
