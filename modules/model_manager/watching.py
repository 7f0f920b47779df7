"""Noticing what changes in the folders of models, and working through the files in the background."""

from __future__ import annotations


class Watcher:
    """Looks after a catalog in threads of its own."""
