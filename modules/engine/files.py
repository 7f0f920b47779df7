"""Checkpoint files made on request: progress is told, and a wish to stop is heard between two tensors."""

from __future__ import annotations

from pathlib import Path

from modules.engine.report import Report
from modules.errors import Cancelled
from modules.events import Step
from modules.model_manager.catalog import Catalog
from modules.model_manager.convert import convert
from modules.model_manager.merge import merge
from modules.tasks import FileTask, Merge


def make_file(task: FileTask, catalog: Catalog, report: Report) -> Path:
    """Make the file of a settled `task` and return where it is.

    Raises `Cancelled` when a person wants no more of it, and what `merge` and `convert` raise; then there is no file.
    """

    def done(step: int, steps: int) -> None:
        if report.wanted() == "stop":
            raise Cancelled("cancelled")
        report.tell(Step(image=0, batch=1, images=1, step=step, steps=steps))

    if isinstance(task, Merge):
        return merge(task, catalog, done)
    return convert(task, catalog, done)
