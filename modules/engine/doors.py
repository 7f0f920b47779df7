"""The doors that are neither offers nor rings: patches of the model for one batch, and listeners."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any

from modules.engine.job import Job
from modules.families.family import Model
from modules.plugins import Plugins, blamed
from modules.result import Picture


@contextmanager
def patched(plugins: Plugins, job: Job, model: Model) -> Iterator[int]:
    """Enter every extension's patch of `model` and undo them on leaving, the last one first; yield how many.

    An extension that fails to patch or to undo fails the job by its name; the others are undone all the same.
    """
    given: dict[str, Any] = {"job": job, "model": model}
    with ExitStack() as undo:
        count = 0
        for implementation in plugins.manager.hook.patch.get_hookimpls():
            with blamed(implementation.plugin_name):
                patch: Any = implementation.function(*(given[name] for name in implementation.argnames))
                if patch is not None:
                    patch.__enter__()
                    undo.push(_leaving(implementation.plugin_name, patch))
                    count += 1
        yield count


def _leaving(name: str, patch: AbstractContextManager[object]) -> Callable[..., bool | None]:
    def leave(*error: Any) -> bool | None:
        with blamed(name):
            return patch.__exit__(*error)

    return leave


def tell_finished(plugins: Plugins, job: Job, pictures: Sequence[Picture]) -> None:
    """Tell every listener that the pictures of a batch are saved."""
    given: dict[str, Any] = {"job": job, "pictures": pictures}
    for implementation in plugins.manager.hook.finished.get_hookimpls():
        with blamed(implementation.plugin_name):
            implementation.function(*(given[name] for name in implementation.argnames))
