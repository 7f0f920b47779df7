"""A whole server with the fake engine in its worker processes."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, cast

from modules.model_manager.catalog import Catalog, ModelFile
from modules.plugins import make_plugins
from modules.server.messages import EngineFactory
from modules.server.server import Server
from modules.settings import Settings
from tests.fake_catalog import FakeCatalog
from tests.fakes import OFFERS, make_fake_engine

FILES = tuple(ModelFile(name, Path(name), family="sd1", native_size=64) for name in ("starter", "dreams"))


def fake_server(folder: Path, seconds: float = 0.0, engine: EngineFactory | None = None, **settings: Any) -> Server:
    """A server on `folder` with a fake engine in its worker processes; not started."""
    made = Settings(data_dir=folder, **settings)
    factory = engine or partial(make_fake_engine, seconds=seconds)
    catalog = cast(Catalog, FakeCatalog(FILES, "starter"))
    server = Server(made, make_plugins("ui", [], None), catalog, factory, grace=2.0)
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
