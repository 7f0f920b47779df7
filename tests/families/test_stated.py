from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from modules.errors import BrokenFile
from modules.model_manager.header import read_header
from tests.fake_checkpoints import write_single

V_XL = {
    "denoiser_config": {
        "params": {"scaling_config": {"target": "sgm.modules.diffusionmodules.denoiser_scaling.VScaling"}}
    }
}


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a checkpoint that says nothing of itself."""
    return write_single(
        tmp_path_factory.mktemp("plain") / "plain.safetensors", "sd1", easel=None, vae=False, text=False
    )


def beside(plain: Path, tmp_path: Path, params: Any) -> Path:
    """Link the checkpoint to a folder where an ldm config lies beside it."""
    (tmp_path / "a.safetensors").symlink_to(plain)
    text = yaml.safe_dump({"model": {"params": params}})
    (tmp_path / "a.yaml").write_text(text)
    return tmp_path / "a.safetensors"


def test_what_is_not_said_is_left_to_the_family(plain: Path) -> None:
    header = read_header(plain)
    assert header.configs["scheduler"] == {} and "easel" not in header.configs
    assert header.configs["unet"]["attention_head_dim"] == 8


@pytest.mark.parametrize(
    ("params", "kind"),
    [
        ({"parameterization": "v"}, "v_prediction"),
        ({"parameterization": "eps"}, "epsilon"),
        (V_XL, "v_prediction"),
        ({"parameterization": "x0"}, None),
        ({"parameterization": ["v"]}, None),
        ([], None),
        ("text", None),
    ],
    ids=str,
)
def test_a_yaml_beside_the_file_says_the_prediction(plain: Path, tmp_path: Path, params: Any, kind: str | None) -> None:
    header = read_header(beside(plain, tmp_path, params))
    assert header.configs["scheduler"].get("prediction_type") == kind
    assert header.configs["yaml"]["model"]["params"] == params


@pytest.mark.parametrize(
    ("network", "heads"),
    [
        ({"num_heads": 4}, 4),
        ({"num_heads": 8, "num_head_channels": -1}, 8),
        ({"num_heads": -1, "num_head_channels": 16}, [2, 2, 4, 4]),
        ({"num_heads": "many"}, 8),
        ({"num_heads": True}, 8),
    ],
    ids=str,
)
def test_a_yaml_says_schedule_scale_and_heads(plain: Path, tmp_path: Path, network: Any, heads: Any) -> None:
    params = {"linear_start": 0.001, "linear_end": 0.02, "timesteps": 500, "scale_factor": 0.3}
    header = read_header(beside(plain, tmp_path, {**params, "unet_config": {"params": network}}))
    assert header.configs["scheduler"] == {"beta_start": 0.001, "beta_end": 0.02, "num_train_timesteps": 500}
    assert header.configs["unet"]["attention_head_dim"] == heads


def test_a_yaml_says_the_scale_of_latents(tmp_path: Path) -> None:
    file = write_single(tmp_path / "a.safetensors", "sd1", text=False)
    assert "scaling_factor" not in read_header(file).configs["vae"]
    (tmp_path / "a.yaml").write_text("model: {params: {scale_factor: 0.3}}")
    assert read_header(file).configs["vae"]["scaling_factor"] == 0.3


@pytest.mark.parametrize("dump", [json.dumps, yaml.safe_dump])
def test_a_config_in_the_metadata_is_honoured(tmp_path: Path, dump: Any) -> None:
    said = {"config": dump({"model": {"params": {"parameterization": "v"}}})}
    file = write_single(tmp_path / "a.safetensors", "sd1", vae=False, text=False, metadata=said)
    assert read_header(file).configs["scheduler"] == {"prediction_type": "v_prediction"}


@pytest.mark.parametrize("text", ["not: [a config", "5", "", "[" * 500])
def test_what_others_call_config_does_no_harm(tmp_path: Path, text: str) -> None:
    file = write_single(tmp_path / "a.safetensors", "sd1", vae=False, text=False, metadata={"config": text})
    assert read_header(file).configs["scheduler"] == {}


@pytest.mark.parametrize("ckpt", [False, True])
def test_easels_own_metadata_says_heads_and_whatever_weights_do_not(tmp_path: Path, ckpt: bool) -> None:
    easel = {
        "native_size": 96,
        "heads": {"unet": [2, 2, 4, 4], "text_encoder": 2},
        "configs": {
            "vae": {"scaling_factor": 0.5, "norm_num_groups": 4},
            "scheduler": {"prediction_type": "v_prediction"},
        },
    }
    file = write_single(tmp_path / ("a.ckpt" if ckpt else "a.safetensors"), "sd1", easel=easel, ckpt=ckpt)
    configs = read_header(file).configs
    assert configs["easel"] == easel
    assert configs["unet"]["attention_head_dim"] == [2, 2, 4, 4]
    assert configs["text_encoder"]["num_attention_heads"] == 2
    assert (configs["vae"]["scaling_factor"], configs["vae"]["norm_num_groups"]) == (0.5, 4)
    assert configs["scheduler"] == {"prediction_type": "v_prediction"}


@pytest.mark.parametrize("easel", [{"heads": 4}, {"heads": {"unet": 4}}])
def test_one_number_of_heads_is_the_u_nets(tmp_path: Path, easel: dict[str, Any]) -> None:
    configs = read_header(write_single(tmp_path / "a.safetensors", "sd1", vae=False, easel=easel)).configs
    assert configs["unet"]["attention_head_dim"] == 4
    assert configs["text_encoder"]["num_attention_heads"] == 1


@pytest.mark.parametrize(
    "easel", [{"heads": []}, {"heads": [0]}, {"heads": "x"}, {"configs": 5}, {"configs": {"unet": []}}]
)
def test_nonsense_in_easels_metadata_says_nothing(tmp_path: Path, easel: dict[str, Any]) -> None:
    configs = read_header(write_single(tmp_path / "a.safetensors", "sd1", vae=False, text=False, easel=easel)).configs
    assert configs["unet"]["attention_head_dim"] == 8


def test_metadata_of_easel_that_is_no_json_is_an_error(tmp_path: Path) -> None:
    said = {"easel": "{"}
    file = write_single(tmp_path / "a.safetensors", "sd1", vae=False, text=False, easel=None, metadata=said)
    with pytest.raises(BrokenFile, match="safetensors"):
        read_header(file)
