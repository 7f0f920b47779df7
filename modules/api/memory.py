"""Models in memory and on their way, over HTTP: what is loaded, load, unload; add from an address, stop, go on."""

from collections.abc import Callable
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Body, HTTPException
from pydantic import BaseModel, ConfigDict, Field

from modules.server.download import Download
from modules.server.messages import WorkerState
from modules.server.server import Server

Line = Annotated[str, Field(max_length=500)]


class Wanted(BaseModel):
    """A model to be added: what is empty is found out."""

    model_config = ConfigDict(extra="forbid")

    address: str = Field(min_length=1, max_length=4000)
    kind: Line = ""
    name: Line = ""
    sha256: Line = ""


class Chosen(BaseModel):
    """A checkpoint by name, and the worker it is about: every one when empty."""

    model_config = ConfigDict(extra="forbid")

    name: Line = ""
    worker: Line = ""


def router(server: Server) -> APIRouter:
    """Return the routes `/easel/memory` and `/easel/downloads`."""
    routes = APIRouter(prefix="/easel")
    _memory(routes, server)
    _downloads(routes, server)
    return routes


def _memory(routes: APIRouter, server: Server) -> None:
    @routes.get("/memory")
    def memory() -> list[dict[str, Any]]:
        """Tell what every worker has in memory; sizes are in bytes."""
        return [_held(worker) for worker in server.workers]

    @routes.post("/memory/load", status_code=202)
    def load(chosen: Annotated[Chosen, Body()]) -> list[dict[str, Any]]:
        """Have a checkpoint loaded before the next job; what comes of it is told by `GET /easel/memory`."""
        server.load(chosen.name, chosen.worker)
        return memory()

    @routes.post("/memory/unload", status_code=202)
    def unload(chosen: Annotated[Chosen, Body()]) -> list[dict[str, Any]]:
        """Have a checkpoint let go of, or everything when it has no name."""
        server.unload(chosen.name, chosen.worker)
        return memory()


def _downloads(routes: APIRouter, server: Server) -> None:
    @routes.get("/downloads")
    def downloads() -> list[dict[str, Any]]:
        """List the models that were added from an address, the newest first."""
        return [_told(each) for each in server.downloads.all()]

    @routes.post("/downloads", status_code=201)
    def add(wanted: Annotated[Wanted, Body()]) -> dict[str, str]:
        """Add the model at an address, and answer with the download's id."""
        return {"id": server.downloads.add(wanted.address, wanted.kind, wanted.name, wanted.sha256)}

    @routes.post("/downloads/{id}/{act}")
    def act(id: str, act: str) -> list[dict[str, Any]]:
        """Stop, resume or remove a download; nothing happens when it is past that."""
        acts: dict[str, Callable[[str], None]] = {
            "stop": server.downloads.stop,
            "resume": server.downloads.resume,
            "remove": server.downloads.remove,
        }
        if act not in acts or not any(each.id == id for each in server.downloads.all()):
            raise HTTPException(404)
        acts[act](id)
        return downloads()


def _held(worker: WorkerState) -> dict[str, Any]:
    problem = worker.problem
    return {
        "worker": worker.name,
        "device": worker.device,
        "stage": worker.stage,
        "models": [asdict(model) | {"parts": dict(model.parts)} for model in worker.resident],
        "problem": None if problem is None else {"key": problem.key, "values": problem.values},
    }


def _told(download: Download) -> dict[str, Any]:
    return asdict(download) | {"seconds_left": download.seconds_left}
