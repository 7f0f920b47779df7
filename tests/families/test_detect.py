from __future__ import annotations

from dataclasses import replace

import pytest

from modules.errors import WrongFamily
from modules.families.family import Family, Header
from modules.families.signs import Has, Lacks
from modules.model_manager.identify import built_in_families, identify
from tests.families.headers import PUBLISHED, header_of, stripped

FAMILIES = built_in_families()


def known_by(header: Header) -> list[str]:
    return [name for name, family in FAMILIES.items() if family.detect(header)]


@pytest.mark.parametrize("name", PUBLISHED)
def test_each_family_detects_its_own_and_no_others_by_keys_and_shapes_alone(name: str) -> None:
    header = stripped(name)
    family, _ = PUBLISHED[name]
    assert known_by(header) == ([family] if family else [])
    if name == "sdxl":
        moved = replace(header, entries={**header.entries, "edm_mean": header.entries["unet.conv_in.bias"]})
        assert known_by(moved) == [], "Playground 2.5 has SDXL's keys, but other noise levels and latents"


def test_what_is_no_checkpoint_is_of_no_family_and_told_what_was_looked_for() -> None:
    lora = header_of({"lora_unet_mid_block_attentions_0_proj_in.lora_up.weight": (320, 4)}, "style.safetensors")
    for header in (lora, header_of({}), header_of({"unet.conv_in.weight": (320, 4, 3, 3)})):
        with pytest.raises(WrongFamily) as caught:
            identify(header, FAMILIES)
        for said in (header.path.name, "sd1", "sd2", "sdxl", "unet.conv_in.weight [?, 4|8|9, 3, 3]"):
            assert said in str(caught.value)


def test_every_family_keeps_the_contract() -> None:
    assert list(FAMILIES) == ["sd1", "sd2", "sdxl"]
    for family in FAMILIES.values():
        assert isinstance(family, Family)
        assert family.signs
        assert len(family.latent.rgb) == family.latent.channels


def test_a_sign_holds_for_one_shape_of_a_key_that_may_have_a_gap() -> None:
    header = header_of({"a.0.w": (8, 4), "a.1.w": (8, 4, 1, 1)})
    assert Has("a.0.w", (8, 4)).holds(header)
    assert Has("a.*.w", (None, (3, 4), 1, 1)).holds(header)
    assert not Has("a.*.w", (8, 5)).holds(header)
    assert not Has("a.0.w", (8, 4, 1)).holds(header)
    assert not Has("a.2.w", (None, None)).holds(header)
    assert Lacks("b.*").holds(header)
    assert not Lacks("a.*").holds(header)
    assert not Lacks("*.w").holds(header)
    assert not Lacks("a.1.w").holds(header)
