"""The flags. They keep A1111's names where the feature is the same one; there is none that does nothing."""

import argparse
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import MappingProxyType

from modules.words import Words

UPSCALERS = ("esrgan", "realesrgan", "bsrgan", "dat", "swinir", "scunet", "ldsr")
# Settings with further folders of models -> their flags, with the names A1111 and Forge know them by.
MODEL_FOLDERS = MappingProxyType(
    {
        "model_roots": ("--model-root", "--forge-ref-a1111-home"),
        "ckpt_dir": ("--ckpt-dir",),
        "lora_dir": ("--lora-dir", "--lyco-dir", "--lyco-dir-backcompat"),
        "vae_dir": ("--vae-dir",),
        "embeddings_dir": ("--embeddings-dir",),
        "hypernetwork_dir": ("--hypernetwork-dir",),
        "controlnet_dir": ("--controlnet-dir",),
        "upscaler_dir": tuple(f"--{name}-models-path" for name in UPSCALERS),
        "face_dir": ("--gfpgan-models-path", "--codeformer-models-path"),
        "text_encoder_dir": ("--text-encoder-dir",),
    }
)


def parse(argv: Sequence[str], words: Words) -> argparse.Namespace:
    """Read the command line; only what was given appears in the result, beside `command`.

    Exits with 0 after help, with 2 and a sentence when there is no such flag.
    """
    every = _folders_and_devices(words)
    parser = argparse.ArgumentParser(
        prog="webui.py",
        description=_say(words, "about"),
        epilog=_say(words, "more"),
        parents=[every],
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"Easel {_version()}", help=_say(words, "version"))
    parser.add_argument("--list", action="store_true", help=_say(words, "list"))
    _serving(parser, words)
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", title=_say(words, "commands"))
    generate = commands.add_parser(
        "generate",
        help=_say(words, "generate"),
        description=_say(words, "generate"),
        parents=[every],
        allow_abbrev=False,
    )
    _picture(generate, words)
    commands.add_parser(
        "doctor", help=_say(words, "doctor"), description=_say(words, "doctor"), parents=[every], allow_abbrev=False
    )
    return parser.parse_args(argv)


def _folders_and_devices(words: Words) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(add_help=False, argument_default=argparse.SUPPRESS)
    folders = parser.add_argument_group(_say(words, "folders"))
    folders.add_argument("--data-dir", type=Path, metavar="FOLDER", help=_say(words, "data_dir"))
    folders.add_argument("--models-dir", type=Path, metavar="FOLDER", help=_say(words, "models_dir"))
    for name, flags in MODEL_FOLDERS.items():
        folders.add_argument(*flags, dest=name, type=Path, metavar="FOLDER", action="append", help=_say(words, name))
    folders.add_argument(
        "--styles-file", dest="styles_file", type=Path, metavar="FILE", action="append", help=_say(words, "styles_file")
    )
    folders.add_argument(
        "--no-hashing", dest="hashing", action="store_false", default=argparse.SUPPRESS, help=_say(words, "no_hashing")
    )
    folders.add_argument("--outputs-dir", type=Path, metavar="FOLDER", help=_say(words, "outputs_dir"))
    folders.add_argument("--extensions-dir", type=Path, metavar="FOLDER", help=_say(words, "extensions_dir"))
    folders.add_argument("--disable-all-extensions", action="store_true", help=_say(words, "disable_all_extensions"))
    folders.add_argument("--database", metavar="URL", help=_say(words, "database"))
    devices = parser.add_argument_group(_say(words, "devices"))
    devices.add_argument("--use-cpu", nargs="?", const="all", choices=("all", "sd"), help=_say(words, "use_cpu"))
    devices.add_argument("--device-id", metavar="N[,N]", help=_say(words, "device_id"))
    devices.add_argument("--no-half", action="store_true", help=_say(words, "no_half"))
    for name in ("medvram", "lowvram"):
        devices.add_argument(f"--{name}", dest="offload", action="store_const", const=name, help=_say(words, name))
    devices.add_argument("--dtype", choices=("auto", "fp32", "fp16", "bf16"), help=_say(words, "dtype"))
    return parser


def _serving(parser: argparse.ArgumentParser, words: Words) -> None:
    group = parser.add_argument_group(_say(words, "page"))
    silent = argparse.SUPPRESS
    group.add_argument("--listen", action="store_true", default=silent, help=_say(words, "listen"))
    group.add_argument("--server-name", metavar="HOST", default=silent, help=_say(words, "server_name"))
    group.add_argument("--port", metavar="N", default=silent, help=_say(words, "port"))
    group.add_argument("--autolaunch", action="store_true", default=silent, help=_say(words, "autolaunch"))
    group.add_argument("--theme", choices=("dark", "light"), default=silent, help=_say(words, "theme"))
    group.add_argument("--start-paused", action="store_true", default=silent, help=_say(words, "start_paused"))
    group.add_argument("--preview-every", metavar="N", default=silent, help=_say(words, "preview_every"))
    group.add_argument("--controlnet-units", metavar="N", default=silent, help=_say(words, "controlnet_units"))


def _picture(parser: argparse.ArgumentParser, words: Words) -> None:
    """Every value stays text here: the request itself says what is allowed, in the reader's language."""
    group = parser.add_argument_group(_say(words, "picture"))
    silent = argparse.SUPPRESS
    group.add_argument("prompt", nargs="?", default=silent, metavar="PROMPT", help=_say(words, "prompt"))
    group.add_argument("--prompt-file", metavar="FILE", default=silent, help=_say(words, "prompt_file"))
    names = ("--negative", "--negative-prompt")
    group.add_argument(*names, dest="negative_prompt", metavar="TEXT", default=silent, help=_say(words, "negative"))
    for name in ("model", "vae", "emphasis", "sampler", "schedule"):
        group.add_argument(f"--{name}", metavar="NAME", default=silent, help=_say(words, name))
    group.add_argument(
        "--style", dest="styles", metavar="NAME", action="append", default=silent, help=_say(words, "style")
    )
    for name in ("steps", "width", "height", "cfg-scale", "clip-skip", "seed", "batch-count", "batch-size"):
        group.add_argument(f"--{name}", metavar="N", default=silent, help=_say(words, name.replace("-", "_")))
    group.add_argument(
        "--set",
        dest="extras",
        metavar="EXTENSION.FIELD=VALUE",
        action="append",
        default=silent,
        help=_say(words, "set"),
    )
    group.add_argument("-o", "--output", metavar="FILE|FOLDER", default=silent, help=_say(words, "output"))


def _say(words: Words, name: str) -> str:
    return words.say(f"cli.help_{name}").replace("%", "%%")


def _version() -> str:
    try:
        return version("easel-studio")
    except PackageNotFoundError:
        return ""
