"""The "parameters" text: written exactly as other tools expect it, and read back."""

import string

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from modules import __version__
from modules.images import infotext
from modules.request import Guidance, Sampling, Variation
from modules.result import Recipe

RECIPE = Recipe(
    prompt="a red circle",
    negative_prompt="blurry, dark",
    model="starter",
    model_hash="0123456789",
    family="sd1",
    sampler="DPM++ 2M",
    schedule="Karras",
    steps=20,
    width=512,
    height=768,
    cfg_scale=7.0,
    seed=2**64 - 1,
    device="cpu",
    dtype="fp32",
)


def changed(**values: object) -> Recipe:
    return RECIPE.model_copy(update=values)


def test_text_is_written_in_the_grammar() -> None:
    assert infotext.write(changed(notes={"Clip skip": "2", "Template": 'a {b|c}, "d"', "Plain": "Plain"})) == (
        "a red circle\nNegative prompt: blurry, dark\n"
        "Steps: 20, Sampler: DPM++ 2M, Schedule type: Karras, CFG scale: 7, Seed: 18446744073709551615, "
        "Size: 512x768, Model hash: 0123456789, Model: starter, RNG: CPU, Clip skip: 2, "
        f'Template: "a {{b|c}}, \\"d\\"", Plain, Device: cpu, Dtype: fp32, Version: easel-{__version__}'
    )


def test_networks_are_listed_with_their_hashes() -> None:
    networks = {"embedding": {"word": "cd", "bundled": ""}, "lora": {"a": "01", "b:c,d": "23"}, "other": {"x": "45"}}
    text = infotext.write(changed(networks=networks, notes={"Clip skip": "2"}))
    assert ', RNG: CPU, Lora hashes: "a: 01, bcd: 23", TI hashes: "word: cd", Clip skip: 2, ' in text
    assert infotext.read(text)["Lora hashes"] == "a: 01, bcd: 23"
    assert "hashes" not in infotext.write(changed(networks={"lora": {}, "embedding": {"bundled": ""}}))


@pytest.mark.parametrize(("scale", "written"), [(7.0, "7"), (7.5, "7.5"), (1.05, "1.05"), (30.0, "30")])
def test_numbers_are_written_as_typed(scale: float, written: str) -> None:
    assert infotext.read(infotext.write(changed(cfg_scale=scale)))["CFG scale"] == written


def test_what_is_empty_is_left_out() -> None:
    text = infotext.write(changed(prompt="", negative_prompt="", model_hash="", noise_source="GPU"))
    assert text.startswith("Steps: 20, ")
    assert not any(key in text for key in ("Negative", "hash", "RNG"))


def test_text_of_another_tool_is_read() -> None:
    fields = infotext.read(
        "a cat,\n  on a mat \nNegative prompt: dog\nsecond line\n"
        "Steps: 20, Sampler: Euler a, Seed: 1, Size: 512x512, "
        'Lora hashes: "a: 01, b: 23", Hires resize: 0x0, Model: v1-5, Version: v1.10.1'
    )
    assert fields == {
        "Prompt": "a cat,\non a mat",
        "Negative prompt": "dog\nsecond line",
        "Steps": "20",
        "Sampler": "Euler a",
        "Seed": "1",
        "Size-1": "512",
        "Size-2": "512",
        "Lora hashes": "a: 01, b: 23",
        "Hires resize-1": "0",
        "Hires resize-2": "0",
        "Model": "v1-5",
        "Version": "v1.10.1",
    }


def test_a_last_line_with_few_entries_is_words() -> None:
    assert infotext.read("a cat\nstyle: photo, mood: calm") == {
        "Prompt": "a cat\nstyle: photo, mood: calm",
        "Negative prompt": "",
    }


def test_wrong_quotes_stay_text() -> None:
    assert infotext.read(r"p" "\n" r'Steps: 1, Seed: 2, Odd: "\x", Size: 8x8')["Odd"] == r'"\x"'


@given(st.text())
def test_reading_never_fails(text: str) -> None:
    fields = infotext.read(text)
    assert {"Prompt", "Negative prompt"} <= fields.keys()


# Line ends and outer blanks do not survive this grammar, nor does a line that looks like the negative prompt's first:
# that is what the recipe beside it is for.
line = st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"])).map(str.strip)
words = st.lists(line, max_size=4).map("\n".join).map(str.strip)
words = words.filter(lambda text: all(not each.startswith(infotext.NEGATIVE) for each in text.split("\n")))
key = st.text(string.ascii_letters + string.digits + " -/", min_size=2).filter(
    lambda text: text == text.strip() and text[0].isalnum() and len(text) > 1
)
value = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)
free = key.filter(lambda name: name not in ("Sampler", "Prompt", "Negative prompt"))


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # the machine may be busy
@given(words, words, st.integers(0, 2**64 - 1), st.dictionaries(free, value, max_size=3))
def test_what_is_written_is_read_back(prompt: str, negative: str, seed: int, notes: dict[str, str]) -> None:
    fields = infotext.read(infotext.write(changed(prompt=prompt, negative_prompt=negative, seed=seed, notes=notes)))
    assert (fields["Prompt"], fields["Negative prompt"]) == (prompt, negative)
    assert fields["Sampler"] == "DPM++ 2M"
    if "Seed" not in notes:
        assert fields["Seed"] == str(seed)


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("sub/v1-5-pruned.safetensors", "v1-5-pruned"),
        ("model.ckpt", "model"),
        ("starter", "starter"),
        ("animals/Ape v1.5", "Ape v1.5"),
    ],
)
def test_a_checkpoint_is_named_as_other_tools_name_it(name: str, written: str) -> None:
    assert infotext.read(infotext.write(changed(model=name)))["Model"] == written


def test_what_tempers_guidance_is_written_as_the_reference_does() -> None:
    guidance = Guidance(rescale=0.7, skip_early=0.1, s_min_uncond=2.0, s_min_uncond_all=True)
    text = infotext.write(changed(guidance=guidance, tiling=True, old_timelines=True, pad_conds="v0"))
    assert (
        "RNG: CPU, Tiling: True, CFG Rescale: 0.7, Skip Early CFG: 0.1, NGMS: 2, NGMS all steps: True, "
        "Old prompt editing timelines: True, Pad conds v0: True, "
    ) in text
    assert ", Pad conds: False, " in infotext.write(changed(pad_conds="off"))
    assert "Pad conds" not in infotext.write(RECIPE)


def test_where_the_noise_came_from_is_told() -> None:
    variation = Variation(seed=9, strength=0.25, from_width=512, from_height=256)
    text = infotext.write(changed(variation=variation, seed_delta=31337, noise_source="NV"))
    assert "Variation seed: 9, Variation seed strength: 0.25, Seed resize from: 512x256, " in text
    assert "ENSD: 31337, RNG: NV, " in text
    assert not any(key in infotext.write(changed()) for key in ("Variation", "resize", "ENSD"))


def test_numbers_of_samplers_and_schedules_are_told_where_they_are_not_as_usual() -> None:
    sampling = Sampling(eta=0.5, s_churn=10, s_noise=1.01, sigma_max=12, sgm_noise_multiplier=True)
    text = infotext.write(changed(sampling=sampling))
    wanted = "Eta: 0.5, Sigma churn: 10, Sigma noise: 1.01, Schedule max sigma: 12, SGM noise multiplier: True, "
    assert f"RNG: CPU, {wanted}" in text
    assert not any(key in infotext.write(changed()) for key in ("Eta", "Sigma", "Schedule m", "SGM"))
