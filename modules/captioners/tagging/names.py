"""What the answers of a tagger mean, from its selected_tags.csv."""

from __future__ import annotations

import csv
from pathlib import Path

from modules.errors import BrokenFile

THING, CHARACTER = "0", "4"  # categories of tags; the others are ratings


def names_in(file: Path, model: str) -> list[str]:
    """Return the name of each tag in the order of the answers, "" for those that are not told.

    Raises `BrokenFile` that names the `model` when it is no such table.
    """
    try:
        with file.open(encoding="utf-8", newline="") as lines:
            rows = list(csv.DictReader(lines))
        return [row["name"] if row["category"] in (THING, CHARACTER) else "" for row in rows]
    except (OSError, ValueError, KeyError, csv.Error) as error:
        reason = f"{file.name}: {str(error)[:200]}"
        raise BrokenFile("caption_broken", file=model, reason=reason) from error
