"""The gallery over HTTP: what is listed, what may be changed, and what is sent as one file."""

import io
import zipfile
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from modules.api import gallery, native
from modules.api.pictures import picture_url, thumbnail_url
from modules.errors import EaselError
from modules.library.gallery import AT_ONCE
from modules.server.server import Server
from modules.ui.gallery_faces import Faces
from modules.ui.page_words import PageWords
from tests.ui.conftest import put_picture, server

__all__ = ["server"]


@pytest.fixture
def client(server: Server) -> TestClient:
    app = FastAPI()
    app.add_exception_handler(EaselError, native.refusal)
    app.include_router(native.router(server, {}))
    app.include_router(gallery.router(server, Faces(PageWords())))
    return TestClient(app)


def listed(client: TestClient, **asked: Any) -> list[int]:
    return [each["id"] for each in client.get("/easel/gallery", params=asked).json()["pictures"]]


def test_pictures_are_listed_newest_first_a_page_at_a_time(client: TestClient, server: Server) -> None:
    ids = [put_picture(server, seed, f"number {seed}").id for seed in range(3)]
    first = client.get("/easel/gallery", params={"limit": 2}).json()
    assert [each["id"] for each in first["pictures"]] == [ids[2], ids[1]]
    assert (first["hits"], first["more_hits"], first["next"]) == (3, False, ids[1])
    last = client.get("/easel/gallery", params={"limit": 2, "before": first["next"]}).json()
    assert [each["id"] for each in last["pictures"]] == [ids[0]] and last["next"] is None
    told = first["pictures"][0]
    assert told["seed"] == 2 and told["there"] and "number 2" in told["parameters"]
    assert client.get(told["thumbnail"]).status_code == 200
    assert listed(client, words="number 1") == [ids[1]]
    assert listed(client, after=ids[0]) == [ids[2], ids[1]]


def test_what_is_no_search_is_refused(client: TestClient) -> None:
    wrong: tuple[dict[str, Any], ...] = (
        {"limit": 0},
        {"limit": 9999},
        {"rating": 9},
        {"since": "yesterday"},
        {"path": "/etc"},
        {"before": 2**70},
        {"words": "x" * 201},
    )
    for each in wrong:
        assert client.get("/easel/gallery", params=each).status_code == 422, each


def test_stars_and_tags(client: TestClient, server: Server) -> None:
    id = put_picture(server).id
    assert client.post("/easel/gallery/rate", json={"ids": [id], "rating": 4}).json() == {"changed": 1}
    told = client.post("/easel/gallery/tag", json={"ids": [id], "add": ["Sky"]}).json()
    assert told == {"tags": {str(id): ["sky"]}}
    assert listed(client, rating=4, tag="sky") == [id]
    refused = client.post("/easel/gallery/rate", json={"ids": [id], "rating": 6}, headers={"accept-language": "ko"})
    assert refused.status_code == 422 and "별점" in refused.json()["message"]
    refused = client.post("/easel/gallery/tag", json={"ids": [id], "add": ["x" * 100]})
    assert refused.status_code == 422 and "1 to 64 characters" in refused.json()["message"]


def test_what_is_in_the_trash_is_found_there_alone(client: TestClient, server: Server) -> None:
    row = put_picture(server)
    client.get(thumbnail_url(row))
    assert client.post("/easel/gallery/trash", json={"ids": [row.id]}).json() == {"ids": [row.id], "gone": []}
    assert client.get(picture_url(row)).status_code == client.get(thumbnail_url(row)).status_code == 404
    assert listed(client) == []
    (told,) = client.get("/easel/gallery", params={"trash": True}).json()["pictures"]
    assert told["trashed"] and told["url"].startswith("/easel/trash/")
    assert client.get(told["url"]).status_code == client.get(told["thumbnail"]).status_code == 200
    assert client.post("/easel/gallery/restore", json={"ids": [row.id]}).json()["ids"] == [row.id]
    assert client.get(told["url"]).status_code == client.get(told["thumbnail"]).status_code == 404
    assert client.get(picture_url(row)).status_code == 200


def test_deleting_for_good_is_for_the_trash_and_leaves_no_thumbnail(client: TestClient, server: Server) -> None:
    row = put_picture(server)
    client.get(thumbnail_url(row))
    assert client.post("/easel/gallery/delete", json={"ids": [row.id]}).json() == {"ids": []}
    client.post("/easel/gallery/trash", json={"ids": [row.id]})
    assert client.post("/easel/gallery/empty", json={"until": 1.0}).json() == {"deleted": 0}
    assert client.post("/easel/gallery/empty", json={"until": 1e12}).json() == {"deleted": 1}
    assert listed(client, trash=True) == []
    assert list(server.settings.outputs.rglob("*.png")) == []
    assert list((server.settings.state / "thumbnails").rglob("*.webp")) == []


def test_a_file_that_is_gone_is_said_and_dropped(client: TestClient, server: Server) -> None:
    row = put_picture(server)
    row.path.unlink()
    (told,) = client.get("/easel/gallery").json()["pictures"]
    assert told["there"] is False
    assert "gone" in client.get("/easel/gallery/cells").text
    assert client.get(f"/easel/gallery/details/{row.id}").status_code == 200
    assert client.post("/easel/gallery/trash", json={"ids": [row.id]}).json() == {"ids": [], "gone": [row.id]}
    assert client.post("/easel/gallery/drop", json={"ids": [row.id]}).json() == {"ids": [row.id]}
    assert listed(client) == []


def test_a_file_that_is_no_picture_any_more_has_no_thumbnail(client: TestClient, server: Server) -> None:
    row = put_picture(server)
    row.path.write_bytes(b"no picture")
    assert client.get(thumbnail_url(row)).status_code == 404


def test_several_pictures_come_as_one_file_with_their_names(client: TestClient, server: Server) -> None:
    rows = [put_picture(server, seed) for seed in range(3)]
    rows[2].path.unlink()
    ids = ",".join(str(row.id) for row in rows) + f",{rows[0].id},999"
    answer = client.post("/easel/gallery/download", data={"ids": ids})
    assert answer.headers["content-type"] == "application/zip"
    assert answer.headers["content-disposition"].startswith('attachment; filename="easel-')
    server.options.apply({"grid_zip_filename_pattern": "[prompt]_[seed]-[seed_last]"})
    ids = ",".join(str(put_picture(server, seed, "고양이 a", job="j", index=seed).id) for seed in (4, 5))
    said = client.post("/easel/gallery/download", data={"ids": ids}).headers["content-disposition"]
    assert 'filename="____a_4-5.zip"' in said and unquote(said).endswith("utf-8''고양이_a_4-5.zip")
    archive = zipfile.ZipFile(io.BytesIO(answer.content))
    outputs = server.settings.outputs.resolve()
    assert archive.namelist() == [row.path.relative_to(outputs).as_posix() for row in rows[:2]]
    assert archive.testzip() is None
    assert archive.read(archive.namelist()[0]) == rows[0].path.read_bytes()


def test_only_ids_are_downloaded_and_not_too_many(client: TestClient) -> None:
    for ids in ("", "1;2", "../../etc/passwd", "-1", "9" * 30):
        assert client.post("/easel/gallery/download", data={"ids": ids}).status_code == 422, ids
    assert client.post("/easel/gallery/download", data={"ids": "999"}).status_code == 404
    answer = client.post("/easel/gallery/download", data={"ids": ",".join(map(str, range(1, AT_ONCE + 2)))})
    assert answer.status_code == 422 and "At most 1000" in answer.json()["message"]


def test_nothing_is_changed_by_looking_nor_by_what_is_no_id(client: TestClient) -> None:
    for act in ("rate", "tag", "trash", "restore", "delete", "drop", "empty", "download"):
        assert client.get(f"/easel/gallery/{act}").status_code == 405, act
    wrong: tuple[object, ...] = ([], ["x"], [-1], [0], [2**70], "1", ["../../x"])
    for ids in wrong:
        for act in ("trash", "restore", "delete", "drop"):
            assert client.post(f"/easel/gallery/{act}", json={"ids": ids}).status_code == 422, ids


def test_pages_of_the_page_are_in_its_language(client: TestClient, server: Server) -> None:
    one, other = put_picture(server, 1), put_picture(server, 2)
    korean = {"accept-language": "ko-KR,ko;q=0.9"}
    assert "그림 2장" in client.get("/easel/gallery/cells", headers=korean).text
    assert "초기화" in client.get("/easel/gallery/filters", headers=korean).text
    assert "휴지통" in client.get(f"/easel/gallery/details/{one.id}", headers=korean).text
    assert "나란히" in client.get(f"/easel/gallery/compare/{one.id}/{other.id}", headers=korean).text
    assert "No picture matches" in client.get("/easel/gallery/cells", params={"words": "absent"}).text
    for path in ("details/999", f"details/{2**70}", f"compare/{one.id}/999"):
        assert client.get(f"/easel/gallery/{path}").status_code == 404


def test_pictures_outside_the_outputs_go_by_their_id(tmp_path: Path, client: TestClient, server: Server) -> None:
    row = put_picture(server)
    far = tmp_path / "far.png"
    row.path.rename(far)
    there = server.library.add(far, row.recipe, "", "local")
    answer = client.post("/easel/gallery/download", data={"ids": str(there.id)})
    assert zipfile.ZipFile(io.BytesIO(answer.content)).namelist() == [f"{there.id}-far.png"]
    assert client.post("/easel/gallery/trash", json={"ids": [there.id]}).json()["ids"] == [there.id]
    assert client.post("/easel/gallery/restore", json={"ids": [there.id]}).json()["ids"] == [there.id]
    assert far.is_file()
