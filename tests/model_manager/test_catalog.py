from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from modules.errors import BrokenFile, UnknownModel
from modules.library.database import Database
from modules.model_manager.catalog import Catalog
from modules.model_manager.examine import Examiner, Facts
from modules.settings import ROOT, Settings
from tests import fake_words
from tests.fake_checkpoints import write_single
from tests.fake_models import NATIVE, checkpoints, make_sd1
from tests.fake_networks import picture, write_embedding, write_lora, write_tensors


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_sd1(tmp_path_factory.mktemp("models") / "tiny")


def filled(root: Path, tiny: Path, *names: str) -> Catalog:
    for name in names:
        shutil.copytree(tiny, checkpoints(root) / name)
    settings = Settings(data_dir=root)
    return Catalog(settings, database=Database(settings.database_url))


def test_folders_are_found_by_name_and_the_starter_comes_last(tmp_path: Path, tiny: Path) -> None:
    catalog = filled(tmp_path, tiny, "starter", "zebra", "animals/Ape")
    assert [file.name for file in catalog.checkpoints()] == ["animals/Ape", "zebra", "starter"]
    assert {(file.family, file.native_size, file.kind) for file in catalog.checkpoints()} == {
        ("sd1", NATIVE, "checkpoint")
    }
    assert catalog.find("").name == "animals/Ape"


def test_the_starter_is_the_default_when_it_is_alone(tmp_path: Path, tiny: Path) -> None:
    assert filled(tmp_path, tiny, "starter").find("").name == "starter"


def test_a_hash_is_worked_out_once_and_shared(tmp_path: Path, tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    catalog = filled(tmp_path, tiny, "starter")
    found = catalog.find("starter")
    assert (found.hash, found.title) == ("", "starter")
    weights = (found.path / "unet" / "diffusion_pytorch_model.safetensors").read_bytes()
    digest = hashlib.sha256(weights).hexdigest()[:10]
    assert catalog.hashed(found).hash == digest
    monkeypatch.setattr(hashlib, "file_digest", lambda *_: pytest.fail("hashed again"))
    other = Catalog(Settings(data_dir=tmp_path))
    assert other.find("").title == f"starter [{digest}]"
    for name in ("starter", "STARTER", f"starter [{digest}]", digest, "starter [0000000000]"):
        assert other.hashed(other.find(name)).hash == digest


def test_a_changed_file_has_another_hash(tmp_path: Path, tiny: Path) -> None:
    catalog = filled(tmp_path, tiny, "starter")
    before = catalog.hashed(catalog.find("")).hash
    file = checkpoints(tmp_path) / "starter" / "unet" / "diffusion_pytorch_model.safetensors"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    os.utime(file, (1, 1))
    assert catalog.find("").hash == ""
    assert catalog.hashed(catalog.find("")).hash not in ("", before)


def test_new_and_removed_models_are_noticed(tmp_path: Path, tiny: Path) -> None:
    catalog = filled(tmp_path, tiny, "one")
    assert len(catalog.checkpoints()) == 1
    shutil.copytree(tiny, checkpoints(tmp_path) / "two")
    assert len(catalog.checkpoints()) == 2
    shutil.rmtree(checkpoints(tmp_path) / "one")
    assert [file.name for file in catalog.checkpoints()] == ["two"]


def test_unknown_names_are_answered_with_the_known_ones(tmp_path: Path, tiny: Path) -> None:
    with pytest.raises(UnknownModel, match="Stable-diffusion"):
        Catalog(Settings(data_dir=tmp_path)).find("")
    catalog = filled(tmp_path, tiny, "one", "two")
    for name in ("three", "../one", str(checkpoints(tmp_path) / "one"), "[]"):
        with pytest.raises(UnknownModel, match="one, two"):
            catalog.find(name)


def test_what_no_family_knows_is_listed_but_never_the_default(tmp_path: Path, tiny: Path) -> None:
    catalog = filled(tmp_path, tiny, "a", "b")
    (checkpoints(tmp_path) / "a" / "unet" / "diffusion_pytorch_model.safetensors").write_bytes(b"")
    assert [(file.name, file.family) for file in catalog.checkpoints()] == [("a", ""), ("b", "sd1")]
    assert catalog.find("").name == "b"


def test_further_folders_and_links_are_read_and_circles_are_not_followed(tmp_path: Path, tiny: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    shutil.copytree(tiny, elsewhere / "mine")
    (checkpoints(tmp_path)).mkdir(parents=True)
    (checkpoints(tmp_path) / "linked").symlink_to(elsewhere / "mine")
    (checkpoints(tmp_path) / "outside").symlink_to(tiny)
    (checkpoints(tmp_path) / "circle").symlink_to(checkpoints(tmp_path))
    (checkpoints(tmp_path) / ".hidden").symlink_to(tiny)
    catalog = Catalog(Settings(data_dir=tmp_path, ckpt_dir=(elsewhere,)))
    assert [(file.name, file.problem) for file in catalog.checkpoints()] == [
        ("linked", ""),
        ("mine", ""),
        ("outside", "link_outside"),
    ]


def test_the_catalog_needs_no_torch(tmp_path: Path, tiny: Path) -> None:
    filled(tmp_path, tiny, "starter")
    script = (
        "import sys; sys.modules.update(torch=None, diffusers=None, transformers=None)\n"
        "from pathlib import Path\n"
        "from modules.model_manager.catalog import Catalog\n"
        "from modules.settings import Settings\n"
        "catalog = Catalog(Settings(data_dir=Path(sys.argv[1])))\n"
        "print(catalog.hashed(catalog.find('')).family)\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert ran.stdout.strip() == "sd1"


# every kind of file, without torch: headers over zeros


def library(root: Path, **settings: Any) -> Catalog:
    return Catalog(Settings(data_dir=root, **settings), {})


def names(catalog: Catalog, kind: str) -> list[str]:
    return [file.name for file in catalog.files(kind)]


def test_files_are_found_in_the_folders_of_a1111_and_of_comfyui(tmp_path: Path) -> None:
    models = tmp_path / "models"
    for place in ("Lora/a.safetensors", "LyCORIS/deep/er/b.safetensors", "loras/c.safetensors"):
        write_lora(models / place)
    write_embedding(models / "embeddings" / "in models.safetensors")
    write_embedding(tmp_path / "embeddings" / "beside models.safetensors")
    shapes = {"decoder.conv_in.weight": (1, 4, 3, 3)}
    for place in ("ESRGAN/x4.safetensors", "upscale_models/x2.safetensors", "controlnet/canny.safetensors"):
        write_tensors(models / place, shapes)
    (models / "Lora" / "Put LoRAs here.txt").touch()
    catalog = library(tmp_path)
    assert names(catalog, "lora") == ["a", "b", "c"]
    assert names(catalog, "embedding") == ["beside models", "in models"]
    assert names(catalog, "upscaler") == ["x2", "x4"]
    assert names(catalog, "controlnet") == ["canny"]
    assert [(file.name, file.folder) for file in catalog.files("lora")][1] == ("b", "deep/er")
    assert catalog.folders("lora") == ["deep", "deep/er"]


def test_other_programs_folders_are_read_in_place(tmp_path: Path) -> None:
    write_lora(tmp_path / "webui" / "models" / "Lora" / "one.safetensors")
    write_embedding(tmp_path / "webui" / "embeddings" / "word.safetensors")
    write_lora(tmp_path / "only models" / "loras" / "two.safetensors")
    write_lora(tmp_path / "loose" / "three.safetensors")
    roots = (tmp_path / "webui", tmp_path / "only models", tmp_path / "not there")
    catalog = library(tmp_path / "data", model_roots=roots, lora_dir=(tmp_path / "loose",))
    assert names(catalog, "lora") == ["one", "three", "two"]
    assert names(catalog, "embedding") == ["word"]
    assert catalog.find("two", "lora").path == tmp_path / "only models" / "loras" / "two.safetensors"


def test_a_folder_that_two_settings_name_is_read_once(tmp_path: Path) -> None:
    lora = tmp_path / "models" / "Lora"
    write_lora(lora / "inner" / "a.safetensors")
    catalog = library(tmp_path, lora_dir=(lora, lora / "inner"), model_roots=(tmp_path,))
    assert names(catalog, "lora") == ["a"]


def test_a_vae_may_lie_beside_its_checkpoint(tmp_path: Path, tiny: Path) -> None:
    weights = tiny / "vae" / "diffusion_pytorch_model.safetensors"
    for place in (
        checkpoints(tmp_path) / "sub" / "dream.vae.safetensors",
        tmp_path / "models" / "VAE" / "x.safetensors",
    ):
        place.parent.mkdir(parents=True)
        shutil.copy(weights, place)
    catalog = library(tmp_path)
    found = [("dream.vae.safetensors", ""), ("x.safetensors", "")]
    assert [(file.name, file.problem) for file in catalog.files("vae")] == found
    assert names(catalog, "checkpoint") == []


@pytest.mark.parametrize(
    "said",
    [
        "sub/dream.safetensors",
        "dream.safetensors",
        "dream",
        "sub/dream",
        "DREAM",
        "sub/dream.safetensors [{hash}]",
        "dream.safetensors [{hash}]",
        "dream [{hash}]",
        "{hash}",
        "{sha256}",
        "was called otherwise.safetensors [{hash}]",
        "dream.safetensors [0000000000]",
    ],
)
def test_a_checkpoint_answers_to_every_name_a1111_gives_it(single: Catalog, said: str) -> None:
    file = single.hashed(single.find("dream"))
    assert file.title == f"sub/dream.safetensors [{file.hash}]"
    assert single.find(said.format(hash=file.hash, sha256=file.sha256)) == file


@pytest.fixture(scope="module")
def single(tmp_path_factory: pytest.TempPathFactory) -> Catalog:
    root = tmp_path_factory.mktemp("single")
    write_single(checkpoints(root) / "sub" / "dream.safetensors", "sd1")
    write_single(checkpoints(root) / "fast-turbo.safetensors", "sd1", 1)
    return Catalog(Settings(data_dir=root))


def test_a_single_file_is_examined_by_its_header(single: Catalog) -> None:
    file = single.find("dream")
    assert (file.family, file.native_size, file.folder, file.stem) == ("sd1", NATIVE, "sub", "dream")
    assert file.size == file.path.stat().st_size and file.modified == pytest.approx(file.path.stat().st_mtime)


def test_only_a_checkpoint_made_for_other_settings_brings_some(single: Catalog) -> None:
    assert single.find("dream").defaults is None
    fast = single.find("fast-turbo").defaults
    assert fast is not None and fast.steps <= 8 and fast.cfg_scale <= 2


def test_a_lora_answers_to_its_alias_and_its_hashes(tmp_path: Path) -> None:
    path = write_lora(tmp_path / "models" / "Lora" / "style" / "ink_v2.safetensors", "sdxl", {"ss_output_name": "Ink"})
    catalog = library(tmp_path)
    file = catalog.find("ink_v2", "lora")
    assert (file.family, file.alias, file.hash) == ("sdxl", "Ink", "")
    file = catalog.hashed(file)
    data = path.read_bytes()
    tensors = data[8 + int.from_bytes(data[:8], "little") :]
    assert file.sha256 == hashlib.sha256(data).hexdigest()
    assert file.network_hash == hashlib.sha256(tensors).hexdigest()[:12]
    for said in ("Ink", "ink", "style/ink_v2", "INK_V2", file.network_hash, file.hash):
        assert catalog.find(said, "lora") == file
    for said in ("k_v", "", "none", "style"):
        with pytest.raises(UnknownModel, match="ink_v2"):
            catalog.find(said, "lora")


def test_an_alias_that_two_claim_or_that_is_a_name_belongs_to_none(tmp_path: Path) -> None:
    folder = tmp_path / "models" / "Lora"
    for name, alias in (("a", "same"), ("b", "same"), ("c", "a"), ("d", "none"), ("e", "<b>")):
        write_lora(folder / f"{name}.safetensors", metadata={"ss_output_name": alias})
    catalog = library(tmp_path)
    assert catalog.get("same", "lora") is None
    assert catalog.find("a", "lora").path.name == "a.safetensors"
    assert catalog.get("none", "lora") is None
    assert catalog.find("e", "lora").alias == ""


def test_files_of_one_name_are_told_apart_by_their_folders(tmp_path: Path) -> None:
    folder = tmp_path / "models" / "Lora"
    write_lora(folder / "detail.safetensors")
    write_lora(folder / "XL" / "detail.safetensors", "sdxl")
    catalog = library(tmp_path)
    assert names(catalog, "lora") == ["detail", "XL/detail"]
    assert catalog.find("detail", "lora").family == "sd1"
    assert catalog.find("XL/detail", "lora").family == "sdxl"


def test_a_lora_states_the_hash_of_its_tensors_itself(tmp_path: Path) -> None:
    stated = "0123456789abcdef" * 4
    write_lora(tmp_path / "models" / "Lora" / "a.safetensors", metadata={"sshs_model_hash": stated})
    write_lora(tmp_path / "models" / "Lora" / "b.safetensors", metadata={"sshs_model_hash": "<script>"})
    catalog = library(tmp_path)
    assert catalog.find("a", "lora").network_hash == stated[:12]
    assert catalog.find("b", "lora").network_hash == ""


def test_families_of_networks_and_words(tmp_path: Path) -> None:
    for family in ("sd1", "sd2", "sdxl"):
        write_lora(tmp_path / "models" / "Lora" / f"{family}.safetensors", family)
    write_tensors(
        tmp_path / "models" / "Lora" / "told.safetensors",
        {"lora_unet_x.lora_up.weight": (4, 1), "lora_unet_x.lora_down.weight": (1, 4)},
        {"ss_base_model_version": "sdxl_base_v1-0"},
    )
    write_embedding(tmp_path / "embeddings" / "one.safetensors", "sd1")
    write_embedding(tmp_path / "embeddings" / "two.safetensors", "sd2")
    catalog = library(tmp_path)
    assert [file.family for file in catalog.files("lora")] == ["sd1", "sd2", "sdxl", "sdxl"]
    assert [file.family for file in catalog.files("embedding")] == ["sd1", "sd2"]


def test_a_picture_is_an_embedding_only_when_it_carries_one(tmp_path: Path) -> None:
    folder = tmp_path / "embeddings"
    words = write_embedding(folder / "word.safetensors")
    picture(folder / "word.png", 0)
    picture(folder / "other.png", 0)
    fake_words.picture(folder / "drawn.png", fake_words.vectors(1, 768))
    catalog = library(tmp_path)
    assert [(file.name, file.preview) for file in catalog.files("embedding")] == [("drawn", True), ("word", True)]
    assert catalog.get("other", "embedding") is None
    assert catalog.find("word", "embedding").path == words


def test_a_file_in_the_wrong_folder_says_so(tmp_path: Path) -> None:
    write_embedding(tmp_path / "models" / "Lora" / "word.safetensors")
    write_lora(tmp_path / "models" / "VAE" / "lora.safetensors")
    catalog = library(tmp_path)
    for name, kind in (("word", "lora"), ("lora.safetensors", "vae")):
        assert catalog.files(kind)[0].problem == "not_this_kind"
        with pytest.raises(BrokenFile, match="something else"):
            catalog.find(name, kind)


# what is kept


def test_a_restart_reads_no_header(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(3):
        write_lora(tmp_path / "models" / "Lora" / f"{number}.safetensors", metadata={"ss_output_name": f"n{number}"})
    (tmp_path / "models" / "Lora" / "broken.safetensors").write_bytes(b"x" * 100)
    settings = Settings(data_dir=tmp_path)
    database = Database(settings.database_url)
    before = Catalog(settings, {}, database)
    assert len(before.files("lora")) == 4
    before.hashed(before.find("0", "lora"))
    monkeypatch.setattr(Examiner, "examine", lambda *_: pytest.fail("examined again"))
    for catalog in (Catalog(settings, {}, database), Catalog(settings, {})):  # a worker joins the database there is
        assert catalog.files("lora") == before.files("lora")
        assert catalog.find("n1", "lora").name == "1"
        assert catalog.get("broken", "lora") == before.get("broken", "lora")
    database.close()


def test_other_families_examine_again(tmp_path: Path) -> None:
    write_single(checkpoints(tmp_path) / "a.safetensors", "sd1")
    settings = Settings(data_dir=tmp_path)
    database = Database(settings.database_url)
    assert Catalog(settings, {}, database).checkpoints()[0].problem == "unknown_family"
    assert Catalog(settings, None, database).checkpoints()[0].family == "sd1"
    database.close()


def test_a_file_that_changed_in_place_is_examined_again(tmp_path: Path) -> None:
    path = tmp_path / "models" / "Lora" / "a.safetensors"
    write_lora(path, "sd1")
    catalog = library(tmp_path)
    changed = catalog.changed
    assert catalog.hashed(catalog.find("a", "lora")).family == "sd1"
    assert catalog.changed > changed
    write_lora(path, "sdxl")
    os.utime(path, (1, 1))
    assert (catalog.find("a", "lora").family, catalog.find("a", "lora").hash) == ("sdxl", "")


def test_a_hash_is_not_kept_for_a_file_that_changed_meanwhile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_lora(tmp_path / "models" / "Lora" / "a.safetensors")
    catalog = library(tmp_path)
    file = catalog.find("a", "lora")

    def slowly(*_: object) -> str:
        write_lora(path, "sdxl")
        assert catalog.refresh()
        return "0" * 64

    monkeypatch.setattr("modules.model_manager.chores.sha256_of", slowly)
    assert catalog.hashed(file).hash == ""


def test_finding_one_file_does_not_open_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(4):
        write_lora(tmp_path / "models" / "Lora" / f"{number}.safetensors")
    opened: list[Path] = []
    examine = Examiner.examine

    def noted(self: Examiner, path: Path, kind: str) -> Facts:
        opened.append(path)
        return examine(self, path, kind)

    monkeypatch.setattr(Examiner, "examine", noted)
    assert library(tmp_path).find("2", "lora").family == "sd1"
    assert [path.stem for path in opened] == ["2"]


def test_duplicates_are_found_by_content(tmp_path: Path) -> None:
    folder = tmp_path / "models" / "Lora"
    for name, family in (("a", "sd1"), ("b", "sd1"), ("c", "sdxl")):
        write_lora(folder / f"{name}.safetensors", family)
    shutil.copy(folder / "a.safetensors", folder.parent / "other.safetensors")
    catalog = library(tmp_path, lora_dir=(tmp_path / "models",))
    assert catalog.duplicates() == []
    for file in catalog.files("lora"):
        catalog.hashed(file)
    assert [[file.name for file in group] for group in catalog.duplicates()] == [["a", "b", "other"]]


# looking for files


@pytest.fixture
def many(tmp_path: Path) -> Catalog:
    folder = tmp_path / "models" / "Lora"
    for number in range(70):
        family = ("sd1", "sdxl")[number % 2]
        place = folder / ("ink", "oil/old", "")[number % 3] / f"style {number:02}.safetensors"
        write_lora(place, family, {"ss_output_name": f"by-{('anna', 'ben')[number % 2]}"})
        os.utime(place, (1000 - number, 1000 - number))
    (folder / "a broken one.safetensors").write_bytes(b"<html>")
    return library(tmp_path)


def test_pages_follow_each_other_and_the_broken_come_last(many: Catalog) -> None:
    first, second = many.search("lora"), many.search("lora", offset=60)
    assert (first.total, second.total, len(first.files), len(second.files)) == (71, 71, 60, 11)
    assert [file.name for file in first.files] == sorted(file.name for file in first.files)
    assert second.files[-1].name == "a broken one" and second.files[-1].problem
    assert not any(file.problem for file in first.files)


@pytest.mark.parametrize(
    ("asked", "total"),
    [
        ({"words": "style 3"}, 16),
        ({"words": "STYLE ben"}, 35),
        ({"words": "nothing of that name"}, 0),
        ({"words": "oil"}, 23),
        ({"family": "sdxl"}, 36),  # and what is of no known family
        ({"folder": "oil"}, 23),
        ({"folder": "oi"}, 0),
        ({"folder": "ink", "family": "sd1", "words": "style"}, 12),
        ({"offset": -5, "limit": -1}, 71),
        ({"offset": 1000}, 71),
    ],
)
def test_searches_narrow_down(many: Catalog, asked: dict[str, Any], total: int) -> None:
    assert many.search("lora", **asked).total == total


def test_sorting(many: Catalog) -> None:
    newest = many.search("lora", sort="modified", descending=True).files
    assert [file.name for file in newest[:2]] == ["style 00", "style 01"]
    by_path = many.search("lora", sort="path", limit=100).files
    assert [file.folder for file in by_path[:-1]] == sorted(file.folder for file in by_path[:-1])
    assert many.search("lora", sort="nonsense").files == many.search("lora").files


def test_unknown_names_of_other_kinds_are_answered_in_words(many: Catalog) -> None:
    with pytest.raises(UnknownModel) as caught:
        many.find("absent", "lora")
    assert "absent" in str(caught.value) and "style 01" in str(caught.value) and "…" in str(caught.value)
