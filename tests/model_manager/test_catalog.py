from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from modules.errors import UnknownModel
from modules.library.database import Database
from modules.model_manager.catalog import Catalog
from modules.settings import ROOT, Settings
from tests.fake_models import NATIVE, checkpoints, make_sd1


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
