"""The page: server, application and uvicorn, put together."""

import contextlib
import errno
import logging
import os
import signal
import socket
import threading
import urllib.parse
import webbrowser
from collections.abc import Callable, Iterator
from types import FrameType

import uvicorn

from modules.commands.rooms import builtins
from modules.errors import SetupError
from modules.plugins import make_plugins
from modules.server.feed import Feed
from modules.server.server import Server
from modules.settings import Settings
from modules.words import Words

EVERYBODY = ("0.0.0.0", "::", "")
PATIENCE = 2  # seconds that open connections get when the server ends; a page's event stream never ends by itself


def serve(settings: Settings, words: Words, say: Callable[[str], None]) -> int:
    """Run the page until Ctrl+C; print the address once it answers.

    Raises `SetupError` when the address cannot be used, the database cannot be opened, or Easel runs already.
    """
    with contextlib.closing(bound_socket(settings)) as listener, _termination_as_interrupt():
        say(words.say("cli.starting"))
        os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")  # Gradio asks its maker for versions otherwise
        from modules.ui.app import build_app  # Gradio comes in here, after everything that can fail at once

        plugins = make_plugins("ui", builtins("ui"), settings.extensions)
        server = Server(settings, plugins)
        try:
            app = build_app(server)
            server.start()
            config = uvicorn.Config(
                app, log_level="warning", access_log=False, timeout_graceful_shutdown=PATIENCE, server_header=False
            )
            address = address_of(settings.host, listener.getsockname()[1])
            with contextlib.suppress(KeyboardInterrupt):  # uvicorn has ended in good order by then
                _Announcing(config, server.feed, lambda: _welcome(address, settings, words, say)).run(
                    sockets=[listener]
                )
            say(words.say("cli.stopping"))
        finally:
            with _insisting():
                server.stop()
    return 0


def bound_socket(settings: Settings) -> socket.socket:
    """Return a socket bound to host and port of the settings; raise `SetupError` with a reason when that cannot be."""
    host, port = settings.host, settings.port
    try:
        family, _, _, _, place = socket.getaddrinfo(
            host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, socket.SOCK_STREAM)
        try:
            if os.name == "posix":
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(place)
            listener.listen()  # a browser that comes early waits instead of being turned away
        except OSError:
            listener.close()
            raise
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise SetupError("port_taken", port=port) from error
        raise SetupError("address_unusable", host=host, port=port, reason=error.strerror or str(error)) from error
    return listener


def address_of(host: str, port: int) -> str:
    """Return the address a browser on this machine opens."""
    name = "127.0.0.1" if host in EVERYBODY else f"[{host}]" if ":" in host else host
    return urllib.parse.urlunsplit(("http", f"{name}:{port}", "/", "", ""))


def _welcome(address: str, settings: Settings, words: Words, say: Callable[[str], None]) -> None:
    say(words.say("cli.address", address=address))
    if settings.host not in ("127.0.0.1", "localhost", "::1"):
        say(words.say("cli.no_login", name=socket.gethostname()))
    if settings.autolaunch:
        webbrowser.open(address)


class _Announcing(uvicorn.Server):
    """Says so when it answers, and lets go of the pages that watch before it ends."""

    def __init__(self, config: uvicorn.Config, feed: Feed, announce: Callable[[], None]) -> None:
        super().__init__(config)
        self._feed = feed
        self._announce = announce

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, then announce; a browser that opens may take its time."""
        await super().startup(sockets)
        if self.started:
            threading.Thread(target=self._announce, name="welcome", daemon=True).start()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Close the streams that never end by themselves, then everything; what Gradio still holds open is cut off."""
        self._feed.close()
        logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
        await super().shutdown(sockets)


@contextlib.contextmanager
def _termination_as_interrupt() -> Iterator[None]:
    """Let a plea to terminate end everything in the same good order as Ctrl+C."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextlib.contextmanager
def _insisting() -> Iterator[None]:
    """Give up waiting for the workers when a person presses Ctrl+C again: they end when their pipe closes."""
    try:
        yield
    except KeyboardInterrupt:
        os._exit(130)
