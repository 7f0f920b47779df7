from __future__ import annotations

import hashlib
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from modules.engine.engine import Engine
from modules.engine.networks import runs
from modules.engine.report import Unrepeated
from modules.errors import BrokenFile, OutOfMemory, WrongFamily
from modules.events import Loading, Note
from modules.hooks import hookimpl
from modules.images import infotext
from modules.prompts.tags import Tag
from modules.request import Request, Shot
from modules.result import Picture
from tests import fake_words
from tests.engine.test_engine import ask, digests
from tests.fake_loras import write_lora
from tests.fake_models import checkpoints, engine_on, make_sd1
from tests.fakes import RecordingReport

TO_K = "down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k"
Q_PROJ = "encoder.layers.0.self_attn.q_proj"
MERGED = {("unet", "diffusion_pytorch_model"): TO_K, ("text_encoder", "model"): Q_PROJ}


def shot(prompt: str, negative: str = "", index: int = 0) -> Shot:
    return Shot(index=index, prompt=prompt, negative_prompt=negative, seed=7 + index)


def notes(report: RecordingReport) -> list[tuple[str, Mapping[str, Any]]]:
    return [(event.key, event.values) for event in report.events if isinstance(event, Note)]


def make(engine: Engine, prompt: str, report: RecordingReport | None = None, **values: Any) -> list[Picture]:
    request = ask(prompt=prompt, **values)
    return [picture for picture, _ in engine.generate(request, report or RecordingReport(), lambda picture: picture)]


def ranks(seed: int, out: int, inner: int) -> dict[str, Tensor]:
    rng = torch.Generator().manual_seed(seed)
    up, down = torch.randn(out, 2, generator=rng), torch.randn(2, inner, generator=rng)
    return {"lora_up.weight": up, "lora_down.weight": down, "alpha": torch.tensor(1.0)}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with a tiny model "one", LoRAs, and "merged": "one" with a LoRA at 0.5 and 2 written into it."""
    folder = tmp_path_factory.mktemp("data")
    one = make_sd1(checkpoints(folder) / "one", seed=1, dtype=torch.float32)
    merged = shutil.copytree(one, checkpoints(folder) / "merged")
    shapes = {TO_K: (32, 16), Q_PROJ: (16, 16)}
    made = {path: ranks(seed, *shapes[path]) for seed, path in enumerate(MERGED.values())}
    lora = folder / "models" / "Lora"
    names = {TO_K: "lora_unet_" + TO_K.replace(".", "_"), Q_PROJ: f"lora_te_text_model_{Q_PROJ.replace('.', '_')}"}
    layers = {names[path]: roles for path, roles in made.items()}
    write_lora(lora / "style.safetensors", layers, {"ss_output_name": "trained as"})
    write_lora(lora / "sub" / "odd.safetensors", {**layers, "lora_unet_nowhere": {"alpha": torch.tensor(1.0)}})
    write_lora(lora / "other.safetensors", {names[TO_K]: ranks(5, 32, 16)})
    write_lora(lora / "large.safetensors", {"lora_te2_text_model_encoder_layers_0_mlp_fc1": ranks(3, 4, 4)})
    write_lora(
        lora / "bundle.safetensors",
        {names[TO_K]: {"diff": torch.zeros(32, 16)}, "bundle_emb.glimmer": {"string_to_param.*": torch.ones(2, 16)}},
    )
    (lora / "broken.safetensors").write_text("<html>", encoding="utf-8")
    for strength, ((part, file), path) in zip((2.0, 0.5), MERGED.items(), strict=True):
        weights = load_file(merged / part / f"{file}.safetensors")
        (key,) = (name for name in weights if name.endswith(f"{path}.weight"))
        delta = made[path]["lora_up.weight"] @ made[path]["lora_down.weight"] / 2
        weights[key] = weights[key] + strength * delta
        save_file(weights, merged / part / f"{file}.safetensors")
    fake_words.hypernetwork(folder / "models" / "hypernetworks" / "dream.pt", (16,), seed=4)
    return folder


@pytest.fixture(scope="module")
def engine(root: Path) -> Engine:
    return engine_on(root)


def test_a_tag_makes_the_picture_of_a_checkpoint_the_lora_was_merged_into(engine: Engine) -> None:
    (with_tag,) = make(engine, "a red circle<lora:style:0.5:2>", cfg_scale=3)
    (merged,) = make(engine, "a red circle", cfg_scale=3, model="merged")
    (without,) = make(engine, "a red circle", cfg_scale=3)
    difference = [
        max(abs(a - b) for a, b in zip(with_tag.image.tobytes(), other.image.tobytes(), strict=True))
        for other in (merged, without)
    ]
    assert difference[0] <= 1  # a sum rounded another way
    assert difference[1] > 8


def test_the_weights_are_as_before_afterwards_and_a_strength_of_0_changes_nothing(engine: Engine) -> None:
    (before,) = make(engine, "a red circle")
    (strong,) = make(engine, "a red circle<lora:style>")
    (again,) = make(engine, "a red circle<lora:style>")
    (none,) = make(engine, "a red circle<lora:style:0>")
    (other,) = make(engine, "a red circle<lora:style:1:0>")
    (after,) = make(engine, "a red circle")
    assert digests([strong]) == digests([again])
    assert digests([none]) == digests([before]) == digests([after])
    assert len({*digests([strong]), *digests([other]), *digests([before])}) == 3


def test_the_recipe_keeps_the_tag_and_the_parameters_have_the_hash(root: Path, engine: Engine) -> None:
    prompt = "a <lyco:style:0.7> circle, <lora:odd:te=0:unet=1>"
    (picture,) = make(engine, prompt, negative_prompt="dark")
    assert picture.recipe.prompt == prompt
    data = (root / "models" / "Lora" / "style.safetensors").read_bytes()
    tensors = data[8 + int.from_bytes(data[:8], "little") :]
    digits = hashlib.sha256(tensors).hexdigest()[:12]  # of what follows the header
    assert picture.recipe.networks["lora"]["style"] == digits
    written = infotext.read(infotext.write(picture.recipe))
    assert written["Prompt"] == prompt
    assert written["Lora hashes"] == f"style: {digits}, odd: {picture.recipe.networks['lora']['odd']}"


def test_pictures_of_a_batch_with_other_tags_are_those_they_are_alone(root: Path) -> None:
    prompts = ["x<lora:style>", "y<lora:style>", "y", "x<lora:other:0.5>"]

    class Words:
        @hookimpl
        def around_plan(self, request: Request) -> Any:
            return lambda inner: lambda asked: tuple(shot(text, index=i) for i, text in enumerate(prompts))

    together = make(engine_on(root, Words()), "", batch_size=4)
    alone = [make(engine_on(root), text, seed=7 + i)[0] for i, text in enumerate(prompts)]
    assert digests(together) == digests(alone)
    assert [picture.recipe.index for picture in together] == [0, 1, 2, 3]
    assert [list(picture.recipe.networks.get("lora", {})) for picture in together] == [
        ["style"],
        ["style"],
        [],
        ["other"],
    ]


def test_what_is_missing_or_makes_no_sense_is_noted_once_and_the_picture_is_made(engine: Engine) -> None:
    prompt = "a circle<lora:gone:0.5><hypernet:away><lora:style:loud><wildcard:x>"
    report = RecordingReport()
    pictures = make(engine, prompt, report, batch_count=2, negative_prompt="dark<lora:style>")
    plain = make(engine, "a circle", batch_count=2, negative_prompt="dark")
    assert digests(pictures) == digests(plain)
    assert notes(report) == [
        ("tag_negative", {"kind": "lora", "name": "style"}),
        ("lora_missing", {"name": "gone"}),
        ("hypernetwork_missing", {"name": "away"}),
        ("tag_number", {"kind": "lora", "name": "style", "value": "loud"}),
        ("tag_unknown", {"kind": "wildcard", "name": "x"}),
    ]
    assert pictures[0].recipe.networks == {}
    assert pictures[0].recipe.prompt == prompt


def test_a_lora_that_fits_in_part_is_noted(engine: Engine) -> None:
    report = RecordingReport()
    make(engine, "a<lora:odd>", report)
    assert notes(report) == [("lora_misfit", {"name": "odd", "count": 1, "total": 3})]


def test_a_lora_of_another_family_or_a_broken_one_fails_the_job_and_no_other(engine: Engine) -> None:
    before = digests(make(engine, "a circle"))
    with pytest.raises(WrongFamily, match=r"large.*sdxl.*sd1"):
        make(engine, "a circle<lora:style><lora:large>")
    with pytest.raises(BrokenFile):
        make(engine, "a circle<lora:broken>")
    assert digests(make(engine, "a circle")) == before


def test_no_room_for_patched_weights_is_said_with_figures_and_forgets_what_was_kept(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = digests(make(engine, "a circle<lora:style>"))

    def full(*given: Any, **named: Any) -> Tensor:
        raise RuntimeError("[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: not enough memory")

    with monkeypatch.context() as patch:
        patch.setattr("modules.model_manager.loras.make_room", full)
        with pytest.raises(OutOfMemory):
            make(engine, "a circle<lora:other>")
    assert digests(make(engine, "a circle<lora:style>")) == before


def test_a_lora_is_found_by_its_alias_and_by_its_place(engine: Engine) -> None:
    by_name = digests(make(engine, "a<lora:style>"))
    assert digests(make(engine, "a<lora:trained as>")) == by_name
    assert digests(make(engine, "a<lora:style.safetensors>")) == by_name


def test_a_hypernetwork_goes_with_a_lora(engine: Engine) -> None:
    plain = digests(make(engine, "a"))
    (dream,) = make(engine, "a<hypernet:dream>")
    (both,) = make(engine, "a<hypernet:dream><lora:style>")
    (none,) = make(engine, "a<hypernet:dream:0>")
    assert digests([none]) == plain
    assert len({*plain, *digests([dream]), *digests([both])}) == 3
    assert set(both.recipe.networks) == {"lora", "hypernetwork"}
    assert "Hypernet hashes" in infotext.read(infotext.write(dream.recipe))


def test_a_bundled_word_is_known_only_with_its_lora(engine: Engine) -> None:
    plain, bundled = make(engine, "glimmer"), make(engine, "glimmer<lora:bundle>")
    without = make(engine, "circle"), make(engine, "circle<lora:bundle>")
    assert digests(without[0]) == digests(without[1])
    assert digests(plain) != digests(bundled)
    assert digests(make(engine, "glimmer")) == digests(plain)


def test_a_batch_is_cut_where_tags_change() -> None:
    report = RecordingReport()
    batch = [shot("a<lora:x>"), shot("<lora:x>b"), shot("c"), shot("<lora:x:2>d", "<lora:y>e <lora:z>")]
    found = runs(batch, report)
    assert [each.tags for each in found] == [(Tag("lora", "x"),), (), (Tag("lora", "x", ("2",)),)]
    assert [[plain.prompt for plain in each.plain] for each in found] == [["a", "b"], ["c"], ["d"]]
    assert [shot for each in found for shot in each.shots] == batch
    assert found[2].plain[0].negative_prompt == "e "
    assert notes(report) == [("tag_negative", {"kind": "lora", "name": "y"})]
    assert runs([], report) == []


def test_a_note_is_told_once_and_other_events_each_time() -> None:
    report = RecordingReport("skip")
    unrepeated = Unrepeated(report)
    events = [Note(key="lora_missing", values={"name": name}) for name in ("a", "b", "a")]
    for event in events:
        unrepeated.tell(event)
    for _ in range(2):
        unrepeated.tell(Loading(model="x"))
    assert report.events == [*events[:2], Loading(model="x"), Loading(model="x")]
    assert unrepeated.wanted() == "skip"
    assert unrepeated.wanted() == "go"


def test_a_second_pass_may_read_its_words_with_the_networks_of_the_first(engine: Engine) -> None:
    """One whose words are changed by a LoRA of the first pass, and whose network is not."""
    hires = {"upscaler": "Latent", "scale": 1.5, "denoising_strength": 0.6, "prompt": "a blue square"}
    first = "a red circle<lora:style:1:0>"  # its text encoder alone

    def larger(ahead: bool, **more: Any) -> Picture:
        asked = {**hires, **more}
        return make(engine, first, hires=asked, encoding={"first_pass_networks": ahead})[0]

    usual, ahead = larger(False), larger(True)
    assert digests([usual]) != digests([ahead])
    said_with_it = larger(False, prompt="a blue square<lora:style:1:0>")
    assert digests([ahead]) == digests([said_with_it]), "the words, and nothing but these"
    assert ahead.recipe.networks["lora"].keys() == {"style"}
    assert infotext.read(infotext.write(ahead.recipe))["Hires first pass conds"] == "True"
    other = larger(True, model="merged")
    assert digests([other]) == digests([larger(False, model="merged")]), "another checkpoint reads for itself"
