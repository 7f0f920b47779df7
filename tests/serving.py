"""A whole server with the fake engine in its worker processes."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, cast

from modules.errors import UnknownModel
from modules.model_manager.catalog import Catalog, ModelFile
from modules.plugins import make_plugins
from modules.server.messages import EngineFactory
from modules.server.server import Server
from modules.settings import Settings
from tests.fakes import OFFERS, make_fake_engine


class FakeCatalog:
    """Two checkpoints that need no files."""

    files: Mapping[str, ModelFile] = {
        name: ModelFile(name, Path(name), family="sd1", native_size=64) for name in ("starter", "dreams")
    }

    def checkpoints(self) -> list[ModelFile]:
        return list(self.files.values())

    def find(self, name: str) -> ModelFile:
        if name and name not in self.files:
            raise UnknownModel("unknown_model", value=name, allowed=", ".join(self.files))
        return self.files[name or "starter"]


def fake_server(folder: Path, seconds: float = 0.0, engine: EngineFactory | None = None, **settings: Any) -> Server:
    """A server on `folder` with a fake engine in its worker processes; not started."""
    made = Settings(data_dir=folder, **settings)
    factory = engine or partial(make_fake_engine, seconds=seconds)
    server = Server(made, make_plugins("ui", [], None), cast(Catalog, FakeCatalog()), factory, grace=2.0)
    server.offers = OFFERS
    return server


def until(true: Callable[[], object], seconds: float = 90.0) -> None:
    """Wait until `true()`; fail after so many seconds."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)


@contextmanager
def running(
    folder: Path, seconds: float = 0.0, engine: EngineFactory | None = None, **settings: Any
) -> Iterator[Server]:
    """A started server, stopped at the end whatever happens."""
    server = fake_server(folder, seconds, engine, **settings)
    server.start()
    try:
        yield server
    finally:
        server.stop()
