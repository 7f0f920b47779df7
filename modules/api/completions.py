"""The names that a prompt may hold, for a page to complete what is typed: asked once in a while, never at each key."""

import contextlib
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response

from modules.errors import EaselError
from modules.prompts import tag_lists
from modules.prompts.completion import Completion
from modules.prompts.tags import KINDS as TAGS
from modules.server.server import Server

MOST = 20_000  # names of a kind
LONGEST = 300  # characters of a name

# A name, or the name and what is written for it: a tag takes a name with colons apart, its hash finds the file as well.
Names = list[str | list[str]]


class Known:
    """The names of model files and tags, gathered anew only when the folder of either has changed."""

    def __init__(self, server: Server) -> None:
        self._catalog = server.catalog
        self._folder = server.settings.data_dir / "tags"
        self._tags: tuple[object, list[str]] = ((), [])
        self._lock = threading.Lock()
        self._kept: dict[str, tuple[int, dict[str, Names]]] = {}

    def of(self, family: str) -> dict[str, Names]:
        """Return the names by what they are called in a prompt: a tag's word, or "word" for those without one.

        With a `family`, those of another one are left out; broken files always are.
        """
        with self._lock:
            changed, names = self._kept.get(family, (-1, {}))
            if changed != self._catalog.changed:
                now = self._catalog.changed  # before the look: what changes meanwhile is seen the next time
                names = {tag: [*self._names(kind, family, tagged=True)] for tag, kind in TAGS.items()}
                names["word"] = [*self._names("embedding", family, tagged=False)]
                self._kept[family] = (now, names)
            return names

    def tags(self) -> list[str]:
        """Return the tags of the lists in the folder `tags`, beside models/ and outputs/, the most used first."""
        stamp = tag_lists.stamp(self._folder)
        with self._lock:
            if stamp != self._tags[0]:
                self._tags = (stamp, [each[:LONGEST] for each in tag_lists.read_tags(self._folder)])
            return self._tags[1]

    def _names(self, kind: str, family: str, tagged: bool) -> Iterator[str | list[str]]:
        for file in self._catalog.search(kind, family=family, limit=MOST).files:
            if file.problem:
                continue
            if tagged and re.search("[:=<>]", file.name):
                if file.hash:
                    yield [file.name[:LONGEST], file.hash]
            else:
                yield file.name[:LONGEST]


def router(server: Server) -> APIRouter:
    """Return the route `/easel/completions`."""
    routes = APIRouter(prefix="/easel")
    known = Known(server)
    marks = [*server.plugins.offered("completions", Completion).values()]

    @routes.get("/completions")
    def completions(request: Request, model: Annotated[str, Query(max_length=500)] = "") -> Response:
        """Tell the names that fit the checkpoint `model`; all of them where there is none of that name."""
        family = ""
        with contextlib.suppress(EaselError):
            family = server.catalog.find(model).family if model else ""
        told = {"names": known.of(family), "marks": [_told(each) for each in marks], "tags": known.tags()}
        body = json.dumps(told).encode()
        etag = f'"{hashlib.sha256(body).hexdigest()[:20]}"'
        headers = {"ETag": etag, "Cache-Control": "no-cache"}
        if request.headers.get("if-none-match") == etag:
            return Response(status_code=304, headers=headers)
        return Response(body, media_type="application/json", headers=headers)

    return routes


def _told(mark: Completion) -> dict[str, Any]:
    names = [str(each)[:LONGEST] for each in list(mark.names())[:MOST]]
    return {"name": mark.name, "before": mark.before, "after": mark.after, "names": names}
