"""The one way out: nothing of this network is asked, whatever the name, the redirect or the moment."""

import socket
from collections.abc import Callable, Iterator

import pytest

from modules.errors import DownloadError
from modules.server.outward import Outward, checked, is_public, shown
from tests.local_web import Served, Web, web


@pytest.fixture
def site() -> Iterator[Web]:
    with web() as found:
        yield found


def fault(outward: Outward, address: str) -> str:
    with pytest.raises(DownloadError) as told, outward.get(address):
        pass
    return told.value.key


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1",
        "255.255.255.255", "::1", "::", "fe80::1", "fe80::1%eth0", "fd00::1", "ff02::1", "::ffff:10.0.0.1",
        "64:ff9b::a00:1", "2002:0a00:0001::1", "not an address",
    ],
)  # fmt: skip
def test_these_are_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", ["1.1.1.1", "140.82.112.3", "2606:4700::1111", "64:ff9b::101:101"])
def test_these_are_public(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "2130706433", "0x7f.1", "127.1"])
def test_this_computer_is_not_asked(host: str, site: Web) -> None:
    port = site.address.rpartition(":")[2]
    assert fault(Outward(proxies=dict), f"http://{host}:{port}/") == "download_private"
    assert site.asked == []


def test_one_private_address_among_public_ones_is_enough(site: Web) -> None:
    outward = Outward(resolve=lambda host, port: ["93.184.216.34", "127.0.0.1"], proxies=dict)
    assert fault(outward, "http://both.example/") == "download_private"


def test_a_redirect_into_this_network_is_refused(site: Web) -> None:
    """The first host is allowed here by standing in for a public one; where it leads is looked at again."""
    site.put("/", Served(b"", 302, {"Location": "http://inner.example/secret"}))
    port = int(site.address.rpartition(":")[2])
    public = _standing_in(port)
    assert fault(public, f"http://outer.example:{port}/") == "download_private"
    assert len(site.asked) == 1


def _standing_in(port: int) -> Outward:
    """outer.example counts as public although it is on this computer; any other name leads inside."""

    class Standing(Outward):
        def _reached(self, host: str, port: int, private: bool) -> socket.socket:
            return super()._reached("127.0.0.1" if host == "outer.example" else host, port, host == "outer.example")

    return Standing(resolve=lambda host, asked: ["127.0.0.1"], proxies=dict)


def test_a_name_is_looked_up_once_and_that_address_is_asked(site: Web) -> None:
    """A name that means something else when asked again (DNS rebinding) gains nothing."""
    looked: list[str] = []

    def resolve(host: str, port: int) -> list[str]:
        looked.append(host)
        return ["127.0.0.1"]

    site.put("/", Served(b"here"))
    with Outward(private=True, resolve=resolve, proxies=dict).get(
        f"http://any.example:{site.address.rpartition(':')[2]}/"
    ) as answer:
        assert answer.read(100) == b"here"
    assert looked == ["any.example"] and site.asked[0][1]["host"].startswith("any.example:")


def test_encryption_is_not_given_up_on_the_way(monkeypatch: pytest.MonkeyPatch, site: Web) -> None:
    site.put("/", Served(b"", 302, {"Location": "http://127.0.0.1/plain"}))
    line: Callable[..., socket.socket] = Outward._reached

    class Plain(Outward):
        def _connected(self, scheme: str, host: str, port: int, proxy: object) -> socket.socket:
            return line(self, "127.0.0.1", int(site.address.rpartition(":")[2]), True)  # TLS left out

    assert fault(Plain(private=True, proxies=dict), "https://safe.example/") == "download_downgrade"


def test_the_proxy_of_the_environment_is_used(site: Web) -> None:
    site.put("http://files.example/a", Served(b"by the proxy"))
    outward = Outward(proxies=lambda: {"http": site.address.replace("http://", "http://me:word@")})
    with outward.get("http://files.example/a") as answer:
        assert answer.read(100) == b"by the proxy"
    assert site.asked[0][1]["proxy-authorization"].startswith("Basic ")
    assert fault(outward, "http://10.0.0.1/") == "download_private"


def test_what_is_shown_holds_no_key() -> None:
    assert shown("https://me:word@e.com/a%20b/c?token=x#y") == "https://e.com/a b/c"
    assert checked(" https://e.com/모델.safetensors ").path.isascii()
