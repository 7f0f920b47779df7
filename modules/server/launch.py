"""Makes the real engine; called in the worker process only, because that is where torch comes in."""

import gc
import importlib

from modules.model_manager.catalog import Catalog
from modules.plugins import folder_modules, make_plugins
from modules.server.messages import Engine
from modules.settings import Settings

ROOMS = (  # where the engine's built-in variants lie
    "modules.sampling",
    "modules.families",
    "modules.upscalers",
    "modules.controls",
    "modules.controls.preprocessors",
    "modules.captioners",
)


def make_engine(settings: Settings) -> Engine:
    """Make `modules.engine.engine.Engine` with its plug-ins and catalog.

    Raises what a built-in raises that cannot be loaded; a broken extension is left out.
    """
    builtins = [name for room in ROOMS for name in folder_modules(room)]
    plugins = make_plugins("engine", builtins, settings.extensions)
    engine: Engine = importlib.import_module("modules.engine.engine").Engine(settings, plugins, Catalog(settings))
    # What is there by now stays as long as the process. Looking through it for garbage whenever a model leaves took a
    # second each time.
    gc.collect()
    gc.freeze()
    return engine
