"""Downloads joined with the catalog: what is there already, where a model belongs, what is written beside it."""

import contextlib
from functools import partial
from pathlib import Path

from modules.errors import EaselError
from modules.library.database import Database
from modules.model_manager.catalog import Catalog
from modules.model_manager.kinds import KINDS, home
from modules.server.downloads import Downloads, Library
from modules.server.outward import Outward
from modules.server.sources import Hubs, Source
from modules.settings import Settings

PARTS = ".downloads"  # below the folder of models; what lies there is no model yet


def make_downloads(settings: Settings, catalog: Catalog, database: Database) -> Downloads:
    """Return the downloads of a server."""
    library = Library(partial(home, settings), partial(_having, catalog), partial(_arrived, catalog))
    hubs = Hubs(
        huggingface_token=settings.huggingface_token.get_secret_value(),
        civitai_token=settings.civitai_token.get_secret_value(),
    )
    return Downloads(database, settings.models / PARTS, library, Outward(settings.private_downloads), hubs)


def _having(catalog: Catalog, digest: str) -> str:
    files = (file for kind in KINDS for file in catalog.files(kind))
    return next((file.name for file in files if file.sha256 == digest), "")


def _arrived(catalog: Catalog, path: Path, kind: str, source: Source) -> str:
    """Let the catalog find the new file, and write its trigger words down where it has none."""
    catalog.refresh()
    file = next((each for each in catalog.files(kind) if each.path == path), None)
    if file is None:
        return path.name
    file = catalog.hashed(file)  # so that the same is not fetched once more
    if source.trigger and not file.problem and not catalog.details(file).trigger_words:
        with contextlib.suppress(EaselError):  # the model is there all the same
            catalog.save_details(file, {"trigger_words": source.trigger})
    return file.name
