"""Who may speak to the server: pages of this server and programs, never a web page from elsewhere.

A browser names the host it believes it speaks to, and the origin of the page that asks. A foreign page that reaches
a local server does so under its own name (DNS rebinding) or with its own origin (request forgery); both are refused.
"""

import ipaddress
import socket
from collections.abc import Mapping
from urllib.parse import urlsplit

from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
LOCAL_ENDINGS = (".localhost", ".local", ".lan", ".internal", ".home.arpa")  # names nobody can register
HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"same-origin"),
    (b"x-frame-options", b"SAMEORIGIN"),
)


class Guard:
    """ASGI middleware that refuses foreign hosts and origins, and adds protective headers.

    Bound to loopback, only loopback names are answered. Bound wider, also addresses, names without a dot, names that
    cannot be registered publicly, and this machine's own name.
    """

    def __init__(self, app: ASGIApp, host: str) -> None:
        self.app = app
        self.host = host

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 403 or pass the request on."""
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        fault = self._fault(str(scope.get("method", "")), scope["type"] == "websocket", headers)
        if not fault:
            await self.app(scope, receive, _protected(send))
        elif scope["type"] == "http":
            await PlainTextResponse(fault, status_code=403)(scope, receive, send)
        else:
            await send({"type": "websocket.close", "code": 1008})

    def _fault(self, method: str, socket_opening: bool, headers: Mapping[str, str]) -> str:
        host = headers.get("host", "")
        if not answers_to(_name(host), self.host):
            return "This server does not answer to that host name. Open it by its address or as localhost.\n"
        if method in SAFE and not socket_opening:
            return ""
        origin = headers.get("origin")
        if origin is not None and urlsplit(origin).netloc.lower() != host.lower():
            return "Only pages of this server may do that.\n"
        if origin is None and headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
            return "Only pages of this server may do that.\n"
        return ""


def answers_to(name: str, bound: str) -> bool:
    """Return whether a server bound to the address `bound` answers to the host name `name`."""
    if _loopback(name):
        return True
    if _loopback(bound):
        return False
    return (
        _address(name) is not None
        or (bool(name) and "." not in name)
        or name.endswith(LOCAL_ENDINGS)
        or name in (bound.lower(), socket.gethostname().lower(), socket.getfqdn().lower())
    )


def _name(host: str) -> str:
    try:
        return (urlsplit(f"//{host}").hostname or "").lower()
    except ValueError:
        return ""


def _address(name: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(name)
    except ValueError:
        return None


def _loopback(name: str) -> bool:
    address = _address(name)
    return name == "localhost" or name.endswith(".localhost") or (address is not None and address.is_loopback)


def _protected(send: Send) -> Send:
    async def protected(message: Message) -> None:
        if message["type"] == "http.response.start":
            present = {name.lower() for name, _ in message["headers"]}
            added = [each for each in HEADERS if each[0] not in present]
            message = {**message, "headers": [*message["headers"], *added]}
        await send(message)

    return protected
