"""Lists of tags that image boards use, in the form of A1111's extension tagcomplete: name, category, count, aliases."""

import csv
import re
from collections.abc import Iterator
from pathlib import Path

MOST = 10_000  # tags, those that are used most


def read_tags(folder: Path) -> list[str]:
    """Return the tags of every .csv file in `folder` as a prompt has them, the most used first.

    Underscores become spaces, save in faces such as ^_^. What is no list is passed over, as is a row without a name;
    one without a count comes last.
    """
    counts: dict[str, int] = {}
    for file in sorted(folder.glob("*.csv")):
        for name, count in _rows(file):
            counts[name] = max(count, counts.get(name, 0))
    return sorted(counts, key=lambda name: -counts[name])[:MOST]


def stamp(folder: Path) -> tuple[tuple[str, int], ...]:
    """Return what changes when a list does."""
    found = []
    for file in sorted(folder.glob("*.csv")):
        try:
            found.append((file.name, file.stat().st_mtime_ns))
        except OSError:  # gone by now
            continue
    return tuple(found)


def _rows(file: Path) -> Iterator[tuple[str, int]]:
    try:
        with file.open(encoding="utf-8-sig", errors="replace", newline="") as lines:
            for row in csv.reader(lines):
                name = row[0].strip() if row else ""
                if not name:
                    continue
                count = row[2].strip() if len(row) > 2 else ""
                plain = name.replace("_", " ") if re.search(r"\w\w", name.replace("_", "")) else name
                yield plain, int(count) if count.isascii() and count.isdigit() and len(count) < 16 else 0
    except (OSError, csv.Error):
        return
