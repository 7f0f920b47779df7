"""What a folder in the layout of transformers says of itself in its config.json."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

CONFIG = "config.json"
LARGEST_CONFIG = 2**20  # bytes


def config_of(folder: Path) -> Mapping[str, Any]:
    """Return the entries of a model's config.json, none without one, or where it cannot be read as such."""
    config = folder / CONFIG
    try:
        if config.stat().st_size > LARGEST_CONFIG:
            return {}
        told = json.loads(config.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return told if isinstance(told, dict) else {}
