"""Several files as one zip, sent while it is written."""

import io
import zipfile
from pathlib import Path

from modules.api.archive import CHUNK, zipped


def test_files_are_sent_piece_by_piece_and_come_back_whole(tmp_path: Path) -> None:
    contents = {"고양이/00001.png": b"a" * 10, "00002.png": bytes(range(256)) * (CHUNK // 64)}
    files = []
    for place, (name, content) in enumerate(contents.items()):
        path = tmp_path / str(place)
        path.write_bytes(content)
        files.append((name, path))
    parts = list(zipped([files[0], ("gone.png", tmp_path / "gone"), files[1]]))
    assert max(map(len, parts)) < 2 * CHUNK < sum(map(len, parts))  # never all of it at once
    archive = zipfile.ZipFile(io.BytesIO(b"".join(parts)))
    assert archive.testzip() is None
    assert {name: archive.read(name) for name in archive.namelist()} == contents
    assert {each.compress_type for each in archive.infolist()} == {zipfile.ZIP_STORED}


def test_nothing_is_a_zip_as_well() -> None:
    assert zipfile.ZipFile(io.BytesIO(b"".join(zipped([])))).namelist() == []
