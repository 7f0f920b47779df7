"""`--list`: everything that is offered through the hooks, with the file that offers it, and files of upscalers."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

from fastapi.routing import APIRoute, APIRouter

from modules.commands.rooms import builtins
from modules.model_manager.catalog import Catalog
from modules.plugins import Plugins, make_plugins
from modules.server.server import Server
from modules.settings import ROOT, Settings
from modules.words import Words

ENGINE_HOOKS = ("samplers", "schedules", "families", "controls", "preprocessors", "upscalers", "captioners", "scripts")

Offer = tuple[str, str]  # its name and the file that offers it


def show_offers(settings: Settings, words: Words, say: Callable[[str], None]) -> int:
    """Print every offer by hook; 1 when an extension could not be loaded, otherwise 0."""
    engine = make_plugins("engine", builtins("engine"), settings.extensions)
    page = make_plugins("ui", builtins("ui"), settings.extensions)
    for hook, offers in found(settings, engine, page).items():
        say(words.say(f"cli.list_{hook}", count=len(offers)))
        for name, file in offers:
            say(f"  {name:<28} {_short(file)}")
    broken = [each for each in (*engine.extensions, *page.extensions) if each.problem]
    for extension in broken:
        say(words.say("cli.extension_left_out", name=extension.name))
    return int(bool(broken))


def found(settings: Settings, engine: Plugins, page: Plugins) -> dict[str, list[Offer]]:
    """Return every offer by hook, in the order they were registered."""
    offers = {hook: engine.origins(hook) for hook in ENGINE_HOOKS}
    files = Catalog(settings).files("upscaler")
    offers["upscalers"] += [(file.name, str(file.path)) for file in files if not file.problem]
    offers["tabs"] = page.origins("tabs")
    offers["fields"] = [
        (f"{tab}: {name}", file) for tab, _ in offers["tabs"] for name, file in page.origins("fields", tab=tab)
    ]
    offers["routes"] = list(_routes(settings, page))
    return offers


def _routes(settings: Settings, page: Plugins) -> Iterator[Offer]:
    """Yield the HTTP routes. They need a server, so one is made on a database in memory, and not started."""
    from modules.api import native

    server = Server(settings.model_copy(update={"database": "sqlite://"}), page)
    try:
        yield from _paths(native.router(server, {}))
        for implementation in page.manager.hook.routes.get_hookimpls():
            routers: list[APIRouter] = implementation.function(*([server] if implementation.argnames else []))  # type: ignore[assignment]
            for router in routers:
                yield from _paths(router)
    finally:
        server.stop()


def _paths(router: APIRouter, prefix: str = "") -> Iterator[Offer]:
    for route in router.routes:
        if isinstance(route, APIRoute):
            method = "/".join(sorted(route.methods or ()))
            yield f"{method} {prefix}{route.path}", route.endpoint.__code__.co_filename
        elif isinstance(inner := getattr(route, "original_router", None), APIRouter):
            # FastAPI 0.160 and later keep an included router whole; before, its routes were copied
            yield from _paths(inner, prefix + str(getattr(getattr(route, "include_context", None), "prefix", "")))


def _short(file: str) -> str:
    return os.path.relpath(file, ROOT) if Path(file).is_relative_to(ROOT) else file
