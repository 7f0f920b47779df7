from __future__ import annotations

import pytest

from modules.families.family import Defaults
from modules.families.sd1 import Sd1
from modules.families.sdxl import Sdxl
from modules.families.unet.distilled import few_steps
from modules.sampling import dpmpp_sde, euler, lcm, schedules
from tests.families.headers import header_of

USUAL = Defaults(native_size=1024)


@pytest.mark.parametrize(
    ("file", "steps", "cfg_scale"),
    [
        ("sd_xl_turbo_1.0_fp16.safetensors", 4, 1.0),
        ("sd_turbo.safetensors", 4, 1.0),
        ("DreamShaperXL_Turbo_v2_1.safetensors", 8, 2.0),
        ("turbovisionxlSuperFastXLBasedOnNew_tvxlV431Bakedvae.safetensors", 8, 2.0),
        ("sdxl_lightning_4step.safetensors", 4, 1.0),
        ("sdxl_lightning_8step.safetensors", 8, 1.0),
        ("Juggernaut_RunDiffusionPhoto2_Lightning_4Steps.safetensors", 4, 1.0),
        ("dreamshaperXL_lightningDPMSDE.safetensors", 6, 2.0),
        ("LCM_Dreamshaper_v7_4k.safetensors", 6, 1.5),
        ("photonLCM_v10.safetensors", 6, 1.5),
        ("Hyper-SDXL-1step-Unet-Comfyui.fp16.safetensors", 1, 1.0),
        ("realvisxlV40_hyper.safetensors", 8, 1.0),
        ("Hyper-SDXL-8step-CFG.safetensors", 8, 5.0),
    ],
)
def test_a_name_tells_the_steps_and_the_guidance(file: str, steps: int, cfg_scale: float) -> None:
    found = few_steps(header_of({}, file), USUAL)
    assert (found.steps, found.cfg_scale, found.native_size) == (steps, cfg_scale, 1024)
    samplers = {each.name for each in (*euler.samplers(), *lcm.samplers(), *dpmpp_sde.samplers())}
    assert found.sampler in samplers
    assert found.schedule in {each.label for each in schedules.schedules()}


@pytest.mark.parametrize(
    "file",
    [
        "v1-5-pruned-emaonly.safetensors",
        "hyperrealism_v2.safetensors",
        "HyperRealistic.safetensors",
        "epicrealism_1000steps.safetensors",
        "alcmodel.safetensors",
    ],
)
def test_other_names_change_nothing(file: str) -> None:
    assert few_steps(header_of({}, file), USUAL) is USUAL


def test_metadata_names_a_checkpoint_too() -> None:
    header = header_of({}, "model.safetensors", metadata={"modelspec.title": "Stable Diffusion XL 1.0 Turbo"})
    assert few_steps(header, USUAL).steps == 4


def test_a_network_that_is_told_the_guidance_needs_none() -> None:
    header = header_of({"unet.time_embedding.cond_proj.weight": (320, 256)})
    found = few_steps(header, USUAL)
    assert (found.sampler, found.cfg_scale) == ("LCM", 1.0)


def test_defaults_are_the_checkpoints_own() -> None:
    plain = Sd1().defaults_for(header_of({}))
    assert (plain.native_size, plain.steps, plain.cfg_scale, plain.sampler) == (512, 20, 7.0, "")
    turbo = header_of({}, "sd_xl_turbo_1.0.safetensors", metadata={"modelspec.resolution": "512x512"})
    assert Sdxl().defaults_for(turbo).native_size == 512
    assert Sdxl().defaults_for(header_of({})).native_size == 1024
