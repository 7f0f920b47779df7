"""What has arrived: what it may be called, whether it is a model, and which kind its keys speak of.

Only names and shapes are read; nothing is unpickled.
"""

import contextlib
import os
import re
import secrets
import shutil
import unicodedata
from collections.abc import Collection
from email.message import Message
from pathlib import Path
from urllib.parse import unquote, urlsplit

from modules.errors import BrokenFile, DownloadError, SaveError
from modules.model_manager.header import read_safetensors
from modules.model_manager.torch_file import read_torch

SUFFIXES = (".safetensors", ".ckpt", ".pt", ".pth", ".bin")
LONGEST_NAME = 180  # bytes of UTF-8; file systems take 255, and sidecars are longer
RESERVED = frozenset({"con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(1, 10))})
FORBIDDEN = '<>:"|?*/\\'

KINDS: tuple[tuple[str, str], ...] = (
    ("embedding", r"emb_params|clip_[lg]|string_to_param\..*|string_to_token\..*|<.*>"),
    ("lora", r".*(lora_(down|up|A|B|unet|te\d?)|hada_w|lokr_w|oft_(blocks|diag)|\.on_input|\.a1\.weight).*"),
    ("controlnet", r"(control_model|controlnet_(cond_embedding|down_blocks)|input_hint_block|zero_convs)\..*"),
    ("controlnet", r"(image_proj|ip_adapter)\..*|lllite_unet_.*"),
    ("checkpoint", r"(model\.diffusion_model|unet|cond_stage_model|conditioner)\..*"),
    ("vae", r"(first_stage_model\.)?(encoder|decoder)\.(conv_in|down|up|mid|down_blocks|up_blocks|mid_block)\b.*"),
    ("hypernetwork", r"(320|640|768|1024|1280|2048)\.\d+\..*"),
    ("upscaler", r"(params(_ema)?\.)?(model\.\d+|conv_first|RRDB_trunk|body|layers\.\d+\.residual_group)\..*"),
)


def clean_name(text: str) -> str:
    """Return `text` as the name of a file on any system, or nothing when none is left; never a path."""
    base = re.split(r"[/\\]", unicodedata.normalize("NFC", text))[-1]
    kept = "".join(each for each in base if each.isprintable() and each not in FORBIDDEN).strip(" .")
    stem, dot, suffix = kept.rpartition(".")
    if not dot:
        stem, suffix = kept, ""
    while len(f"{stem}{dot}{suffix}".encode()) > LONGEST_NAME and stem:
        stem = stem[:-1]
    name = f"{stem.rstrip(' .')}{dot}{suffix}".lstrip(".")
    return f"_{name}" if name.split(".")[0].lower() in RESERVED else name


def told_name(headers: Message, address: str) -> str:
    """Return the name a server gives the file (RFC 6266), or the last part of the address."""
    given = headers.get_filename() or ""
    with contextlib.suppress(UnicodeError):
        given = given.encode("latin-1").decode("utf-8")  # sent as UTF-8, read as what HTTP says
    return clean_name(given) or clean_name(unquote(urlsplit(address).path).rpartition("/")[2])


def is_page(start: bytes, type_: str) -> bool:
    """Return whether what comes is a web page or a message instead of a model, by its first bytes and its type."""
    lead = start.lstrip()[:1]
    return lead in (b"<", b"{", b"[") or type_ in ("text/html", "application/json", "application/xml")


def could_be_model(start: bytes) -> bool:
    """Return whether a file that begins so can be a safetensors file or a zip of torch's."""
    return start.startswith(b"PK") or start[8:9] == b"{"


def examine(path: Path, name: str) -> tuple[str, str]:
    """Return the name a file should have, by what it is, and the kind its keys speak of (empty: no idea).

    Raises `DownloadError` for what is no model, `BrokenFile` or `UnsafeFile` for one that is damaged or holds code.
    """
    with path.open("rb") as opened:
        start = opened.read(16)
    if not could_be_model(start):
        raise DownloadError("download_not_model", name=name)
    suffix = Path(name).suffix.lower()
    if start.startswith(b"PK"):
        keys: Collection[str] = read_torch(path).entries
        if suffix not in SUFFIXES or suffix == ".safetensors":
            raise DownloadError("download_not_model", name=name)
    else:
        keys = [key for key, _ in read_safetensors(path)]
        if suffix != ".safetensors":
            name = (name.removesuffix(suffix) if suffix in SUFFIXES else name) + ".safetensors"
    if not keys:
        raise BrokenFile("download_not_model", name=name)
    return name, kind_of(keys)


def place(part: Path, target: Path) -> None:
    """Move a checked file to where it belongs, in one step, on the disk for good; nothing is overwritten.

    Raises `DownloadError` when something of that name is there, `SaveError` when it cannot be written; then `part`
    stays.
    """
    beside = target.with_name(f".{target.name}.{secrets.token_hex(4)}.part")
    try:
        if os.path.lexists(target):
            raise FileExistsError(target)
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.rename(part, beside)
        except OSError:  # another disk
            shutil.copyfile(part, beside)
        try:
            _settle(beside, target)
        except OSError:
            os.replace(beside, part) if not part.exists() else beside.unlink()
            raise
    except FileExistsError as error:
        raise DownloadError("download_exists", name=target.name) from error
    except OSError as error:
        beside.unlink(missing_ok=True)
        reason = error.strerror or str(error)
        raise SaveError("download_write", folder=str(target.parent), reason=reason) from error
    part.unlink(missing_ok=True)


def _settle(beside: Path, target: Path) -> None:
    with beside.open("rb+") as file:
        os.fsync(file.fileno())
    try:
        os.link(beside, target)  # fails when there is something, in one step
        beside.unlink()
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links
        if os.path.lexists(target):
            raise FileExistsError(target) from None
        os.rename(beside, target)


def kind_of(keys: Collection[str]) -> str:
    """Return the kind of model that has such keys, or nothing."""
    return next((kind for kind, pattern in KINDS if any(re.fullmatch(pattern, key) for key in keys)), "")
