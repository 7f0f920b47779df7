from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from torch import Tensor

from modules.engine.conditioning import joined
from modules.errors import BrokenFile
from modules.families.family import Conditioning
from modules.families.unet.model import UnetModel
from modules.request import Told
from modules.sampling.prediction import ALIGNED_SDXL, Eps, V
from tests.fake_checkpoints import POOLED, WIDTH, WIDTH_2, make_networks, original_state, save_single, write_single
from tests.fake_models import make_refiner, make_sdxl
from tests.families.loading import cut, load, words
from tests.families.open_clip import OpenClip, ids_of

LONG = "circle " * 100


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> UnetModel:
    return load(make_sdxl(tmp_path_factory.mktemp("models") / "base"), "sdxl")


@pytest.fixture(scope="module")
def refiner(tmp_path_factory: pytest.TempPathFactory) -> UnetModel:
    return load(make_refiner(tmp_path_factory.mktemp("models") / "refiner"), "sdxl")


def told(model: UnetModel, conditioning: Conditioning, height: int = 8, width: int = 8) -> dict[str, Tensor]:
    """Return what the U-Net is told of the picture besides the words."""
    seen: list[dict[str, Tensor]] = []
    handle = model.unet.register_forward_pre_hook(
        lambda module, given, named: seen.append(named["added_cond_kwargs"]), with_kwargs=True
    )
    with torch.inference_mode():
        model.predict(torch.randn(len(conditioning.context), 4, height, width), 3.0, conditioning)
    handle.remove()
    return seen[0]


def test_two_encoders_say_each_word_side_by_side(base: UnetModel) -> None:
    said = words(base, "a red circle", LONG[:14])
    assert base.parts.keys() == {"unet", "vae", "text_encoder", "text_encoder_2"}
    first, second = (each.module for each in base.encoders)
    tokens = base.tokenizer("a red circle")
    with torch.inference_mode():
        padded = torch.tensor([[49406, *tokens, *[49407] * (76 - len(tokens))]])
        left = first(input_ids=padded, output_hidden_states=True)
        right = second(input_ids=ids_of(tokens), output_hidden_states=True)
    expected = torch.cat([left.hidden_states[-2], right.hidden_states[-2]], dim=-1)
    assert torch.allclose(said.context[:1], expected, atol=1e-6)
    assert said.pooled is not None
    assert torch.allclose(said.pooled[:1], right.text_embeds, atol=1e-6)


def test_the_second_encoder_reads_as_open_clip_does(tmp_path: Path) -> None:
    torch.manual_seed(4)
    tower = OpenClip(WIDTH_2, layers=3, projected=POOLED).eval().requires_grad_(False)
    state = original_state("sdxl", make_networks("sdxl"))
    state = {key: value for key, value in state.items() if not key.startswith("conditioner.embedders.1.")}
    state |= {f"conditioner.embedders.1.model.{key}": value for key, value in tower.state_dict().items()}
    model = load(save_single(tmp_path / "xl.safetensors", state, {}))
    said = words(model, "a red circle")
    ids = ids_of(model.tokenizer("a red circle"))
    assert torch.allclose(said.context[..., WIDTH:], tower.layers(ids)[-2], atol=1e-5)
    assert said.pooled is not None
    assert torch.allclose(said.pooled, tower.whole(ids), atol=1e-5)


def test_of_a_long_prompt_the_first_chunk_stands_for_the_whole(base: UnetModel) -> None:
    long, short = words(base, LONG, "blue " * 100), words(base, "circle " * 75, "blue " * 75)
    assert long.context.shape[1] == 2 * 77
    assert long.pooled is not None
    assert short.pooled is not None
    assert torch.allclose(long.pooled, short.pooled, atol=1e-5)


def test_clip_skip_never_reads_the_last_layer_and_leaves_the_whole_alone(base: UnetModel) -> None:
    one, two, three = (words(base, "red", clip_skip=skip) for skip in (1, 2, 3))
    assert torch.equal(one.context, two.context)
    assert not torch.equal(two.context, three.context)
    assert one.pooled is not None
    assert three.pooled is not None
    assert torch.equal(one.pooled, three.pooled)


def test_clip_skip_may_be_for_the_first_encoder_alone_down_to_its_last_layer(base: UnetModel) -> None:
    def alone(skip: int) -> Tensor:
        with torch.inference_mode():
            return base.encode([cut(base, "red")], skip, first_alone=True).context

    usual, third = words(base, "red").context, words(base, "red", clip_skip=3).context
    last, second = alone(1), alone(2)
    assert torch.equal(second, usual), "both are read at the last layer but one anyway"
    assert torch.equal(last[..., WIDTH:], usual[..., WIDTH:]) and not torch.equal(last, usual)
    assert torch.equal(alone(3), torch.cat([third[..., :WIDTH], usual[..., WIDTH:]], dim=-1))


def test_an_empty_negative_prompt_is_zeros_and_an_empty_prompt_is_not(base: UnetModel) -> None:
    empty = words(base, "", "blue", negative=True)
    assert empty.pooled is not None
    assert not empty.context[0].any()
    assert not empty.pooled[0].any()
    assert empty.context[1].any()
    assert empty.pooled[1].any()
    assert words(base, "").context.any()
    with torch.inference_mode():
        filled = base.encode([[*cut(base, ""), *cut(base, "")]], negative=True)
    assert not filled.context.any(), "filled up to the length of a longer prompt"


def test_the_network_is_told_the_pictures_size(base: UnetModel) -> None:
    said = words(base, "red", "blue")
    about = told(base, said, height=9, width=17)
    assert about["time_ids"].tolist() == [[72, 136, 0, 0, 72, 136]] * 2
    assert about["text_embeds"] is said.pooled


def test_the_refiner_is_told_a_score_for_each_row(refiner: UnetModel) -> None:
    assert refiner.parts.keys() == {"unet", "vae", "text_encoder_2"}
    both = joined([words(refiner, "red"), words(refiner, "", negative=True)])
    assert told(refiner, both)["time_ids"].tolist() == [[64, 64, 0, 0, 6.0], [64, 64, 0, 0, 2.5]]
    assert not both.context[1].any()


def test_the_networks_are_told_what_a_request_wants_them_to_hear(base: UnetModel, refiner: UnetModel) -> None:
    asked = Told(crop_top=32, crop_left=64, high_score=9.0, low_score=1.0)
    about = told(base.with_told(asked), words(base, "red"))
    assert about["time_ids"].tolist() == [[64, 64, 32, 64, 64, 64]]
    both = joined([words(refiner, "red"), words(refiner, "", negative=True)])
    ids = told(refiner.with_told(asked), both)["time_ids"]
    assert ids.tolist() == [[64, 64, 32, 64, 9.0], [64, 64, 32, 64, 1.0]] and ids.dtype == torch.float32
    assert told(base, words(base, "red"))["time_ids"].tolist() == [[64, 64, 0, 0, 64, 64]], "it stays as it was"


def test_encoders_of_one_width_get_their_own_weights(tmp_path: Path) -> None:
    networks = make_networks("sdxl", widths=(16, 16))
    state = original_state("sdxl", networks)
    model = load(save_single(tmp_path / "equal.safetensors", state, {}))
    for (_, stored), encoder in zip(networks.texts, model.encoders, strict=True):
        wanted = {key.removeprefix("text_model."): value for key, value in stored.state_dict().items()}
        found = {key.removeprefix("text_model."): value for key, value in encoder.module.state_dict().items()}
        assert wanted.keys() == found.keys()
        assert all(torch.equal(value, found[key]) for key, value in wanted.items())


def test_markers_say_velocity_and_noise_at_the_end(tmp_path: Path) -> None:
    plain = load(write_single(tmp_path / "plain.safetensors", "sdxl"))
    assert isinstance(plain.prediction, Eps)
    assert plain.prediction.aligned == ALIGNED_SDXL
    marked = load(write_single(tmp_path / "marked.safetensors", "sdxl", markers=("v_pred", "ztsnr")))
    assert isinstance(marked.prediction, V)
    assert marked.prediction.sigma_max > 1000
    x = torch.randn(1, 4, 8, 8) * marked.prediction.sigma_max
    with torch.inference_mode():
        clean = marked.predict(x, marked.prediction.sigma_max, words(marked, "red"))
    assert clean.isfinite().all()
    assert float(clean.abs().max()) < 100, "of nothing but noise the guess is no larger than a picture"


@pytest.mark.parametrize("part", ["text_encoder", "text_encoder_2"])
def test_a_missing_text_encoder_is_named(tmp_path: Path, part: str) -> None:
    folder = make_sdxl(tmp_path / "half")
    shutil.rmtree(folder / part)
    with pytest.raises(BrokenFile, match=rf"half has no text encoder \({part}\)"):
        load(folder)


def test_a_network_that_wants_other_numbers_is_refused(tmp_path: Path) -> None:
    folder = make_sdxl(tmp_path / "odd")
    config = folder / "unet" / "config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "addition_time_embed_dim": 16}))
    with pytest.raises(BrokenFile, match="projection_class_embeddings_input_dim"):
        load(folder)
