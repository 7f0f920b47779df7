"""Easel's own HTTP interface under `/easel`: jobs, the queue, events with replay, and the last values of forms."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Body, HTTPException, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse

from modules.api import completions, inputs, memory, models, now, pictures
from modules.errors import BadRequest, DownloadError, EaselError, ModelError, UnknownModel
from modules.events import EVENT
from modules.library.pictures import LOCAL
from modules.request import make_request
from modules.server.server import Server
from modules.server.views import Job
from modules.words import load_words, preferred

QUIET = 15.0  # seconds after which a silent event stream says that it lives
LARGEST = 200_000  # characters a form may hold


def router(server: Server, forms: Mapping[str, Collection[str]]) -> APIRouter:
    """Return every route; `forms` names the fields of each tab whose values are kept."""
    routes = APIRouter()
    routes.include_router(pictures.router(server))
    routes.include_router(inputs.router(server))
    routes.include_router(models.router(server))
    routes.include_router(memory.router(server))
    routes.include_router(completions.router(server))
    routes.include_router(now.router(server))
    routes.include_router(_jobs(server), prefix="/easel")
    routes.include_router(_queue(server), prefix="/easel")
    routes.include_router(_watching(server), prefix="/easel")
    routes.include_router(_forms(server, forms), prefix="/easel")
    return routes


def refusal(request: Request, error: Exception) -> Response:
    """Answer an `EaselError` with the sentence, in the language the browser asks for.

    404 for an unknown model, 422 for what cannot be met, 500 otherwise.
    """
    if not isinstance(error, EaselError):
        raise error
    unmet = isinstance(error, BadRequest | ModelError | DownloadError)
    status = 404 if isinstance(error, UnknownModel) else 422 if unmet else 500
    words = load_words(preferred(request.headers.get("accept-language", "")))
    return JSONResponse({"error": error.key, "message": error.say(words)}, status)


def _jobs(server: Server) -> APIRouter:
    routes = APIRouter()

    @routes.get("/jobs")
    def jobs(limit: int = 20) -> list[dict[str, Any]]:
        """List the jobs added last, newest first."""
        return [_told(job) for job in server.jobs.recent(max(1, min(limit, 200)))]

    @routes.post("/jobs", status_code=201)
    def add(values: Annotated[dict[str, Any], Body()]) -> dict[str, str]:
        """Queue a request given by its fields, and answer with the job's id."""
        return {"id": server.submit(make_request(values), LOCAL, "API")}

    @routes.get("/jobs/{id}")
    def job(id: str) -> dict[str, Any]:
        """Tell how a job stands."""
        return _told(_found(server, id))

    @routes.post("/jobs/{id}/{act}")
    def act(id: str, act: str, place: Annotated[int, Body(embed=True)] = 1) -> dict[str, Any]:
        """Interrupt, skip, cancel, retry or move (to `place`) a job; nothing happens when it is past that."""
        _found(server, id)
        acts: dict[str, Callable[[], object]] = {
            "interrupt": lambda: server.jobs.interrupt(id),
            "skip": lambda: server.jobs.skip(id),
            "cancel": lambda: server.jobs.cancel(id),
            "retry": lambda: server.jobs.retry(id),
            "move": lambda: server.jobs.move(id, max(1, place)),
        }
        if act not in acts:
            raise HTTPException(404)
        acts[act]()
        return _told(_found(server, id))

    return routes


def _queue(server: Server) -> APIRouter:
    routes = APIRouter()

    @routes.get("/queue")
    def queue() -> dict[str, Any]:
        """Tell what runs and what waits, in order, and how the workers are."""
        return {
            "paused": server.jobs.paused,
            "jobs": [_told(job) for job in server.jobs.queue()],
            "workers": [
                {"name": each.name, "device": each.device, "stage": each.stage, "model": each.model}
                for each in server.workers
            ],
        }

    @routes.post("/queue/{act}")
    def act(act: str) -> dict[str, Any]:
        """Pause or resume the queue, or clear what waits."""
        acts: dict[str, Callable[[], object]] = {
            "pause": lambda: server.jobs.pause(True),
            "resume": lambda: server.jobs.pause(False),
            "clear": lambda: server.jobs.clear(),
        }
        if act not in acts:
            raise HTTPException(404)
        acts[act]()
        return queue()

    return routes


def _watching(server: Server) -> APIRouter:
    routes = APIRouter()

    @routes.get("/events")
    async def events(request: Request, after: int | None = None, job: str | None = None) -> Response:
        """Stream events as they come (text/event-stream), after number `after` or the `Last-Event-ID` header."""
        asked = request.headers.get("last-event-id", "")
        start = int(asked) if asked.isascii() and asked.isdigit() else server.feed.last_seq if after is None else after
        stream = _lines(server, start, job)
        return StreamingResponse(stream, media_type="text/event-stream", headers={"Cache-Control": "no-store"})

    return routes


async def _lines(server: Server, after: int, job: str | None) -> AsyncIterator[str]:
    """Yield one server-sent event for each event of the feed, and a comment when there was none for a while."""
    news = server.feed.watch(after, job)
    coming: asyncio.Future[Any] | None = None
    try:
        while True:
            coming = coming or asyncio.ensure_future(anext(news, None))
            done, _ = await asyncio.wait({coming}, timeout=QUIET)
            if not done:
                yield ": quiet\n\n"
                continue
            told = coming.result()
            coming = None
            if told is None:
                return
            body = {"job": told.job, **EVENT.dump_python(told.event, mode="json")}
            yield f"id: {told.seq}\nevent: {told.event.kind}\ndata: {json.dumps(body)}\n\n"
    finally:
        if coming is not None:
            coming.cancel()


def _forms(server: Server, forms: Mapping[str, Collection[str]]) -> APIRouter:
    routes = APIRouter()

    @routes.post("/forms/{tab}", status_code=204)
    def keep(tab: str, values: Annotated[dict[str, str], Body()]) -> Response:
        """Keep the values of some fields of a form: what a closing page could not save any more."""
        if tab not in forms:
            raise HTTPException(404)
        known = {name: value for name, value in values.items() if name in forms[tab]}
        if sum(len(value) for value in known.values()) > LARGEST:
            raise HTTPException(413)
        server.forms.update(LOCAL, tab, known)
        return Response(status_code=204)

    return routes


def _found(server: Server, id: str) -> Job:
    job = server.jobs.get(id)
    if job is None:
        raise HTTPException(404)
    return job


def _told(job: Job) -> dict[str, Any]:
    at = job.progress
    return {
        "id": job.id,
        "origin": job.origin,
        "status": job.status,
        "position": job.position,
        "attempts": job.attempts,
        "request": job.request.model_dump(mode="json"),
        "progress": {
            "image": at.image,
            "images": at.images,
            "step": at.step,
            "steps": at.steps,
            "fraction": at.fraction,
            "stage": at.stage,
            "seconds_left": at.seconds_left,
        },
        "error": None if job.error is None else {"key": job.error.key, "values": job.error.values},
        "pictures": [
            {"id": row.id, "seed": row.recipe.seed, "url": pictures.picture_url(row), "parameters": row.infotext}
            for row in job.pictures
            if row.index >= 0
        ],
    }
