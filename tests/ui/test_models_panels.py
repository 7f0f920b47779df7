"""The panels of the Models tab: what they say, and that what comes from files and addresses is only ever text."""

import re
from pathlib import Path

import pytest

from modules.model_manager.model_file import ModelFile
from modules.model_manager.resident import Resident
from modules.server.download import Download
from modules.server.messages import WorkerState
from modules.server.views import Problem
from modules.ui import downloads_panel, memory_panel, models_panel
from modules.ui.memory_panel import Ram
from modules.ui.models_view import Listing, Table
from modules.words import load_words

WORDS = load_words()
HOME = Path("/data/models")
NASTY = "<script>alert(1)</script> ${7*7} \"'"


def table(*files: ModelFile, loaded: tuple[str, ...] = (), shown: Table | None = None, **more: object) -> str:
    counts = {"total": len(files), "size": 5, "offset": 0, "counts": {}, "twins": {}} | more
    return models_panel.rows(shown or Table(), Listing([[file] for file in files], **counts), loaded, HOME, WORDS)  # type: ignore[arg-type]


def text(html: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", html))


def test_a_row_says_what_a_file_is_and_where_it_lies() -> None:
    path = HOME / "Lora" / "ink" / "wash.safetensors"
    said = table(ModelFile("wash", path, "lora", "sdxl", "0123456789", sha256="ab" * 32, size=144_000_000, alias="Ink"))
    for part in ("wash", "Ink", "LoRA", "SDXL", "144 MB", "0123456789", "Usable", "models/Lora/ink"):
        assert part in text(said)
    assert f'title="{path}"' in said and f'data-clip="{"ab" * 32}"' in said and "data-act" not in said


def test_a_checkpoint_can_be_loaded_and_a_loaded_one_let_go() -> None:
    file = ModelFile("base", HOME / "base.safetensors")
    assert 'data-act="load"' in table(file) and 'data-act="unload"' in table(file, loaded=("base",))
    assert "In memory" in text(table(file, loaded=("base",)))


def test_a_broken_file_says_why_and_cannot_be_loaded() -> None:
    path = HOME / "Stable-diffusion" / "x.ckpt"
    file = ModelFile("x.ckpt", path, problem="pickle", problem_values={"file": str(path)})
    said = table(file)
    assert "Cannot be used" in said and "x.ckpt is not opened" in text(said) and "data-act" not in said


def test_what_is_the_same_is_said() -> None:
    one, two = (ModelFile(name, HOME / name, "lora", size=10**6) for name in ("one", "two"))
    assert "Same content as two" in text(table(one, two, twins={str(one.path): [one, two]}))
    found = Listing([[one, two]], 2, 2 * 10**6, 0, {}, {}, freed=10**6)
    said = text(models_panel.rows(Table(state="twice"), found, (), HOME, WORDS))
    assert "2 files of the same content, 1.0 MB each: 1.0 MB could be freed" in said


def test_names_are_text() -> None:
    said = table(ModelFile(NASTY, HOME / "a" / NASTY, "checkpoint", alias=NASTY, hash="1", sha256="1"))
    download = Download(
        "1", f"https://e.com/{NASTY}", NASTY, "", "failed", problem="download_missing", values={"host": NASTY}
    )
    said += downloads_panel.downloads([download], WORDS)
    worker = WorkerState("worker 1", "cpu", "ready", resident=(Resident(NASTY, "sd1", 5, "cpu", vae=NASTY),))
    said += memory_panel.memory([worker], Ram(10, 5), WORDS)
    said += downloads_panel.hint(f"https://e.com/lora/{NASTY}", "", {"lora": HOME / NASTY}, WORDS)
    assert "<script" not in said and said.count("&lt;script&gt;") > 8


def test_a_page_says_where_it_stands() -> None:
    file = ModelFile("a", HOME / "a", "lora", size=10**9)
    said = table(file, total=120, size=5 * 10**9, offset=50)
    assert "51–51 of 120 · 5.0 GB" in text(said) and 'data-offset="0"' in said
    assert "There are no models yet" in table(total=0) and "matches" in table(total=0, shown=Table(words="x"))


def test_the_order_is_told_to_everybody() -> None:
    said = table(ModelFile("a", HOME / "a", "lora"), shown=Table(sort="size"))
    assert re.findall(r'aria-sort="(\w+)"', said) == ["descending"]
    said = table(ModelFile("a", HOME / "a", "lora"), shown=Table(sort="name"))
    assert re.findall(r'aria-sort="(\w+)"', said) == ["ascending"]


def test_memory_shows_every_worker_with_what_it_holds() -> None:
    held = Resident("base", "sdxl", 6_500_000_000, "cuda:0 + cpu", "float16", "mse.pt", (("unet", 5 * 10**9),))
    first = WorkerState(
        "worker 1", "cuda:0", "busy", "base", resident=(held, Resident("other", "sd1", 2 * 10**9, "cpu"))
    )
    second = WorkerState("worker 2", "cpu", "ready", problem=Problem("unknown_model", {"value": "x", "allowed": "y"}))
    said = memory_panel.memory([first, second], Ram(32 * 10**9, 12 * 10**9), WORDS)
    for part in ("base", "SDXL · 6.5 GB · float16 · cuda:0 + cpu · VAE mse.pt", "12 GB of 32 GB free", "Unload all"):
        assert part in text(said)
    assert 'title="unet 5.0 GB"' in said and "There is no checkpoint named x" in text(said)
    assert said.count("Nothing is loaded") == 1 and 'data-worker="worker 1"' in said


@pytest.mark.parametrize(
    ("address", "kind", "says"),
    [
        ("", "", "checked before it is put among the models"),
        ("huggingface.co/a/b", "", "begins with https"),
        ("https://[", "", "begins with https"),
        ("https://civitai.com/models/5/ink-lora", "", "Civitai says what it is. LoRA: goes into /data/models/lora."),
        (
            "https://huggingface.co/a/b/blob/main/x.safetensors",
            "vae",
            "A file on Hugging Face. VAE: goes into /data/models/vae.",
        ),
        ("https://e.com/model.safetensors", "", "Its kind is found out when it has come."),
    ],
)
def test_what_an_address_seems_to_be_is_said_before_anybody_is_asked(address: str, kind: str, says: str) -> None:
    homes = {name: HOME / name for name in ("lora", "vae")}
    assert says in text(downloads_panel.hint(address, kind, homes, WORDS))


def test_a_download_says_how_far_it_is_and_what_can_be_done() -> None:
    half = Download("1", "https://e.com/a", "a.pt", "vae", "loading", 50 * 10**6, 10**8, 10.0**6)
    said = downloads_panel.downloads([half], WORDS)
    assert "Downloading · VAE · 50 MB of 100 MB · 1.0 MB/s · 50 s left" in text(said)
    assert 'aria-valuenow="50"' in said and re.findall(r'data-act="(\w+)"', said) == ["stop", "remove"]
    failed = Download(
        "2", "https://e.com/b", "b", "", "failed", 5, 10, problem="download_missing", values={"host": "e.com"}
    )
    said = downloads_panel.downloads([failed], WORDS)
    assert "e.com has no file at that address." in text(said)
    assert re.findall(r'data-act="(\w+)"', said) == ["resume", "remove"]
    done = downloads_panel.downloads(
        [Download("3", "https://e.com/c", "c.pt", "vae", "done", 5, 5, model="c.pt")], WORDS
    )
    assert re.findall(r'data-act="(\w+)"', done) == ["remove"] and "progressbar" not in done
    assert downloads_panel.downloads([], WORDS) == ""
