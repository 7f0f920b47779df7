"""The one way out of Easel: HTTP requests that a person asked for, and only to addresses of the public internet.

Names are looked up here, every address they lead to is checked, and the connection is made to an address that was
checked; at each redirect all of that happens again. So neither a redirect nor a name that changes its meaning between
two look-ups (DNS rebinding) reaches what only this computer can reach: its own services, the router, a cloud's
metadata. The settings may allow such addresses.
"""

import base64
import contextlib
import http.client
import ipaddress
import socket
import ssl
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import Message
from types import MappingProxyType
from urllib.parse import SplitResult, quote, unquote, urljoin, urlsplit, urlunsplit

import certifi

from modules.errors import DownloadError

CONNECT, READ = 20.0, 60.0  # seconds
REDIRECTS = 10
MOVED = frozenset({301, 302, 303, 307, 308})
NAT64 = ipaddress.IPv6Network("64:ff9b::/96")  # RFC 6052: an IPv4 address in the last 32 bits
NOTHING: Mapping[str, str] = MappingProxyType({})

Resolve = Callable[[str, int], list[str]]
"""Host and port to addresses."""


@dataclass(frozen=True)
class Answer:
    """What a server answered, after all redirects; `hops` are the headers of the redirects on the way."""

    address: str
    status: int
    headers: Message
    read: Callable[[int], bytes]  # up to so many bytes, as they come; empty at the end
    hops: tuple[Message, ...] = ()


@dataclass(frozen=True)
class Outward:
    """Makes requests. `private`: addresses that are not public are allowed; `resolve` and `proxies` ask the system."""

    private: bool = False
    resolve: Resolve = field(default_factory=lambda: _addresses)
    proxies: Callable[[], Mapping[str, str]] = urllib.request.getproxies
    patience: float = READ

    @contextmanager
    def get(self, address: str, headers: Mapping[str, str] = NOTHING, token: str = "") -> Iterator[Answer]:
        """Ask for `address`, follow redirects, and give the answer until the `with` is left.

        `token` is shown to the host of `address` only, and never to one it redirects to. Raises `DownloadError` for
        an address that cannot be asked, `OSError` or `http.client.HTTPException` when the line fails.
        """
        home = _origin(checked(address))
        secret = {"Authorization": f"Bearer {token}"} if token else {}
        hops: list[Message] = []
        for _ in range(REDIRECTS + 1):
            place = checked(address)
            given = {**headers, **(secret if _origin(place) == home else {})}
            with self._asked(place, given) as answer:
                target = answer.headers.get("Location", "")
                if answer.status not in MOVED or not target:
                    yield Answer(address, answer.status, answer.headers, answer.read1, tuple(hops))
                    return
            hops.append(answer.headers)
            following = urljoin(address, target)
            if place.scheme == "https" and urlsplit(following).scheme == "http":
                raise DownloadError("download_downgrade", host=host_of(following))
            address = following
        raise DownloadError("download_redirects", host=host_of(address))

    @contextmanager
    def _asked(self, place: SplitResult, headers: Mapping[str, str]) -> Iterator[http.client.HTTPResponse]:
        host, port = _host(place), place.port or (443 if place.scheme == "https" else 80)
        proxy = self._proxy(place.scheme, host)
        connection = http.client.HTTPConnection(host, port, timeout=self.patience)
        target = urlunsplit(("", "", place.path or "/", place.query, ""))
        with contextlib.closing(connection):
            connection.sock = self._connected(place.scheme, host, port, proxy)
            if proxy is not None and place.scheme == "http":
                target = urlunsplit((place.scheme, place.netloc, place.path or "/", place.query, ""))
                headers = {**headers, **_credentials(proxy)}
            sent = {"User-Agent": "Easel", "Accept": "*/*", "Accept-Encoding": "identity", **headers}
            if place.username:
                sent["Authorization"] = _basic(place)
            connection.request("GET", target, headers=sent)
            with connection.getresponse() as answer:
                yield answer

    def _connected(self, scheme: str, host: str, port: int, proxy: SplitResult | None) -> socket.socket:
        """Return a socket to the host, through the proxy where there is one, speaking TLS for https."""
        if proxy is None:
            line = self._reached(host, port, self.private)
        else:
            if not self.private and (host == "localhost" or (_is_address(host) and not is_public(host))):
                raise DownloadError("download_private", host=host)
            line = self._reached(_host(proxy), proxy.port or 8080, True)  # the settings of this computer name it
        try:
            line.settimeout(self.patience)
            if proxy is not None and scheme == "https":
                _tunnel(line, host, port, proxy)
            return _tls().wrap_socket(line, server_hostname=host) if scheme == "https" else line
        except BaseException:
            line.close()
            raise

    def _reached(self, host: str, port: int, private: bool) -> socket.socket:
        found = self.resolve(host, port)
        if not private and not all(is_public(each) for each in found):
            raise DownloadError("download_private", host=host)
        fault: OSError = OSError(f"{host} has no address")
        for each in found:
            try:
                return socket.create_connection((each, port), timeout=CONNECT)
            except OSError as error:
                fault = error
        raise fault

    def _proxy(self, scheme: str, host: str) -> SplitResult | None:
        """Return the proxy that the environment names for such an address."""
        named = self.proxies().get(scheme, "")
        if not named or urllib.request.proxy_bypass(host):
            return None
        return urlsplit(named if "://" in named else f"http://{named}")


def checked(address: str) -> SplitResult:
    """Return the parts of an http or https address; raise `DownloadError` for anything else."""
    text = address.strip()
    try:
        parts = urlsplit(quote(text, safe="%/:=&?~#+!$,;'@()*[]-._"))
        known = parts.scheme in ("http", "https") and bool(_host(parts)) and parts.port != 0
    except (ValueError, UnicodeError):
        known = False
    if not known:
        raise DownloadError("download_address", address=text[:120])
    return parts


def shown(address: str) -> str:
    """Return the address as people may see it: without a name, a password, or a query that may hold a key."""
    try:
        parts = urlsplit(address.strip())
        return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], unquote(parts.path), "", ""))[:300]
    except ValueError:
        return ""


def host_of(address: str) -> str:
    """Return the host of an address, for messages."""
    return urlsplit(address).hostname or ""


def is_public(address: str) -> bool:
    """Return whether an IP address belongs to the public internet; one wrapped in another is looked into."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(found, ipaddress.IPv6Address):
        if found in NAT64:
            return is_public(str(ipaddress.IPv4Address(int(found) & 0xFFFFFFFF)))
        inner = found.ipv4_mapped or found.sixtofour or (found.teredo or (None, None))[1]
        if inner is not None:
            return is_public(str(inner))
    return found.is_global and not found.is_multicast


def _addresses(host: str, port: int) -> list[str]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(place[0]) for *_, place in found))


def _host(parts: SplitResult) -> str:
    """The host as the network knows it; raises `UnicodeError` for a name no one can have."""
    name = unquote(parts.hostname or "")
    return name if name.isascii() else name.encode("idna").decode("ascii")


def _origin(parts: SplitResult) -> tuple[str, str, int | None]:
    return parts.scheme, _host(parts), parts.port


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _basic(parts: SplitResult) -> str:
    pair = f"{unquote(parts.username or '')}:{unquote(parts.password or '')}"
    return f"Basic {base64.b64encode(pair.encode()).decode()}"


def _credentials(proxy: SplitResult) -> Mapping[str, str]:
    return {"Proxy-Authorization": _basic(proxy)} if proxy.username else {}


def _tunnel(line: socket.socket, host: str, port: int, proxy: SplitResult) -> None:
    """Ask a proxy for a line to the host (RFC 9110, 9.3.6); raise `OSError` when it refuses."""
    name = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    lines = [f"CONNECT {name} HTTP/1.1", f"Host: {name}"]
    lines += [f"{header}: {value}" for header, value in _credentials(proxy).items()]
    line.sendall(("\r\n".join(lines) + "\r\n\r\n").encode("ascii"))
    answer = b""
    while not answer.endswith(b"\r\n\r\n"):
        piece = line.recv(1)
        if not piece or len(answer) > 65536:
            raise OSError("the proxy did not answer")
        answer += piece
    words = answer.split(b"\r\n", 1)[0].split(b" ", 2)
    if len(words) < 2 or words[1] != b"200":
        raise OSError(f"the proxy answered {answer[:60].decode('latin-1')!r}")


def _tls() -> ssl.SSLContext:
    """Return what TLS is spoken with: the system's certificates, and those that come with Python packages."""
    context = ssl.create_default_context()
    context.load_verify_locations(certifi.where())
    return context
