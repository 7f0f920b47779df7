"""Models added from an address, against a web server on this computer."""

import errno
import io
import json
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import torch

from modules.errors import DownloadError
from modules.library.database import Database
from modules.server import transfer
from modules.server.download import Download
from modules.server.downloads import Downloads, Library
from modules.server.outward import Outward
from modules.server.sources import Hubs, Source
from tests.local_web import LORA, Served, Web, safetensors, web
from tests.serving import until

CHECKPOINT = safetensors("model.diffusion_model.input_blocks.0.0.weight", "first_stage_model.decoder.conv_in.weight")
PLAIN = safetensors("something", "else")
PAGE = b"<!DOCTYPE html><html><title>Log in</title>" + b" " * 20_000


@pytest.fixture
def site() -> Iterator[Web]:
    with web() as found:
        yield found


@dataclass
class Place:
    """Downloads into a folder of the test's own, with a catalog that knows what arrived."""

    folder: Path
    site: Web
    database: Database
    known: dict[str, str] = field(default_factory=dict)  # SHA-256 to name
    arrived: list[tuple[str, str, str]] = field(default_factory=list)
    downloads: Downloads = field(init=False)

    def __post_init__(self) -> None:
        self.open()

    def open(self) -> None:
        library = Library(lambda kind: self.folder / kind, lambda digest: self.known.get(digest, ""), self._arrive)
        hubs = Hubs(self.site.address + "/hf", self.site.address + "/civitai", "hf-key", "civitai-key")
        parts = self.folder / ".downloads"
        self.downloads = Downloads(self.database, parts, library, Outward(private=True, patience=5.0), hubs)

    def _arrive(self, path: Path, kind: str, source: Source) -> str:
        self.arrived.append((path.name, kind, source.trigger))
        return path.stem

    def get(self, id: str) -> Download:
        return next(each for each in self.downloads.all() if each.id == id)

    def ended(self, id: str) -> Download:
        until(lambda: self.get(id).state in ("done", "failed", "stopped"), 20)
        return self.get(id)

    def fetch(self, address: str, **wanted: str) -> Download:
        return self.ended(self.downloads.add(address, **wanted))

    def files(self) -> dict[str, bytes]:
        """Every file there is, by its path below the folder."""
        found = (
            path
            for path in self.folder.rglob("*")
            if path.is_file() and path.suffix not in (".db", ".db-wal", ".db-shm")
        )
        return {path.relative_to(self.folder).as_posix(): path.read_bytes() for path in found}


@pytest.fixture
def place(tmp_path: Path, site: Web, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    monkeypatch.setattr(transfer, "LONGEST_REST", 0.01)
    database = Database(f"sqlite:///{tmp_path / 'easel.db'}")
    made = Place(tmp_path, site, database)
    yield made
    made.downloads.close()
    database.close()


def test_a_file_comes_to_where_its_kind_lies(place: Place, site: Web) -> None:
    address = site.put("/files/My%20Style.safetensors", Served(LORA))
    done = place.fetch(address + "?download=true&secret=abc")
    assert (done.state, done.kind, done.model, done.bytes, done.total) == (
        "done",
        "lora",
        "My Style",
        len(LORA),
        len(LORA),
    )
    assert place.files() == {"lora/My Style.safetensors": LORA}
    assert place.arrived == [("My Style.safetensors", "lora", "")]
    assert done.address == site.address + "/files/My Style.safetensors"  # what may be a key is not shown


@pytest.mark.parametrize(
    ("body", "path", "kind"),
    [
        (CHECKPOINT, "/lora/model.safetensors", "checkpoint"),  # its keys know better than its address
        (safetensors("emb_params"), "/a.safetensors", "embedding"),
        (safetensors("clip_g", "clip_l"), "/b.safetensors", "embedding"),
        (safetensors("encoder.down.0.block.0.conv1.weight", "decoder.conv_in.weight"), "/c.safetensors", "vae"),
        (safetensors("control_model.zero_convs.0.0.weight"), "/d.safetensors", "controlnet"),
        (safetensors("ip_adapter.1.to_k_ip.weight"), "/i.safetensors", "controlnet"),
        (safetensors("conv_first.weight", "body.0.rdb1.conv1.weight"), "/e.safetensors", "upscaler"),
        (safetensors("unet.down_blocks.0.attentions.0.lora_A.weight"), "/f.safetensors", "lora"),
        (PLAIN, "/LyCORIS/g.safetensors", "lora"),  # the address is all there is
    ],
)
def test_the_kind_is_found_out(place: Place, site: Web, body: bytes, path: str, kind: str) -> None:
    assert place.fetch(site.put(path, Served(body))).kind == kind
    assert list(place.files()) == [f"{kind}/{path.rpartition('/')[2]}"]


def test_a_person_chooses_kind_and_name_and_what_comes_has_no_kind_otherwise(place: Place, site: Web) -> None:
    address = site.put("/plain.safetensors", Served(PLAIN, etag='"1"'))
    failed = place.fetch(address)
    assert (failed.state, failed.problem) == ("failed", "download_kind")
    done = place.fetch(address, kind="upscaler", name="../../up\\four <x>", sha256=Served(PLAIN).sha256.upper())
    assert done.id == failed.id and done.state == "done"
    assert place.files() == {"upscaler/four x.safetensors": PLAIN}
    assert [headers.get("range") for headers in site.heard("/plain.safetensors")][1:] == [f"bytes={len(PLAIN)}-"]


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ('attachment; filename="Detail Tweaker.safetensors"', "Detail Tweaker.safetensors"),
        ("attachment; filename*=UTF-8''%EC%88%98%EC%B1%84%ED%99%94.safetensors", "수채화.safetensors"),
        ('attachment; filename="../../etc/cron.d/x.safetensors"', "x.safetensors"),
        ('attachment; filename="..\\..\\<script>alert(1)</script>.safetensors"', "script.safetensors"),
        ('attachment; filename="CON.safetensors"', "_CON.safetensors"),
        ('attachment; filename=".hidden.safetensors"', "hidden.safetensors"),
        ("inline", "get.safetensors"),
    ],
)
def test_the_name_is_the_servers_and_never_a_path(place: Place, site: Web, header: str, name: str) -> None:
    address = site.put("/get", Served(LORA, headers={"Content-Disposition": header}))
    assert place.fetch(address).state == "done"
    assert list(place.files()) == [f"lora/{name}"]


def test_a_line_that_breaks_is_taken_up_again(place: Place, site: Web) -> None:
    served = Served(LORA, etag='"v1"', cuts=[30_000, 20_000])
    done = place.fetch(site.put("/a.safetensors", served), sha256=served.sha256)
    assert done.state == "done" and place.files() == {"lora/a.safetensors": LORA}
    ranges = [headers.get("range") for headers in site.heard("/a.safetensors")]
    assert ranges == [None, "bytes=30000-", "bytes=50000-"]
    assert site.heard("/a.safetensors")[1]["if-range"] == '"v1"'


def test_a_file_that_changed_meanwhile_is_not_mixed_with_the_old_one(place: Place, site: Web) -> None:
    gate = threading.Event()
    address = site.put("/a.safetensors", Served(LORA, etag='"old"', gate=gate))
    id = place.downloads.add(address)
    until(lambda: place.get(id).bytes > 0)
    place.downloads.stop(id)
    other = safetensors("x.lora_down.weight", fill=7, size=50_000)
    site.put("/a.safetensors", Served(other, etag='"new"'))
    gate.set()
    place.downloads.resume(id)
    assert place.ended(id).state == "done" and place.files() == {"lora/a.safetensors": other}


def test_what_was_stopped_goes_on_after_a_restart_and_not_by_itself(place: Place, site: Web) -> None:
    gate = threading.Event()
    address = site.put("/a.safetensors", Served(LORA, etag='"v"', gate=gate))
    id = place.downloads.add(address + "?token=secret", kind="lora")
    until(lambda: place.get(id).bytes > 0)
    place.downloads.close()
    gate.set()
    until(lambda: not any(each.name == "download" for each in threading.enumerate()))
    assert b"secret" not in b"".join(path.read_bytes() for path in place.folder.glob("easel.db*"))
    asked = len(site.asked)
    place.open()
    (kept,) = place.downloads.all()
    assert (kept.state, kept.name, kept.kind, kept.total) == ("stopped", "a.safetensors", "lora", len(LORA))
    assert 0 < kept.bytes < len(LORA) and len(site.asked) == asked
    place.downloads.resume(id)
    assert place.ended(id).state == "done" and place.files() == {"lora/a.safetensors": LORA}
    assert site.asked[-1][1]["range"] == f"bytes={kept.bytes}-"


def test_a_removed_download_leaves_nothing(place: Place, site: Web) -> None:
    gate = threading.Event()
    id = place.downloads.add(site.put("/a.safetensors", Served(LORA, gate=gate)))
    until(lambda: place.get(id).bytes > 0)
    place.downloads.remove(id)
    gate.set()
    until(lambda: not any(each.name == "download" for each in threading.enumerate()))
    assert place.downloads.all() == [] and place.files() == {}


@pytest.mark.parametrize(
    ("served", "problem"),
    [
        (Served(PAGE, headers={"Content-Type": "text/html"}), "download_page"),
        (Served(PAGE, headers={"Content-Type": "application/octet-stream"}), "download_page"),
        (Served(b'{"error": "unauthorised"}', headers={"Content-Type": "application/json"}), "download_page"),
        (Served(b"\x89PNG\r\n\x1a\n" + bytes(40)), "download_not_model"),
        (Served(b"short"), "download_not_model"),
        (Served(b""), "download_not_model"),
        (Served(LORA[:-100]), "tensor_place"),  # complete as HTTP goes, and yet cut
        (Served((8 * 2**30).to_bytes(8, "little") + b"{" + bytes(100)), "not_safetensors"),
        (Served(safetensors()), "download_not_model"),
        (Served(b"no", 401), "download_login"),
        (Served(b"no", 403), "download_login"),
        (Served(b"no", 404), "download_missing"),
        (Served(b"no", 418), "download_status"),
        (Served(b"no", 503), "download_lost"),
        (Served(LORA, headers={"Content-Encoding": "gzip"}), "download_not_model"),
        (Served(b"", 302, {"Location": "/m.safetensors"}), "download_redirects"),
        (Served(b"", 302, {"Location": "file:///etc/passwd"}), "download_address"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_what_is_no_model_never_gets_to_where_models_lie(place: Place, site: Web, served: Served, problem: str) -> None:
    failed = place.fetch(site.put("/m.safetensors", served), kind="lora")
    assert (failed.state, failed.problem, place.files()) == ("failed", problem, {})
    assert ".part" not in str(failed.values)


def test_a_wrong_hash_is_thrown_away(place: Place, site: Web) -> None:
    failed = place.fetch(site.put("/m.safetensors", Served(LORA)), sha256="0" * 64)
    assert failed.problem == "download_hash" and place.files() == {}


def test_nothing_is_overwritten_or_fetched_twice(place: Place, site: Web) -> None:
    mine = place.folder / "lora" / "a.safetensors"
    mine.parent.mkdir()
    mine.write_bytes(b"mine")
    address = site.put("/a.safetensors", Served(LORA, pause=0.001))
    assert place.fetch(address, kind="lora").problem == "download_exists"
    assert place.fetch(address, kind="").problem == "download_exists"  # found out at the end only
    assert mine.read_bytes() == b"mine"
    assert place.fetch(address, name="b").state == "done"
    place.known[Served(LORA).sha256] = "b"
    again = place.fetch(site.put("/c.safetensors", Served(LORA)), sha256=Served(LORA).sha256)
    assert (again.problem, again.values) == ("download_have", {"name": "b"})
    before = len(site.heard("/d.safetensors"))
    unannounced = place.fetch(site.put("/d.safetensors", Served(LORA)))
    assert unannounced.problem == "download_have" and len(site.heard("/d.safetensors")) == before + 1
    assert sorted(place.files()) == ["lora/a.safetensors", "lora/b.safetensors"]


def test_a_link_where_the_file_would_be_is_not_followed(place: Place, site: Web) -> None:
    outside = place.folder / "outside"
    (place.folder / "lora").mkdir()
    (place.folder / "lora" / "a.safetensors").symlink_to(outside)
    assert place.fetch(site.put("/a.safetensors", Served(LORA)), kind="lora").problem == "download_exists"
    assert not outside.exists()


def test_two_run_at_once_and_the_third_waits(place: Place, site: Web) -> None:
    gate = threading.Event()
    bodies = [safetensors("x.lora_down.weight", fill=n + 1, size=40_000) for n in range(3)]
    ids = [place.downloads.add(site.put(f"/{n}.safetensors", Served(body, gate=gate))) for n, body in enumerate(bodies)]
    until(lambda: [place.get(id).state for id in ids] == ["loading", "loading", "waiting"])
    assert place.downloads.add(site.address + "/0.safetensors") == ids[0]
    place.downloads.stop(ids[1])
    gate.set()
    assert [place.ended(id).state for id in ids] == ["done", "stopped", "done"]
    assert place.downloads.changed > 0


def test_a_disk_without_room_is_not_filled(place: Place, site: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfer, "RESERVE", 2**60)
    failed = place.fetch(site.put("/a.safetensors", Served(LORA)))
    assert failed.problem == "download_room" and place.files() == {}


def test_a_disk_that_becomes_full_is_said(place: Place, site: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    class Full:
        def write(self, piece: bytes) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

        def __enter__(self) -> "Full":
            return self

        def __exit__(self, *_: object) -> None:
            pass

    monkeypatch.setattr(transfer.Transfer, "_opened", lambda self, mode: Full())
    assert place.fetch(site.put("/a.safetensors", Served(LORA))).problem == "download_room"


@pytest.mark.parametrize(
    ("wanted", "problem"),
    [
        ({"address": "file:///etc/passwd"}, "download_address"),
        ({"address": "ftp://example.com/a"}, "download_address"),
        ({"address": "a.safetensors"}, "download_address"),
        ({"address": ""}, "download_address"),
        ({"address": "https://e.com/a", "kind": "../x"}, "download_unknown_kind"),
        ({"address": "https://e.com/a", "sha256": "abc"}, "download_sha256"),
        ({"address": "https://e.com/a", "name": "/."}, "download_name"),
    ],
)
def test_what_cannot_be_asked_for_is_refused_at_once(place: Place, wanted: dict[str, str], problem: str) -> None:
    with pytest.raises(DownloadError) as told:
        place.downloads.add(**wanted)
    assert told.value.key == problem and place.downloads.all() == []


def test_hugging_face_shows_a_file_at_blob_and_serves_it_at_resolve(place: Place, site: Web) -> None:
    body = Served(LORA)
    moved = {"Location": "/cdn/a?signature=x", "X-Linked-Etag": f'"{body.sha256}"', "X-Linked-Size": str(len(LORA))}
    site.put("/hf/anna/loras/resolve/main/style/ink.safetensors", Served(b"", 302, moved))
    site.put("/cdn/a", body)
    done = place.fetch(site.address + "/hf/anna/loras/blob/main/style/ink.safetensors")
    assert (done.state, done.problem, done.values) == ("done", "", {})
    assert place.files() == {"lora/ink.safetensors": LORA}
    assert site.asked[0][1]["authorization"] == "Bearer hf-key"
    site.put("/cdn/a", Served(LORA[:-1] + b"x"))
    wrong = place.fetch(site.address + "/hf/anna/loras/blob/main/style/ink.safetensors", name="other")
    assert wrong.problem == "download_hash"
    assert place.fetch(site.address + "/hf/anna/loras").problem == "download_hub_page"


def test_a_key_is_shown_to_its_hub_alone(place: Place, site: Web) -> None:
    with web() as elsewhere:
        target = elsewhere.put("/a.safetensors", Served(LORA))
        site.put("/hf/a/b/resolve/main/a.safetensors", Served(b"", 302, {"Location": target}))
        assert place.fetch(site.address + "/hf/a/b/resolve/main/a.safetensors").state == "done"
        assert "authorization" in site.asked[0][1] and "authorization" not in elsewhere.asked[0][1]


VERSION = {
    "id": 7,
    "model": {"name": "Ink", "type": "LORA"},
    "trainedWords": ["ink drawing", "monochrome, "],
    "files": [
        {"name": "train.zip", "type": "Training Data", "hashes": {"SHA256": "F" * 64}},
        {
            "name": "ink v7.safetensors",
            "type": "Model",
            "primary": True,
            "hashes": {"SHA256": Served(LORA).sha256.upper()},
        },
    ],
}


@pytest.mark.parametrize(
    "link", ["/models/3/ink?modelVersionId=7", "/models/3", "/api/download/models/7", "/api/v1/model-versions/7"]
)
def test_civitai_tells_name_kind_hash_and_trigger_words(place: Place, site: Web, link: str) -> None:
    version = json.dumps(VERSION).encode()
    model = json.dumps({"type": "LORA", "modelVersions": [VERSION]}).encode()
    site.put("/civitai/api/v1/model-versions/7", Served(version))
    site.put("/civitai/api/v1/models/3", Served(model))
    site.put("/civitai/api/download/models/7", Served(b"", 307, {"Location": "/b2/file?name=x"}))
    site.put("/b2/file", Served(LORA))
    done = place.fetch(f"{site.address}/civitai{link}")
    assert (done.state, done.name) == ("done", "ink v7.safetensors")
    assert place.arrived == [("ink v7.safetensors", "lora", "ink drawing, monochrome")]
    assert {headers.get("authorization") for path, headers in site.asked if "/civitai" in path} == {
        "Bearer civitai-key"
    }


def test_the_token_of_a_civitai_link_is_used_and_not_kept(place: Place, site: Web) -> None:
    site.put("/civitai/api/v1/model-versions/7", Served(b'{"files": []}'))
    site.put("/civitai/api/download/models/7", Served(LORA))
    place.fetch(f"{site.address}/civitai/api/download/models/7?token=mine&format=SafeTensor", kind="lora")
    assert {headers["authorization"] for _, headers in site.asked} == {"Bearer mine"}
    assert [path for path, _ in site.asked][-1] == "/civitai/api/download/models/7?format=SafeTensor"
    assert place.downloads.all()[0].address == site.address + "/civitai/api/download/models/7"


def test_a_file_of_pytorch_is_read_as_data_and_one_with_code_is_refused(place: Place, site: Web) -> None:
    kept = io.BytesIO()
    torch.save({"string_to_param": {"*": torch.zeros(2, 8)}, "name": "ink"}, kept)
    done = place.fetch(site.put("/ink.pt", Served(kept.getvalue())))
    assert (done.state, done.kind) == ("done", "embedding") and list(place.files()) == ["embedding/ink.pt"]
    evil = io.BytesIO()
    with zipfile.ZipFile(evil, "w") as archive:
        archive.writestr("x/data.pkl", b"cos\nsystem\n(S'touch /tmp/easel-was-here'\ntR.")
        archive.writestr("x/version", b"3\n")
    failed = place.fetch(site.put("/evil.pt", Served(evil.getvalue())), kind="embedding")
    assert failed.state == "failed" and failed.problem.startswith("pickle")
    dressed = place.fetch(site.put("/dressed.safetensors", Served(kept.getvalue())))
    assert dressed.problem == "download_not_model" and list(place.files()) == ["embedding/ink.pt"]
