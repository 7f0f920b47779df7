"""What an address that a person pasted means: a file anywhere, one on Hugging Face, a version of a model on Civitai.

Hugging Face shows a file at `/blob/` and serves it at `/resolve/`. Civitai shows a model at `/models/<model>`, one of
its versions with `?modelVersionId=<version>`, and serves files at `/api/download/models/<version>`; its API tells name,
kind, SHA-256 and trigger words of a version.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any
from urllib.parse import parse_qs, parse_qsl, unquote, urlencode, urlsplit, urlunsplit

from modules.errors import DownloadError
from modules.server.outward import Outward, checked, host_of, shown

LONGEST_ANSWER = 8 * 2**20  # bytes of JSON
HF_HOSTS = frozenset({"huggingface.co", "www.huggingface.co", "hf.co"})
CIVITAI_HOSTS = frozenset({"civitai.com", "www.civitai.com", "civitai.red", "civitai.green"})
CIVITAI_KINDS: Mapping[str, str] = MappingProxyType(
    {
        "checkpoint": "checkpoint",
        "lora": "lora",
        "locon": "lora",
        "dora": "lora",
        "textualinversion": "embedding",
        "hypernetwork": "hypernetwork",
        "vae": "vae",
        "controlnet": "controlnet",
        "upscaler": "upscaler",
    }
)
HINTS: tuple[tuple[str, str], ...] = (
    ("hypernetwork", r"hypernet"),
    ("controlnet", r"control[-_ ]?(net|lora)|(^|[-_/])control_"),
    ("lora", r"lora|locon|loha|lokr|lycoris|dora(?![a-z])"),
    ("embedding", r"embedding|textual[-_ ]?inversion"),
    ("vae", r"(^|[^a-z])vae([^a-z]|$)"),
    ("upscaler", r"esrgan|upscal|swinir|(^|[^a-z0-9])[248]x([^0-9]|$)"),
)


@dataclass(frozen=True)
class Source:
    """Where a file comes from, and what is known about it beforehand; `kind` is a guess."""

    address: str
    name: str = ""
    kind: str = ""
    sha256: str = ""
    size: int = 0  # bytes
    trigger: str = ""  # trigger words
    token: str = ""  # shown to the host of `address`


@dataclass(frozen=True)
class Hubs:
    """Where Hugging Face and Civitai are, and a person's keys to them."""

    huggingface: str = "https://huggingface.co"
    civitai: str = "https://civitai.com"
    huggingface_token: str = ""
    civitai_token: str = ""

    def find(self, address: str, outward: Outward) -> Source:
        """Return where the file is that a person means by `address`.

        Civitai is asked about a model there. Raises `DownloadError` for an address that leads to no file.
        """
        parts = checked(address)
        host = (parts.hostname or "").lower()
        if host in HF_HOSTS or _under(address, self.huggingface):
            return self._huggingface(_below(parts.path, self.huggingface))
        if host in CIVITAI_HOSTS or _under(address, self.civitai):
            return self._civitai(_below(parts.path, self.civitai), parts.query, outward)
        return Source(address.strip(), kind=guess(unquote(parts.path)))

    def _huggingface(self, path: str) -> Source:
        found = re.fullmatch(r"(/(?:datasets/|spaces/)?[^/]+/[^/]+)/(?:blob|resolve|raw)/([^/]+)/(.+)", path)
        if found is None:
            raise DownloadError("download_hub_page")
        repository, revision, file = found.groups()
        address = f"{self.huggingface}{repository}/resolve/{revision}/{file}"
        readable = unquote(file)
        kind = guess(readable) or guess(unquote(repository))
        return Source(address, readable.rpartition("/")[2], kind, token=self.huggingface_token)

    def _civitai(self, path: str, query: str, outward: Outward) -> Source:
        """A token in the link (`?token=`) is taken for this download; it is kept nowhere."""
        asked = parse_qs(query)
        token = (asked.get("token") or [self.civitai_token])[0]
        file = [(name, value) for name, value in parse_qsl(query) if name in ("type", "format", "size", "fp")]
        served = re.search(r"/api/download/models/(\d+)|/model-versions/(\d+)", path)
        page = re.match(r"/models/(\d+)", path)
        version = next(
            (each for each in (*(served.groups() if served else ()), *asked.get("modelVersionId", ())) if each), ""
        )
        if version.isdigit():
            about = self._about(f"/api/v1/model-versions/{version}", token, outward)
            type_ = str(_dict(about.get("model")).get("type", ""))
        elif page is not None:
            model = self._about(f"/api/v1/models/{page[1]}", token, outward)
            about = next(iter(_dicts(model.get("modelVersions"))), {})
            type_ = str(model.get("type", ""))
            version = str(about.get("id", ""))
        else:
            raise DownloadError("download_hub_page")
        chosen = _chosen(_dicts(about.get("files")), dict(file))
        address = f"{self.civitai}/api/download/models/{version}" + (f"?{urlencode(file)}" if file else "")
        trained = about.get("trainedWords")
        return Source(
            address,
            str(chosen.get("name", "")),
            CIVITAI_KINDS.get(type_.lower(), ""),
            str(_dict(chosen.get("hashes")).get("SHA256", "")).lower(),
            trigger=", ".join(str(each).strip(" ,") for each in trained if str(each).strip(" ,"))
            if isinstance(trained, list)
            else "",
            token=token,
        )

    def _about(self, path: str, token: str, outward: Outward) -> Mapping[str, Any]:
        with outward.get(self.civitai + path, token=token) as answer:
            if answer.status != 200:
                raise refused(answer.status, self.civitai)
            text = b""
            while (piece := answer.read(2**16)) and len(text) <= LONGEST_ANSWER:
                text += piece
        try:
            return _dict(json.loads(text))
        except (ValueError, RecursionError) as error:
            raise DownloadError("download_not_model", name=path.rpartition("/")[2]) from error


def refused(status: int, address: str) -> DownloadError:
    """Return the error for an HTTP status that brings no file."""
    host = host_of(address)
    if status in (401, 403):
        return DownloadError("download_login", host=host)
    if status in (404, 410):
        return DownloadError("download_missing", host=host)
    return DownloadError("download_status", host=host, status=status)


def guess(path: str) -> str:
    """Return the kind of model that the words of a path speak of, or nothing."""
    lowered = path.lower()
    return next((kind for kind, pattern in HINTS if re.search(pattern, lowered)), "")


def without_token(address: str) -> str:
    """Return the address as it may be kept: a `token` in its query is left out."""
    parts = urlsplit(address.strip())
    kept = "&".join(each for each in parts.query.split("&") if each and not each.startswith("token="))
    return urlunsplit(parts._replace(query=kept))


def _under(address: str, base: str) -> bool:
    return shown(address).startswith(base + "/")


def _below(path: str, base: str) -> str:
    return path.removeprefix(urlsplit(base).path)


def _chosen(files: Sequence[Mapping[str, Any]], wanted: Mapping[str, str]) -> Mapping[str, Any]:
    """Return the file that a download link with these words serves: the primary one when it says none."""
    for file in files if wanted else ():
        told = {**{name: str(value) for name, value in _dict(file.get("metadata")).items()}, "type": file.get("type")}
        if all(str(told.get(name)).lower() == value.lower() for name, value in wanted.items()):
            return file
    if wanted:
        return {}
    return next((file for file in files if file.get("primary")), next(iter(files), {}))


def _dict(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _dicts(value: object) -> list[Mapping[str, Any]]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []
