"""Files that are broken, lie, or mean harm: each is listed with its reason, none is loaded, and nothing runs."""

from __future__ import annotations

import os
import pickle
import shutil
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from modules.errors import ModelError
from modules.library.database import Database
from modules.model_manager.autoencoders import Autoencoders
from modules.model_manager.catalog import Catalog
from modules.settings import Settings
from tests.fake_models import make_sd1
from tests.fake_networks import beside, picture, write_embedding, write_lora, write_tensors

Made = Callable[[Path], object]
RAN = "it ran"


class Code:
    """Makes a folder when it is unpickled."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return os.mkdir, (str(self.folder / RAN),)


def torch_zip(path: Path, value: object) -> None:
    """Write what torch.save would, with anything in it."""
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("archive/data.pkl", pickle.dumps(value, protocol=2))
        file.writestr("archive/version", "3\n")
        file.writestr("archive/data/0", bytes(8))


def with_code(path: Path) -> None:
    torch_zip(path, {"state_dict": {"a": Code(path.parent)}})


def with_code_before_1_6(path: Path) -> None:
    path.write_bytes(
        b"".join(pickle.dumps(each, protocol=2) for each in (0x1950A86A20F9469CFC6C, 1001, Code(path.parent)))
    )


def bare_pickle(path: Path) -> None:
    path.write_bytes(pickle.dumps(Code(path.parent)))


def truncated(path: Path) -> None:
    data = write_lora(path).read_bytes()
    path.write_bytes(data[:-100])


def header_cut(path: Path) -> None:
    data = write_lora(path).read_bytes()
    path.write_bytes(data[:40])


def of_eight_gigabytes(path: Path) -> None:
    path.write_bytes(struct.pack("<Q", 8 * 2**30) + b'{"a": 1}' * 100)


def web_page(path: Path) -> None:
    path.write_text("<!DOCTYPE html><html><body>404 Not Found</body></html>")


def deep(path: Path) -> None:
    text = b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    path.write_bytes(struct.pack("<Q", len(text)) + text)


def huge_tensor(path: Path) -> None:
    text = b'{"a":{"dtype":"F16","shape":[1000000,1000000],"data_offsets":[0,2000000000000]}}'
    path.write_bytes(struct.pack("<Q", len(text)) + text + bytes(64))


def no_dictionary(path: Path) -> None:
    path.write_bytes(struct.pack("<Q", 2) + b"[]")


def nothing(path: Path) -> None:
    path.touch()


def pipe(path: Path) -> None:
    os.mkfifo(path)


def link_to_nowhere(path: Path) -> None:
    path.symlink_to(path.parent / "gone.safetensors")


def link_out(path: Path) -> None:
    outside = path.parents[3] / "outside"
    write_lora(outside / "fine.safetensors")
    path.symlink_to(outside / "fine.safetensors")


HARMFUL: dict[str, tuple[str, str, Made]] = {  # file -> (kind, its folder, how it is made)
    "code.ckpt": ("checkpoint", "Stable-diffusion", with_code),
    "code.pt": ("lora", "Lora", with_code),
    "old code.pt": ("lora", "Lora", with_code_before_1_6),
    "bare.pt": ("lora", "Lora", bare_pickle),
    "word.pt": ("embedding", "embeddings", with_code),
    "word.bin": ("embedding", "embeddings", bare_pickle),
    "hyper.pt": ("hypernetwork", "hypernetworks", with_code),
    "colour.vae.pt": ("vae", "Stable-diffusion", with_code),
    "control.pth": ("controlnet", "ControlNet", with_code),
    "upscaler.pth": ("upscaler", "ESRGAN", with_code_before_1_6),
}
BROKEN: dict[str, Made] = {
    "truncated": truncated,
    "header cut": header_cut,
    "of eight gigabytes": of_eight_gigabytes,
    "web page": web_page,
    "deep": deep,
    "huge tensor": huge_tensor,
    "no dictionary": no_dictionary,
    "nothing": nothing,
    "pipe": pipe,
    "link to nowhere": link_to_nowhere,
    "link out": link_out,
    "<script>alert(1)<": lambda path: write_lora(path),
    "..\\..\\evil": lambda path: write_lora(path),
    "..evil": lambda path: write_lora(path),
    "new\nline": lambda path: write_lora(path),
}
FOLDERS = {"checkpoint": "Stable-diffusion", "lora": "Lora", "embedding": "embeddings", "upscaler": "ESRGAN"}


def refused(catalog: Catalog, path: Path, kind: str) -> str:
    """See to it that the file is listed with a reason, and that it cannot be had; return the reason."""
    file = next(file for file in catalog.files(kind) if file.path == path)
    assert file.problem
    fault = file.fault()
    assert fault is not None and "{" not in str(fault), str(fault)
    for name in (file.name, file.title, path.name, file.stem):
        with pytest.raises(ModelError):
            catalog.find(name, kind)
    assert file in catalog.search(kind).files
    catalog.details(file)
    assert catalog.hashed(file).hash == ""
    return str(fault)


@pytest.mark.parametrize("name", HARMFUL)
def test_code_in_a_file_is_named_and_never_run(tmp_path: Path, name: str) -> None:
    kind, folder, make = HARMFUL[name]
    path = tmp_path / "models" / folder / name
    path.parent.mkdir(parents=True)
    make(path)
    reason = refused(Catalog(Settings(data_dir=tmp_path)), path, kind)
    assert name in reason
    assert not list(tmp_path.rglob(RAN))


@pytest.mark.parametrize("kind", FOLDERS)
@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_file_is_listed_with_its_reason(tmp_path: Path, name: str, kind: str) -> None:
    folder = tmp_path / "models" / FOLDERS[kind]
    folder.mkdir(parents=True)
    path = folder / f"{name}.safetensors"
    BROKEN[name](path)
    settings = Settings(data_dir=tmp_path)
    database = Database(settings.database_url)
    reason = refused(Catalog(settings, None, database), path, kind)
    assert refused(Catalog(settings, None, database), path, kind) == reason  # also when it is read from the index
    database.close()


def test_one_broken_file_does_no_harm_to_others(tmp_path: Path) -> None:
    folder = tmp_path / "models" / "Lora"
    folder.mkdir(parents=True)
    for name, make in BROKEN.items():
        make(folder / f"{name}.safetensors")
    os.close(os.open(bytes(folder) + b"/no \xff text.safetensors", os.O_CREAT))
    write_lora(folder / "sound.safetensors")
    settings = Settings(data_dir=tmp_path)
    database = Database(settings.database_url)
    catalog = Catalog(settings, {}, database)
    files = catalog.files("lora")
    assert [file.name for file in files if not file.problem] == ["sound"]
    assert len(files) == len(BROKEN) + 2
    for file in files:
        file.name.encode()  # text that can be shown, kept and sent
        assert "\n" not in file.name or file.problem == "model_name"
    assert catalog.find("sound", "lora").family == "sd1"
    database.close()


def test_two_files_of_one_name(tmp_path: Path) -> None:
    for root, family in (("one", "sd1"), ("two", "sdxl")):
        write_lora(tmp_path / root / "same.safetensors", family)
    catalog = Catalog(Settings(data_dir=tmp_path, lora_dir=(tmp_path / "one", tmp_path / "two")), {})
    first, second = catalog.files("lora")
    assert (first.name, first.problem, first.family) == ("same", "", "sd1")
    assert second.problem == "same_name" and second.name != "same"
    assert str(first.path) in str(second.fault())
    assert catalog.find("same", "lora") == first
    with pytest.raises(ModelError, match="same name"):
        catalog.find(second.name, "lora")
    first.path.unlink()
    assert catalog.find("same", "lora").family == "sdxl"


def test_a_link_to_a_folder_outside_is_listed_and_not_entered(tmp_path: Path) -> None:
    folder = tmp_path / "models" / "Lora"
    write_lora(tmp_path / "outside" / "inner.safetensors")
    write_lora(folder / "sound.safetensors")
    (folder / "out").symlink_to(tmp_path / "outside")
    (folder / "everything").symlink_to("/")
    (folder / "round").symlink_to(folder)
    catalog = Catalog(Settings(data_dir=tmp_path), {})
    listed = {file.name: file.problem for file in catalog.files("lora")}
    assert listed == {"sound": "", "out": "link_outside", "everything": "link_outside"}
    allowed = Catalog(Settings(data_dir=tmp_path, lora_dir=(tmp_path / "outside",)), {})
    assert {file.name: file.problem for file in allowed.files("lora")} == {
        "sound": "",
        "inner": "",
        "everything": "link_outside",
    }


def test_a_folder_of_models_may_itself_be_a_link(tmp_path: Path) -> None:
    """Who keeps the whole folder on another disk set that up by hand."""
    write_lora(tmp_path / "disk" / "a.safetensors")
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "Lora").symlink_to(tmp_path / "disk")
    assert Catalog(Settings(data_dir=tmp_path), {}).find("a", "lora").family == "sd1"


def test_a_diffusers_folder_does_not_lead_out_either(tmp_path: Path) -> None:
    model = tmp_path / "models" / "Stable-diffusion" / "model"
    secret = write_tensors(tmp_path / "secret.safetensors", {"conv_in.weight": (4, 4, 3, 3)})
    (model / "unet").mkdir(parents=True)
    (model / "model_index.json").write_text("{}")
    (model / "unet" / "config.json").write_text("{}")
    (model / "unet" / "diffusion_pytorch_model.safetensors").symlink_to(secret)
    (file,) = Catalog(Settings(data_dir=tmp_path), {}).checkpoints()
    assert file.problem == "link_outside" and "unet" in str(file.fault())


def test_what_lies_beside_a_file_is_no_way_out(tmp_path: Path) -> None:
    folder = tmp_path / "models" / "Lora"
    path = write_lora(folder / "a.safetensors")
    (tmp_path / "secret.txt").write_text("the secret")
    picture(tmp_path / "secret.png", 0)
    beside(tmp_path / "secret.safetensors", notes="the secret")
    (folder / "a.txt").symlink_to(tmp_path / "secret.txt")
    (folder / "a.json").symlink_to(tmp_path / "secret.json")
    (folder / "a.png").symlink_to(tmp_path / "secret.png")
    catalog = Catalog(Settings(data_dir=tmp_path), {})
    details = catalog.details(catalog.find("a", "lora"))
    assert (details.description, details.notes, details.preview) == ("", "", None)
    assert path.exists()


@pytest.mark.parametrize(
    "content", [b"", b"[1, 2]", b"{" * 50_000, b"\xff\xfe\x00", b'{"notes": ["x"], "preferred weight": {}}']
)
def test_nonsense_beside_a_file_is_left_out(tmp_path: Path, content: bytes) -> None:
    folder = tmp_path / "models" / "Lora"
    write_lora(folder / "a.safetensors", metadata={"ss_tag_frequency": "[[[", "modelspec.trigger_phrase": "ink"})
    for name in ("a.json", "a.civitai.info"):
        (folder / name).write_bytes(content)
    catalog = Catalog(Settings(data_dir=tmp_path), {})
    details = catalog.details(catalog.find("a", "lora"))
    assert (details.notes, details.preferred_weight, details.tags, details.trigger_words) == ("", 0.0, [], "ink")


def test_an_embedding_of_absurd_size_is_only_measured(tmp_path: Path) -> None:
    folder = tmp_path / "embeddings"
    write_embedding(folder / "fine.safetensors")
    text = b'{"emb_params":{"dtype":"F16","shape":[1000000000,768],"data_offsets":[0,1536000000000]}}'
    (folder / "absurd.safetensors").write_bytes(struct.pack("<Q", len(text)) + text)
    catalog = Catalog(Settings(data_dir=tmp_path), {})
    assert {file.name: bool(file.problem) for file in catalog.files("embedding")} == {"absurd": True, "fine": False}


def test_a_vae_beside_its_checkpoint_is_no_way_out_either(tmp_path: Path) -> None:
    folder = tmp_path / "models" / "Stable-diffusion"
    model = make_sd1(folder / "dream")
    outside = shutil.copy(model / "vae" / "diffusion_pytorch_model.safetensors", tmp_path / "outside.safetensors")
    beside = folder / "dream.vae.safetensors"
    beside.symlink_to(outside)
    catalog = Catalog(Settings(data_dir=tmp_path))
    autoencoders = Autoencoders(catalog)
    with pytest.raises(ModelError, match="leads out"):
        autoencoders.chosen(catalog.find("dream"), "Automatic")
    assert autoencoders.chosen(catalog.find("dream"), "None") is None
    beside.unlink()
    shutil.copy(outside, beside)
    found = autoencoders.chosen(catalog.find("dream"), "Automatic")
    assert found is not None and found.path == beside and len(found.hash) == 10
