"""IP-Adapter: the same guesses as diffusers' own, whichever file, and nothing left behind; and the eyes it needs."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import UNet2DConditionModel
from PIL import Image
from torch import Tensor
from transformers.models.clip.image_processing_clip import CLIPImageProcessor

from modules.controls.control import NEGATIVE, Guide, Loaded, Predict, Seen, Sees, Sight, soft_weights
from modules.controls.ip_adapter import IpAdapter
from modules.controls.ip_layout import widths_of
from modules.controls.unet.hooked import place_of
from modules.controls.vision.encoder import load_image_encoder
from modules.controls.vision.layout import standard
from modules.engine.engine import Engine
from modules.errors import UnknownModel, WrongFamily
from modules.families.family import Conditioning, Entry, Header
from modules.families.unet.model import UnetModel
from modules.images.inputs import Inputs
from modules.model_manager.control_check import checked_controls
from modules.model_manager.control_kinds import built_in_controls, control_of
from modules.model_manager.header import read_header
from modules.model_manager.image_encoders import find_image_encoder
from tests.fake_checkpoints import State
from tests.fake_controls import FULL_SD1, FULL_SDXL, controls_folder, make_controlnet, write_control_file, write_state
from tests.fake_ip_adapters import (
    PARTS,
    WHOLE,
    ip_adapter_state,
    make_image_encoder,
    nested,
    write_image_encoder,
    write_nested,
)
from tests.fake_models import POOLED, WIDTH, WIDTH_2, checkpoints, engine_on, make_sd1, make_sdxl
from tests.fakes import RecordingReport, ask

SIGMA = 3.0
KINDS = ("plain", "full", "plus")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two checkpoints, an IP-Adapter of each kind for the first, one for the second, and an image encoder."""
    folder = tmp_path_factory.mktemp("ip")
    make_sd1(checkpoints(folder) / "one", seed=1)
    make_sdxl(checkpoints(folder) / "xl", seed=2)
    write_image_encoder(folder / "models" / "clip_vision" / "eye.safetensors", make_image_encoder())
    return folder


@pytest.fixture(scope="module")
def engine(data: Path) -> Engine:
    return engine_on(data)


@pytest.fixture(scope="module")
def models(engine: Engine, data: Path) -> Iterator[dict[str, UnetModel]]:
    with (
        engine.models.borrow(engine.catalog.find("one")) as one,
        engine.models.borrow(engine.catalog.find("xl")) as xl,
    ):
        assert isinstance(one, UnetModel) and isinstance(xl, UnetModel)
        for kind in KINDS:
            write_state(controls_folder(data) / f"{kind}.safetensors", ip_adapter_state(kind, one.unet))
        write_state(controls_folder(data) / "for-xl.safetensors", ip_adapter_state("plain", xl.unet))
        write_control_file(controls_folder(data) / "net.safetensors", make_controlnet())
        yield {"sd1": one, "sdxl": xl}


def inputs(family: str, rows: int = 2) -> tuple[Tensor, Conditioning]:
    random = torch.Generator().manual_seed(3)
    width = WIDTH if family == "sd1" else WIDTH + WIDTH_2
    sizes = ((rows, 4, 8, 8), (rows, 77, width), (rows, POOLED))
    x, context, pooled = (torch.randn(size, generator=random) for size in sizes)
    negative = (torch.arange(rows) % 2)[:, None]
    return SIGMA * x, Conditioning(context, pooled if family == "sdxl" else None, {NEGATIVE: negative})


def sight(seed: int = 4) -> Seen:
    random = torch.Generator().manual_seed(seed)
    whole = torch.cat([torch.randn(1, WHOLE, generator=random), torch.zeros(1, WHOLE)])
    return Seen(whole, torch.randn(2, 5, PARTS, generator=random))


def guide(seen: Seen | None = None, **values: Any) -> Guide:
    return Guide(torch.zeros(1, 3, 64, 64), seen=seen or sight(), **values)


def guess(model: UnetModel, family: str, *rings: tuple[Loaded, Guide], rows: int = 2) -> Tensor:
    predict: Predict = model.predict
    for loaded, asked in rings:
        predict = loaded.ring(model, asked)(predict)
    x, words = inputs(family, rows)
    return predict(x, SIGMA, words)


def load(path: Path, model: UnetModel) -> Loaded:
    header = read_header(path)
    kind = control_of(header, built_in_controls())
    assert kind.name == IpAdapter.name
    return kind.load(header, model)


def diffusers_says(model: UnetModel, family: str, states: list[State], seen: list[Seen], scales: list[float]) -> Tensor:
    """Return the guess of diffusers' U-Net with diffusers' own loader, projections and attention."""
    unet = UNet2DConditionModel.from_config(model.unet.config)
    unet.load_state_dict(model.unet.state_dict())
    unet._load_ip_adapter_weights([nested(state) for state in states])
    for processor in unet.attn_processors.values():
        if hasattr(processor, "scale"):
            processor.scale = scales
    x, words = inputs(family)
    told = [
        (each.whole if "image_proj.proj.weight" in state else each.parts)[:, None]
        for state, each in zip(states, seen, strict=True)
    ]
    said = unet(
        model.prediction.scale(x, SIGMA),
        model.time(SIGMA),
        words.context,
        added_cond_kwargs={**(model.about(x, words) or {}), "image_embeds": told},
        return_dict=False,
    )[0]
    return model.prediction.denoised(x, SIGMA, said)


def mark(model: UnetModel) -> str:
    """Return a digest of every weight of a U-Net, with how many hooks there are and which attention computes."""
    digest = hashlib.sha256()
    for each in model.unet.state_dict().values():
        digest.update(each.contiguous().numpy().tobytes())
    hooks = sum(len(each._forward_hooks) + len(each._forward_pre_hooks) for each in model.unet.modules())
    return f"{digest.hexdigest()} {hooks} {[id(each) for each in model.unet.attn_processors.values()]}"


@torch.inference_mode()
@pytest.mark.parametrize("family", ["sd1", "sdxl"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("ending", ["safetensors", "bin"])
def test_it_says_what_diffusers_says(
    tmp_path: Path, models: dict[str, UnetModel], family: str, kind: str, ending: str
) -> None:
    model = models[family]
    state = ip_adapter_state(kind, model.unet)
    path = tmp_path / f"ip-adapter.{ending}"
    loaded = load(write_state(path, state) if ending == "safetensors" else write_nested(path, state), model)
    before = mark(model)
    found = guess(model, family, (loaded, guide(weight=0.7)))
    wanted = diffusers_says(model, family, [state], [sight()], [0.7])
    assert torch.allclose(found, wanted, atol=1e-5)
    assert (found - guess(model, family)).abs().max() > 0.01, "it says something"
    assert mark(model) == before, "nothing of it stays"
    assert loaded.size == sum(each.nbytes for each in state.values())


@torch.inference_mode()
def test_two_units_add_up_as_diffusers_do(tmp_path: Path, models: dict[str, UnetModel]) -> None:
    model = models["sd1"]
    states = [ip_adapter_state("plain", model.unet), ip_adapter_state("plus", model.unet, seed=21)]
    units = [load(write_state(tmp_path / f"{place}.safetensors", each), model) for place, each in enumerate(states)]
    seen, scales = [sight(), sight(9)], [0.5, 1.2]
    found = guess(
        model,
        "sd1",
        *((unit, guide(each, weight=scale)) for unit, each, scale in zip(units, seen, scales, strict=True)),
    )
    assert torch.allclose(found, diffusers_says(model, "sd1", states, seen, scales), atol=1e-5)


@torch.inference_mode()
def test_beside_a_controlnet_both_count_in_any_order(data: Path, models: dict[str, UnetModel]) -> None:
    model = models["sd1"]
    adapter = (load(controls_folder(data) / "plain.safetensors", model), guide())
    header = read_header(controls_folder(data) / "net.safetensors")
    net = (control_of(header, built_in_controls()).load(header, model), guide())
    both = guess(model, "sd1", adapter, net)
    assert torch.allclose(both, guess(model, "sd1", net, adapter), atol=1e-5)
    assert all((both - guess(model, "sd1", each)).abs().max() > 1e-3 for each in (adapter, net))


@torch.inference_mode()
def test_negative_prompts_see_no_picture_and_nothing_when_the_control_counts_more(
    data: Path, models: dict[str, UnetModel]
) -> None:
    model = models["sd1"]
    loaded = load(controls_folder(data) / "plain.safetensors", model)
    plain, one, other = (
        guess(model, "sd1", *rings, rows=4) for rings in ((), [(loaded, guide())], [(loaded, guide(sight(9)))])
    )
    assert torch.equal(one[1::2], other[1::2]) and not torch.allclose(one[0::2], other[0::2], atol=1e-3)
    assert not torch.allclose(one[1::2], plain[1::2], atol=1e-4), "what stands for no picture says something too"
    more = guess(model, "sd1", (loaded, guide(mode="control")), rows=4)
    assert torch.equal(more[1::2], plain[1::2]) and torch.allclose(more[0::2], one[0::2], atol=1e-5)


@torch.inference_mode()
def test_when_the_prompt_counts_more_it_says_less(data: Path, models: dict[str, UnetModel]) -> None:
    model = models["sd1"]
    loaded = load(controls_folder(data) / "plain.safetensors", model)
    plain, full, soft = (
        guess(model, "sd1", *rings) for rings in ((), [(loaded, guide())], [(loaded, guide(mode="prompt"))])
    )
    assert 0 < (soft - plain).abs().mean() < (full - plain).abs().mean()
    assert soft_weights(2)[0] == pytest.approx(0.825)


@torch.inference_mode()
def test_a_mask_keeps_it_to_a_part(data: Path, models: dict[str, UnetModel]) -> None:
    """Nothing of it where the mask is 0; and all of it where that is 1 everywhere."""
    model = models["sd1"]
    loaded = load(controls_folder(data) / "plain.safetensors", model)
    empty, whole = torch.zeros(1, 1, 64, 64), torch.ones(1, 1, 64, 64)
    plain, full = guess(model, "sd1"), guess(model, "sd1", (loaded, guide()))
    assert torch.equal(guess(model, "sd1", (loaded, guide(mask=empty))), plain)
    assert torch.allclose(guess(model, "sd1", (loaded, guide(mask=whole))), full, atol=1e-6)
    half = whole.clone()
    half[..., 32:] = 0
    found = guess(model, "sd1", (loaded, guide(mask=half)))
    assert all((found - each).abs().max() > 0.01 for each in (plain, full))


def test_a_mask_lies_on_the_tokens_of_every_level() -> None:
    """A U-Net makes 5 cells 3, not 2."""
    mask = torch.zeros(1, 1, 40, 64)
    mask[..., :32] = 1
    whole, smaller = place_of(mask, 40, 5, 8), place_of(mask, 12, 5, 8)
    assert torch.equal(whole.reshape(5, 8), torch.tensor([1.0, 1, 1, 1, 0, 0, 0, 0]).expand(5, 8))
    assert torch.equal(smaller.reshape(3, 4), torch.tensor([1.0, 1, 0, 0]).expand(3, 4))


@torch.inference_mode()
def test_it_is_undone_when_a_guess_fails(data: Path, models: dict[str, UnetModel]) -> None:
    model = models["sd1"]
    loaded = load(controls_folder(data) / "plus.safetensors", model)
    before = mark(model)

    def fails(x: Tensor, sigma: float, conditioning: Conditioning) -> Tensor:
        raise RuntimeError("no room")

    with pytest.raises(RuntimeError):
        loaded.ring(model, guide())(fails)(*inputs("sd1")[:1], SIGMA, inputs("sd1")[1])
    assert mark(model) == before


def test_it_fits_its_own_family_alone(data: Path, models: dict[str, UnetModel]) -> None:
    mine, other = (read_header(controls_folder(data) / f"{name}.safetensors") for name in ("plain", "for-xl"))
    kind = IpAdapter()
    assert kind.misfit(mine, models["sd1"].unet.config) is None
    assert kind.misfit(other, models["sdxl"].unet.config) is None
    assert kind.misfit(other, models["sd1"].unet.config) is not None
    assert kind.misfit(mine, {}) == ("4 × (32, 64; 16)", "16 × (320, 640, 1280; 1280)")
    assert len(widths_of(FULL_SD1)) == 16 and widths_of(FULL_SD1)[0] == (320, 768)
    assert len(widths_of(FULL_SDXL)) == 70 and widths_of(FULL_SDXL)[0] == (640, 2048)
    assert isinstance(kind, Sees)
    assert kind.sight(mine) == Sight(whole=WHOLE)
    assert kind.sight(read_header(controls_folder(data) / "plus.safetensors")) == Sight(parts=PARTS)


@pytest.mark.parametrize(
    "state",
    [
        {
            "image_proj.proj.0.weight": (1024, 512),
            "image_proj.proj.2.weight": (3072, 1024),
            "image_proj.norm.weight": (8,),
        },
        {"image_proj.perceiver_resampler.proj_in.weight": (8, 8), "image_proj.proj.0.weight": (8, 8)},
        {"image_proj.latents": (1, 16, 8), "image_proj.proj_in.weight": (8, 512)},
    ],
    ids=["FaceID", "FaceID Plus", "InstantID"],
)
def test_what_wants_a_face_and_not_a_picture_is_refused(tmp_path: Path, state: dict[str, tuple[int, ...]]) -> None:
    tensors = {key: torch.zeros(shape) for key, shape in state.items()}
    pair = {f"ip_adapter.1.to_{name}_ip.weight": torch.zeros(8, 8) for name in "kv"}
    header = read_header(write_state(tmp_path / "face.safetensors", tensors | pair))
    with pytest.raises(WrongFamily, match="InsightFace"):
        control_of(header, built_in_controls())


@torch.inference_mode()
@pytest.mark.parametrize("layout", ["transformers", "open_clip", "bin", "folder"])
def test_an_image_encoder_of_any_layout_sees_the_same(
    tmp_path: Path, models: dict[str, UnetModel], layout: str
) -> None:
    """Under ComfyUI's folder and Forge's; and what it says is what transformers' own model says."""
    network = make_image_encoder()
    place = tmp_path / "models" / ("ControlNetPreprocessor/clip" if layout == "bin" else "clip_vision")
    ends = {"folder": "eye", "bin": "clip_h.pth"}
    write_image_encoder(place / ends.get(layout, f"{layout}.safetensors"), network, layout)
    header = find_image_encoder([tmp_path / "models"], Sight(parts=PARTS), "face")
    pixels = np.random.default_rng(1).integers(0, 256, (48, 40, 3), dtype=np.uint8)
    seen = load_image_encoder(header, models["sd1"]).see(pixels)
    square = {"height": 32, "width": 32}
    read = CLIPImageProcessor(size={"shortest_edge": 32}, crop_size=square)(
        images=Image.fromarray(pixels), return_tensors="pt"
    )
    values = read["pixel_values"]
    wanted = network(torch.cat([values, torch.zeros_like(values)]), output_hidden_states=True)
    assert torch.allclose(seen.whole[0], wanted.image_embeds[0], atol=1e-5)
    assert not seen.whole[1].any()
    assert torch.allclose(seen.parts, wanted.hidden_states[-2], atol=1e-5)
    assert seen.parts.shape == (2, 17, PARTS)


@pytest.mark.parametrize(
    ("width", "projection", "layers", "heads", "act"),
    [(1280, 1024, 32, 16, "gelu"), (1664, 1280, 48, 16, "gelu"), (1024, 768, 24, 16, "quick_gelu")],
    ids=["ViT-H/14", "ViT-bigG/14", "ViT-L/14"],
)
def test_a_config_is_read_from_the_shapes_of_published_encoders(
    width: int, projection: int, layers: int, heads: int, act: str
) -> None:
    shapes = {
        "vision_model.embeddings.class_embedding": (width,),
        "vision_model.embeddings.patch_embedding.weight": (width, 3, 14, 14),
        "vision_model.embeddings.position_embedding.weight": (257, width),
        "vision_model.embeddings.position_ids": (1, 257),
        "visual_projection.weight": (projection, width),
        "text_model.final_layer_norm.weight": (width,),
        **{f"vision_model.encoder.layers.{n}.mlp.fc1.weight": (4 * width, width) for n in range(layers)},
    }
    header = standard(Header(Path(), {key: Entry(Path(), "F16", shape, 0, 0) for key, shape in shapes.items()}))
    assert header is not None and len(header.entries) == len(shapes) - 2
    config = header.configs["image_encoder"]
    assert (config["hidden_size"], config["projection_dim"], config["num_hidden_layers"]) == (width, projection, layers)
    assert (config["num_attention_heads"], config["hidden_act"]) == (heads, act)
    assert (config["image_size"], config["patch_size"]) == (224, 14)


def test_an_encoder_that_is_not_there_is_asked_for_by_name(tmp_path: Path) -> None:
    folder = tmp_path / "models"
    write_image_encoder(folder / "clip_vision" / "small.safetensors", make_image_encoder())
    (folder / "clip_vision" / "broken.safetensors").write_bytes(b"nothing")
    for sight_, encoder, example in (
        (Sight(whole=1024), "CLIP ViT-H/14", "clip_h.pth"),
        (Sight(parts=1280), "CLIP ViT-H/14", "clip_h.pth"),
        (Sight(whole=1280), "CLIP ViT-bigG/14", "clip_g.pth"),
    ):
        with pytest.raises(UnknownModel, match=f"face sees pictures with the image encoder {encoder}") as caught:
            find_image_encoder([folder], sight_, "face")
        assert example in str(caught.value) and str(folder / "clip_vision") in str(caught.value)
    assert find_image_encoder([folder], Sight(whole=WHOLE), "face").path.name == "small.safetensors"


@pytest.mark.parametrize(
    ("place", "found"),
    [
        ("models/clip_vision/deeper/model.safetensors", True),
        ("models/CLIP_vision/model.safetensors", True),  # whatever the case
        ("models/ControlNetPreprocessor/CLIP-ViT-H-14.safetensors", True),
        ("models/ControlNetPreprocessor/clip_vision/clip_h.pth", True),
        ("models/ControlNetPreprocessor/other.safetensors", False),  # annotators are not looked at one by one
        ("extensions/sd-webui-controlnet/annotator/downloads/clip_vision/clip_h.pth", True),
        ("models/Lora/clip.safetensors", False),
    ],
)
def test_an_encoder_lies_where_other_programs_keep_it(tmp_path: Path, place: str, found: bool) -> None:
    path = write_image_encoder(tmp_path / "webui" / place, make_image_encoder())
    bases = [tmp_path / "easel" / "models", tmp_path / "webui" / "models"]
    if found:
        assert find_image_encoder(bases, Sight(whole=WHOLE), "face").path == path
    else:
        with pytest.raises(UnknownModel, match="easel/models/clip_vision"):
            find_image_encoder(bases, Sight(whole=WHOLE), "face")


def picture_of(data: Path, seed: int) -> str:
    pixels = np.random.default_rng(seed).integers(0, 256, (48, 40, 3), dtype=np.uint8)
    return Inputs(data / ".easel" / "inputs").keep(Image.fromarray(pixels))


def drawn(engine: Engine, *units: dict[str, Any], **values: Any) -> bytes:
    asked = {"steps": 3, "model": "one", "seed": 7, "sampler": "Euler", "width": 64, "height": 64} | values
    request = ask("a cat", controls=list(units), **asked)
    ((picture, _),) = engine.generate(request, RecordingReport(), lambda picture: picture)
    return picture.image.tobytes()


@pytest.mark.parametrize("kind", KINDS)
def test_a_request_follows_its_picture(engine: Engine, models: dict[str, UnetModel], data: Path, kind: str) -> None:
    first, second = ({"image": picture_of(data, seed), "model": kind} for seed in (1, 2))
    plain, one = drawn(engine), drawn(engine, first)
    assert len({plain, one, drawn(engine, second), drawn(engine, first, second)}) == 4
    assert drawn(engine, {**first, "weight": 0}) == plain
    assert drawn(engine, {**first, "preprocessor": "ip-adapter-auto"}) == one
    assert drawn(engine, {**first, "preprocessor": "ip-adapter-auto"}, steps=4) != drawn(engine, steps=4)
    assert drawn(engine) == plain, "nothing of it stays"


def test_a_picture_does_not_depend_on_its_batch_and_needs_no_guidance(
    engine: Engine, models: dict[str, UnetModel], data: Path
) -> None:
    unit = {"image": picture_of(data, 1), "model": "plus"}
    request = ask("a cat", controls=[unit], steps=3, model="one", seed=7, width=64, height=64, batch_size=2)
    together = [made.image.tobytes() for made, _ in engine.generate(request, RecordingReport(), lambda made: made)]
    values = {"sampler": request.sampler}
    assert together == [drawn(engine, unit, seed=seed, **values) for seed in (7, 8)]
    assert drawn(engine, unit, cfg_scale=1) != drawn(engine, cfg_scale=1)


def test_the_encoder_is_told_of_and_let_go(engine: Engine, models: dict[str, UnetModel], data: Path) -> None:
    drawn(engine, {"image": picture_of(data, 3), "model": "plain"})
    told = [each for each in engine.resident() if each.name == "eye.safetensors"]
    assert [each.size for each in told] == [sum(each.nbytes for each in make_image_encoder().parameters())]
    engine.unload("")
    assert not {"eye.safetensors", "plain"} & {each.name for each in engine.resident()}


def test_a_request_without_its_encoder_is_refused_before_it_is_queued(
    engine: Engine, models: dict[str, UnetModel], data: Path, tmp_path: Path
) -> None:
    bare = engine_on(tmp_path)
    make_sd1(checkpoints(tmp_path) / "one", seed=1)
    write_state(controls_folder(tmp_path) / "plain.safetensors", ip_adapter_state("plain", models["sd1"].unet))
    request = ask("", model="one", controls=[{"image": "0" * 64, "model": "plain"}])
    with pytest.raises(UnknownModel, match="plain sees pictures with the image encoder"):
        checked_controls(request, bare.catalog.find("one"), bare.catalog, bare.offers(), lambda name: True)
