"""Old pictures come out again: a request that was written down is the same request when it is read."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from modules.commands.rooms import builtins
from modules.images import infotext
from modules.images.metadata import Inside
from modules.model_manager.model_file import ModelFile
from modules.offers import gather
from modules.plugins import make_plugins
from modules.request import (
    Encoding,
    Guidance,
    Hires,
    Hypertile,
    InitImage,
    Mask,
    Merging,
    Refiner,
    Request,
    Sampling,
    Soft,
    Told,
    Variation,
    make_request,
)
from modules.result import Recipe, UsedHires, UsedRefiner
from modules.server.recall import Knows, Recalled, recall, recall_text
from modules.ui.fields import as_request
from tests.fake_catalog import FakeCatalog
from tests.images.test_infotext import words

DREAM = "0123456789" + "ab" * 27
FILES = [
    ModelFile("dream", Path("dream.safetensors"), hash=DREAM[:10], sha256=DREAM, family="sd1"),
    ModelFile("starter", Path("starter"), family="sd1"),
    ModelFile("gone", Path("gone"), problem="unreadable"),
    ModelFile("soft.vae", Path("soft.vae.pt"), kind="vae", hash="aaaaaaaaaa", sha256="a" * 64),
    ModelFile("ink", Path("ink.safetensors"), kind="lora", network_hash="ffeeddccbbaa"),
]
NAME = "0" * 64


@pytest.fixture(scope="module")
def knows() -> Knows:
    offers = gather(make_plugins("ui", builtins("ui"), None))
    return cast(Knows, SimpleNamespace(catalog=FakeCatalog(FILES, "starter"), offers=offers))


def read(knows: Knows, parameters: str, prompt: str = "p") -> Recalled:
    return recall_text(f"{prompt}\n{parameters}", knows)


def recipe_of(request: Request) -> Recipe:
    """Return what the engine writes down of a request whose choices are made."""
    file = next(each for each in FILES if each.name == request.model)
    own = request.vae in ("None", "Automatic")
    shared = request.model_dump(
        exclude={"batch_count", "batch_size", "styles", "controls", "vae", "init", "mask", "extras", "hires", "tiles"}
        | {"refiner"}
    )
    others = {each.name: each.hash for each in FILES}
    return Recipe(
        **shared,
        init=request.init,
        hires=None
        if request.hires is None
        else UsedHires(asked=request.hires, width=64, height=64, model_hash=others.get(request.hires.model, "")),
        refiner=None
        if request.refiner is None
        else UsedRefiner(asked=request.refiner, model_hash=others[request.refiner.model]),
        mask=request.mask,
        extras=request.extras,
        model_hash=file.hash,
        vae="" if own else request.vae,
        vae_hash="" if own else "aaaaaaaaaa",
        device="cpu",
        dtype="fp32",
        versions={"torch": "2.10.0", "easel": "0.1.0"},
    )


def request_of(values: dict[str, Any]) -> Request:
    """Return the request of the form with those values, pictures by another name."""
    soft = values.pop("soft", False)
    kept = {name: each for name, each in values.items() if soft or not name.startswith("mask/soft/")}
    assert not kept.pop("in_tiles", False)
    if not kept.pop("hires_on", False):
        kept = {name: each for name, each in kept.items() if not name.startswith("hires/")}
    asked = as_request(kept)
    for part in ("init", "mask"):
        if part in asked:
            asked[part]["image"] = NAME
    return make_request(asked)


def share(most: float) -> st.SearchStrategy[float]:
    return st.floats(0, most)


soft = st.builds(
    Soft,
    schedule_bias=share(8),
    preservation_strength=share(8),
    transition_contrast=st.floats(1, 32),
    mask_influence=share(1),
    difference_threshold=share(8),
    difference_contrast=share(8),
)
inits = st.builds(
    InitImage,
    image=st.just(NAME),
    denoising_strength=share(1),
    resize_mode=st.sampled_from(["stretch", "crop", "fill", "latent"]),
    background=st.sampled_from(["#ffffff", "#12ab34"]),
    color_correction=st.booleans(),
    noise_multiplier=share(1.5),
    mask_weight=share(1),
    image_cfg_scale=share(3),
)
masks = st.builds(
    Mask,
    image=st.just(NAME),
    invert=st.booleans(),
    blur=st.integers(0, 64),
    fill=st.sampled_from(["fill", "original", "noise", "nothing"]),
    area=st.just("masked"),  # the padding counts there alone
    padding=st.integers(0, 256),
    soft=st.none() | soft,
)
variations = st.builds(
    Variation,
    seed=st.integers(0, 2**64 - 1),
    strength=st.floats(0.01, 1),
    from_width=st.integers(0, 256).map(lambda side: side * 8),
    from_height=st.just(512),
)
numbers = st.builds(
    Sampling,
    eta=share(1),
    eta_ddim=share(1),
    s_churn=share(100),
    s_tmin=share(10),
    s_tmax=share(999),
    s_noise=share(1.1),
    sigma_min=share(100),
    sigma_max=st.just(0.0) | st.floats(100, 10_000, exclude_min=True),
    rho=share(100),
    beta_dist_alpha=st.floats(0.01, 1),
    beta_dist_beta=st.floats(0.01, 1),
    quantize=st.booleans(),
    ddim_discretize=st.sampled_from(["uniform", "quad"]),
    uni_pc_variant=st.sampled_from(["bh1", "bh2", "vary_coeff"]),
    uni_pc_skip_type=st.sampled_from(["time_uniform", "time_quadratic", "logSNR"]),
    uni_pc_order=st.integers(1, 50),
    uni_pc_lower_order_final=st.booleans(),
    discard_penultimate=st.booleans(),
    sgm_noise_multiplier=st.booleans(),
    extra_noise=share(1),
)
guidances = st.builds(
    Guidance, rescale=share(1), skip_early=share(1), s_min_uncond=st.floats(0.01, 15), s_min_uncond_all=st.booleans()
)
tellings = st.builds(
    Told,
    crop_top=st.integers(0, 4096),
    crop_left=st.integers(0, 4096),
    high_score=share(10),
    low_score=share(10),
)
hypertiles = st.builds(
    Hypertile,
    tile_attention=st.just(True),
    tile_attention_hires=st.booleans(),
    max_depth=st.integers(0, 3),
    max_tile=st.integers(0, 512),
    swap_size=st.integers(0, 64),
)
encodings = st.builds(
    Encoding,
    old_emphasis=st.booleans(),
    comma_backtrack=st.integers(0, 74),
    clip_l_skip=st.booleans(),
    comments=st.booleans(),
    first_pass_networks=st.booleans(),
)
second = st.builds(
    Hires,
    upscaler=st.sampled_from(["Latent", "Latent (nearest)", "Lanczos"]),
    scale=st.floats(1, 4),
    steps=st.integers(0, 150),
    denoising_strength=share(1),
    sampler=st.sampled_from(["", "DPM2"]),
    schedule=st.sampled_from(["", "Exponential"]),
    model=st.sampled_from(["", "dream"]),
    prompt=words,
    negative_prompt=words,
    cfg_scale=st.just(0.0) | st.floats(1, 30),
) | st.builds(Hires, width=st.integers(1, 256).map(lambda side: side * 8), height=st.just(0))


refiners = st.builds(
    Refiner,
    model=st.sampled_from(["dream", "starter"]),
    switch_at=st.floats(0.01, 1),
    switch_by=st.sampled_from(["timesteps", "steps"]),
    passes=st.sampled_from(["first", "second", "both"]),
)


def complete(request: Request, mask: Mask, hires: Hires | None) -> Request:
    """A mask belongs to a picture, and a second pass to none; noise of no width is of the picture's.

    What is said in a second pass is something else, and without one a refiner has no choice of passes.
    """
    refiner = request.refiner
    if hires is not None:
        said = {"prompt": request.prompt, "negative_prompt": request.negative_prompt}
        hires = hires.model_copy(update={name: "" for name, text in said.items() if getattr(hires, name) == text})
    if refiner is not None and (hires is None or request.init):
        refiner = refiner.model_copy(update={"passes": "second"})
    variation = request.variation
    if variation is not None and not variation.from_width:
        variation = variation.model_copy(update={"from_height": 0})
    parts = {"mask": mask, "hires": None} if request.init else {"mask": None, "hires": hires}
    return request.model_copy(update={**parts, "variation": variation, "refiner": refiner})


sides = st.integers(8, 256).map(lambda side: side * 8)
requests = st.builds(
    Request,
    prompt=words,
    negative_prompt=words,
    model=st.sampled_from(["dream", "starter"]),
    vae=st.sampled_from(["Automatic", "soft.vae"]),
    clip_skip=st.integers(1, 12),
    sampler=st.sampled_from(["DPM++ 2M", "Euler a", "DDIM", "UniPC"]),
    schedule=st.sampled_from(["Karras", "Normal", "SGM Uniform"]),
    steps=st.integers(1, 150),
    width=sides,
    height=sides,
    cfg_scale=st.floats(1, 30),
    seed=st.integers(0, 2**64 - 1),
    variation=st.none() | variations,
    noise_source=st.sampled_from(["CPU", "GPU", "NV"]),
    seed_delta=st.integers(0, 2**32),
    sampling=st.none() | numbers,
    guidance=st.none() | guidances,
    told=st.none() | tellings,
    hypertile=st.none() | hypertiles,
    merging=st.none() | st.builds(Merging, merge_ratio=share(0.9), merge_ratio_hires=share(0.9)),
    tiling=st.booleans(),
    encoding=st.none() | encodings,
    old_timelines=st.booleans(),
    pad_conds=st.sampled_from(["chunks", "off", "v0"]),
    noise_schedule=st.sampled_from(["Default", "Zero Terminal SNR"]),
    downcast_alphas=st.booleans(),
    init=st.none() | inits,
    refiner=st.none() | refiners,
    extras=st.just({"wild": {"on": True, "words": "a, b: c"}}),
).flatmap(lambda request: st.builds(complete, st.just(request), masks, st.none() | second))


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=60)
@given(requests)
def test_a_request_comes_back_from_its_text_and_from_its_recipe(knows: Knows, request: Request) -> None:
    recipe = recipe_of(request)
    text = infotext.write(recipe)
    told = recall_text(text, knows)
    assert told.tool == "Easel" and told.left == ()
    assert request_of(dict(told.values)) == request.model_copy(update={"extras": {}})
    told = recall(Inside(text, recipe, {"parameters": text}), knows)
    assert request_of(dict(told.values)) == request and told.recipe == recipe


def test_a_checkpoint_is_found_by_its_hash_first(knows: Knows) -> None:
    told = read(knows, "Steps: 1, Seed: 2, Model hash: 0123456789, Model: other name, Version: v1.10.1, RNG: CPU")
    assert (told.values["model"], told.left, told.tool) == ("dream", (), "AUTOMATIC1111")


@pytest.mark.parametrize(
    ("parameters", "key"),
    [
        ("Model hash: 9999999999, Model: dream", "left_other_hash"),
        ("Model hash: 9999999999, Model: absent", "left_checkpoint"),
        ("Model: gone, Clip skip: 1", "left_checkpoint"),
        ("Model: dream, VAE: absent.vae.pt", "left_vae"),
        ("Model: dream, Sampler: Quantum", "left_sampler"),
        ("Model: dream, Schedule type: Quantum", "left_schedule"),
    ],
)
def test_what_is_not_here_is_said(knows: Knows, parameters: str, key: str) -> None:
    told = read(knows, f"Steps: 1, Seed: 2, RNG: CPU, {parameters}")
    assert [each.key for each in told.left] == [key]


@pytest.mark.parametrize(
    ("sampler", "found"),
    [
        ("k_euler_a", ("Euler a", "Automatic")),
        ("dpm++ 2m karras", ("DPM++ 2M", "Karras")),
        ("DPM++ SDE", ("DPM++ SDE", "Automatic")),
        ("DPM++ 2M SDE Heun Exponential", ("DPM++ 2M SDE Heun", "Exponential")),
        ("LMS Karras", ("LMS", "Karras")),
        ("DPM fast", ("DPM fast", "Automatic")),
        ("k_dpm_ad", ("DPM adaptive", "Automatic")),
        ("Restart", ("Restart", "Automatic")),
        ("ddim_cfgpp", ("DDIM CFG++", "Automatic")),
    ],
)
def test_samplers_are_known_under_every_spelling(knows: Knows, sampler: str, found: tuple[str, str]) -> None:
    told = read(knows, f"Steps: 1, Sampler: {sampler}, Seed: 2, RNG: CPU")
    assert (told.values["sampler"], told.values["schedule"]) == found


def test_a_lora_is_called_as_the_file_of_its_hash(knows: Knows) -> None:
    parameters = 'Steps: 1, Seed: 2, RNG: CPU, Lora hashes: "old name: ffeeddccbbaa, x: 0"'
    told = read(knows, parameters, "a <lora:old name:0.5> <lora:x:1> <lora:ink:1>")
    assert told.values["prompt"] == "a <lora:ink:0.5> <lora:x:1> <lora:ink:1>"
    assert [(each.key, each.values["names"]) for each in told.left] == [("left_networks", "<lora:x>")]


@pytest.mark.parametrize(("said", "source"), [("", "NV"), ("RNG: CPU", "CPU"), ("RNG: NV", "NV"), ("RNG: odd", "NV")])
def test_noise_is_drawn_as_the_text_says_or_as_nvidias_cards_do(knows: Knows, said: str, source: str) -> None:
    told = read(knows, f"Steps: 1, Seed: 2, CFG scale: 3, {said}")
    assert told.values["noise_source"] == source and not told.left


def test_a_second_pass_gets_the_names_there_are(knows: Knows) -> None:
    parameters = (
        "Steps: 1, Seed: 2, Denoising strength: 0.4, Hires sampler: k_euler, Hires upscale: 2, Hires upscaler: {}"
    )
    told = read(knows, parameters.format("latent (nearest)"))
    assert (told.values["hires/upscaler"], told.values["hires/sampler"]) == ("Latent (nearest)", "Euler")
    (left,) = read(knows, parameters.format("absent")).left
    assert left.values["entry"] == "Hires upscaler" and "Latent" in str(left.values["allowed"])


def test_checkpoints_besides_the_first_are_found_by_hash_or_name_and_said_where_they_are_not_here(knows: Knows) -> None:
    start = "Steps: 1, Seed: 2, RNG: CPU, Denoising strength: 0.4, Hires upscale: 2, Hires upscaler: Latent"
    told = read(knows, f"{start}, Hires checkpoint: old name [0123456789], Refiner: starter, Refiner switch at: 0.8")
    assert (told.values["hires/model"], told.values["refiner/model"]) == ("dream", "starter")
    assert (told.values["refiner/switch_at"], told.values["refiner/switch_by"]) == (0.8, "timesteps")
    assert told.values["refiner/passes"] == "second" and told.left == ()
    told = read(knows, f"{start}, Hires checkpoint: a [1111111111], Refiner: b [2222222222], Refiner switch at: 0.5")
    assert [(each.key, each.values["name"]) for each in told.left] == [
        ("left_refiner", "b [2222222222]"),
        ("left_hires_checkpoint", "a [1111111111]"),
    ]
    assert (told.values["hires/model"], told.values["refiner/model"]) == ("", "")
    plain = read(knows, f"{start}, Hires checkpoint: Use same checkpoint")
    assert (plain.values["hires/model"], plain.values["refiner/model"], plain.left) == ("", "", ())


def test_a_lora_of_a_second_pass_is_called_as_the_file_of_its_hash(knows: Knows) -> None:
    parameters = (
        "Steps: 1, Seed: 2, RNG: CPU, Denoising strength: 0.4, Hires upscale: 2, Hires upscaler: Latent, "
        'Hires prompt: "b <lora:old name:1>", Lora hashes: "old name: ffeeddccbbaa"'
    )
    assert read(knows, parameters).values["hires/prompt"] == "b <lora:ink:1>"


@pytest.mark.parametrize(
    ("more", "way"),
    [
        ("Version: v1.7.0", "steps"),
        ("Version: v1.10.1", "timesteps"),
        ("Refiner switch by sampling steps: True, Version: v1.10.1", "steps"),
        ("Version: f2.0.1v1.10.1-previous-1", "timesteps"),
    ],
)
def test_before_1_8_a_refiner_went_by_steps(knows: Knows, more: str, way: str) -> None:
    told = read(knows, f"Steps: 1, Seed: 2, RNG: CPU, Refiner: dream, Refiner switch at: 0.8, {more}")
    assert told.values["refiner/switch_by"] == way and told.left == ()


def test_units_of_controlnet_get_the_names_there_are(knows: Knows) -> None:
    unit = '"Module: canny, Model: absent [01234567], Weight: 0.5, Threshold A: 50, Threshold B: 60"'
    told = read(knows, f"Steps: 1, Seed: 2, RNG: CPU, ControlNet 1: {unit}")
    assert (told.units[1]["preprocessor"], told.units[1]["sliders"], told.units[1]["weight"]) == (
        "canny",
        (50, 60),
        0.5,
    )
    assert [each.key for each in told.left] == ["left_control", "left_control_picture"]


def test_a_picture_of_another_tool_fills_a_form_too(knows: Knows) -> None:
    inside = Inside(
        texts={
            "Software": "NovelAI",
            "Description": "a cat",
            "Comment": json.dumps({"steps": 28, "sampler": "k_euler", "seed": 1, "scale": 5, "uc": "dog"}),
        }
    )
    told = recall(inside, knows)
    assert told.tool == "NovelAI" and told.values["sampler"] == "Euler" and told.values["negative_prompt"] == "dog"


def test_what_was_only_made_larger_here_is_what_it_was_before(knows: Knows) -> None:
    text = "a cat\nSteps: 7, Sampler: Euler, Seed: 1, RNG: CPU"
    recipe = Recipe(given=text, postprocessing={"Postprocess upscale by": "2"}, width=8, height=8)
    told = recall(Inside(text, recipe, {"parameters": text}), knows)
    assert (told.values["steps"], told.values["prompt"], told.recipe) == (7, "a cat", None)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text())
def test_no_text_is_an_error(knows: Knows, text: str) -> None:
    recall_text(text, knows)
    recall_text(f"{text}\nSteps: 1, Sampler: {text}, Model: {text}, Model hash: {text}, Seed: 1", knows)
