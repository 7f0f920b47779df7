"""A small web server on this computer to download from: ranges, tags, redirects, and everything that fails."""

import hashlib
import json
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PIECE = 4096


def safetensors(*keys: str, fill: int = 0, size: int = 16) -> bytes:
    """Return a safetensors file with a row of bytes under each key."""
    table = {
        key: {"dtype": "U8", "shape": [size], "data_offsets": [n * size, (n + 1) * size]} for n, key in enumerate(keys)
    }
    head = json.dumps(table).encode()
    return struct.pack("<Q", len(head)) + head + bytes([fill % 256]) * (size * len(keys))


LORA = safetensors("lora_unet_down_blocks_0.lora_down.weight", "lora_unet_down_blocks_0.lora_up.weight", size=40_000)


@dataclass
class Served:
    """What is at an address."""

    body: bytes = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    etag: str = ""
    ranges: bool = True
    length: bool = True
    cuts: list[int] = field(default_factory=list)  # each answer ends early, after so many bytes
    pause: float = 0.0  # seconds between two pieces
    gate: threading.Event | None = None  # waited for after the first piece

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.body).hexdigest()


@dataclass
class Web:
    """The server: put something at a path, look at what was asked."""

    address: str = ""
    places: dict[str, Served] = field(default_factory=dict)
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)

    def put(self, path: str, served: Served) -> str:
        """Serve something; return its whole address."""
        self.places[path] = served
        return self.address + path

    def heard(self, path: str) -> list[dict[str, str]]:
        """Return the headers of every request for `path`."""
        return [headers for place, headers in self.asked if place == path]


@contextmanager
def web() -> Iterator[Web]:
    """Run the server until left."""
    found = Web()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(found))
    server.daemon_threads = True
    found.address = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=lambda: server.serve_forever(0.02), daemon=True)
    thread.start()
    try:
        yield found
    finally:
        server.shutdown()
        server.server_close()


def _handler(found: Web) -> Callable[..., BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            asked = {name.lower(): value for name, value in self.headers.items()}
            found.asked.append((self.path, asked))
            served = found.places.get(self.path) or found.places.get(path) or Served(b"<html>none", 404)
            try:
                self._answer(served, asked)
            except OSError:  # the other side went away
                self.close_connection = True

        def _answer(self, served: Served, asked: dict[str, str]) -> None:
            begin, status = 0, served.status
            wanted = asked.get("range", "")
            if wanted and served.ranges and asked.get("if-range", served.etag) == served.etag:
                begin = int(wanted.removeprefix("bytes=").rstrip("-"))
                status = 206 if begin < len(served.body) else 416
            body = served.body[begin:] if status != 416 else b""
            self.send_response(status)
            for name, value in served.headers.items():
                self.send_header(name, value)
            if served.etag:
                self.send_header("ETag", served.etag)
            if status == 206:
                self.send_header("Content-Range", f"bytes {begin}-{len(served.body) - 1}/{len(served.body)}")
            elif status == 416:
                self.send_header("Content-Range", f"bytes */{len(served.body)}")
            if served.length:
                self.send_header("Content-Length", str(len(body)))
            else:
                self.close_connection = True
                self.send_header("Connection", "close")
            self.end_headers()
            until = served.cuts.pop(0) if served.cuts else len(body)
            for first in range(0, min(until, len(body)), PIECE):
                self.wfile.write(body[first : min(first + PIECE, until)])
                time.sleep(served.pause)
                if served.gate is not None:
                    served.gate.wait(120)
            if until < len(body):
                self.close_connection = True

        def log_message(self, format: str, *args: object) -> None:
            pass

    return Handler
