"""A checkpoint's own autoencoder, the one beside it, or a chosen one: picture and recipe show which."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file, save_file

from modules.engine.engine import Engine
from modules.errors import UnknownModel, WrongFamily
from modules.families.unet.layout import original
from modules.images import infotext
from modules.model_manager.header import read_header, read_safetensors
from modules.request import make_request
from modules.result import Picture
from tests.fake_models import checkpoints, engine_on, make_sd1
from tests.fakes import RecordingReport


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for seed, name in enumerate(("one", "two")):
        make_sd1(checkpoints(tmp_path) / name, seed=seed)
    return tmp_path


def weights(root: Path, name: str) -> Path:
    return checkpoints(root) / name / "vae" / "diffusion_pytorch_model.safetensors"


def make(engine: Engine, **values: Any) -> Picture:
    request = make_request({"model": "one", "prompt": "a", "steps": 1, "seed": 7, "sampler": "Euler", **values})
    ((picture, _),) = engine.generate(request, RecordingReport(), lambda picture: picture)
    return picture


def pixels(picture: Picture) -> bytes:
    return picture.image.tobytes()


def put(file: Path, place: Path) -> Path:
    place.parent.mkdir(parents=True, exist_ok=True)
    return Path(shutil.copy(file, place))


def test_a_chosen_one_decodes_the_picture_and_the_recipe_names_it(root: Path) -> None:
    file = put(weights(root, "two"), root / "models" / "VAE" / "bright.safetensors")
    engine = engine_on(root)
    own, chosen = make(engine), make(engine, vae="bright.safetensors")
    assert pixels(own) != pixels(chosen)
    assert (own.recipe.vae, own.recipe.vae_hash) == ("", "")
    digest = hashlib.sha256(file.read_bytes()).hexdigest()[:10]
    assert (chosen.recipe.vae, chosen.recipe.vae_hash) == ("bright.safetensors", digest)
    assert f"VAE hash: {digest}, VAE: bright.safetensors" in infotext.write(chosen.recipe)
    assert pixels(make(engine, vae="None")) == pixels(own)
    with pytest.raises(UnknownModel):
        make(engine, vae="nonsense.safetensors")


def test_the_one_beside_a_checkpoint_is_used_by_itself(root: Path) -> None:
    engine = engine_on(root)
    own = make(engine)
    put(weights(root, "two"), checkpoints(root) / "one.vae.safetensors")
    beside = make(engine)
    assert pixels(beside) != pixels(own)
    assert beside.recipe.vae == "one.vae.safetensors" and len(beside.recipe.vae_hash) == 10
    assert pixels(make(engine, vae="None")) == pixels(own)
    assert make(engine, model="two").recipe.vae == ""


def test_one_of_the_checkpoints_name_in_the_folder_of_vaes_is_used_by_itself(root: Path) -> None:
    put(weights(root, "two"), root / "models" / "VAE" / "one.vae.safetensors")
    put(weights(root, "two"), root / "models" / "VAE" / "one-more.safetensors")
    engine = engine_on(root)
    assert make(engine).recipe.vae == "one.vae.safetensors"


def test_the_one_a_person_wrote_down_for_a_checkpoint_goes_before_the_one_beside_it(root: Path) -> None:
    put(weights(root, "two"), root / "models" / "VAE" / "bright.safetensors")
    put(weights(root, "two"), checkpoints(root) / "one.vae.safetensors")
    engine = engine_on(root)
    for noted, used in (("bright.safetensors", "bright.safetensors"), ("None", ""), ("gone", "one.vae.safetensors")):
        engine.catalog.save_details(engine.catalog.find("one"), {"vae": noted})
        assert make(engine).recipe.vae == used


def test_the_original_layout_decodes_the_same_picture(root: Path) -> None:
    put(weights(root, "two"), root / "models" / "VAE" / "diffusers.safetensors")
    header = read_header(weights(root, "two"))
    stored = load_file(weights(root, "two"))
    places = {entry.start: key for key, entry in read_safetensors(weights(root, "two"))}
    tensors = {
        each.key: stored[places[each.parts[0].start]].reshape(each.shape).contiguous() for each in original(header)
    }
    assert "decoder.mid.block_1.conv1.weight" in tensors, "nothing is in front of the names of a VAE of its own"
    save_file(tensors, root / "models" / "VAE" / "original.safetensors")
    engine = engine_on(root)
    pictures = [make(engine, vae=f"{name}.safetensors") for name in ("diffusers", "original")]
    assert pixels(pictures[0]) == pixels(pictures[1])


def test_one_for_other_latents_is_refused(root: Path) -> None:
    tensors = load_file(weights(root, "two"))
    for key, side in (("decoder.conv_in.weight", 1), ("encoder.conv_out.weight", 0), ("encoder.conv_out.bias", 0)):
        tensors[key] = tensors[key].repeat_interleave(4, dim=side).contiguous()
    for name in ("quant_conv", "post_quant_conv"):
        for part in ("weight", "bias"):
            wide = tensors[f"{name}.{part}"].repeat_interleave(4, dim=0)
            tensors[f"{name}.{part}"] = (wide.repeat_interleave(4, dim=1) if part == "weight" else wide).contiguous()
    (root / "models" / "VAE").mkdir()
    save_file(tensors, root / "models" / "VAE" / "wide.safetensors")
    with pytest.raises(WrongFamily, match="wide"):
        make(engine_on(root), vae="wide.safetensors")


def test_clip_skip_is_in_the_recipe_and_the_text(root: Path) -> None:
    engine = engine_on(root)
    plain, skipped = make(engine), make(engine, clip_skip=2)
    assert pixels(plain) != pixels(skipped)
    assert (plain.recipe.clip_skip, skipped.recipe.clip_skip) == (1, 2)
    assert "Clip skip: 2" in infotext.write(skipped.recipe)
    assert "Clip skip" not in infotext.write(plain.recipe)
