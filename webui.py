"""The entry of Easel: sees to it that the environment is there, then hands over to `modules.cli`.

Needs only the standard library. This file keeps to words that an old Python can read too, so that it can say which
Python is needed instead of stumbling over its own syntax.
"""

import json
import os
import sys

ROOT = os.path.dirname(os.path.abspath(__file__))
OLDEST, LIMIT = (3, 11), (3, 14)  # as `requires-python` in pyproject.toml; a test holds the two together


def too_old_or_new() -> str:
    """Return a sentence if this Python cannot run Easel, otherwise nothing."""
    if OLDEST <= sys.version_info[:2] < LIMIT:
        return ""
    spoken = os.environ.get("LC_ALL") or os.environ.get("LC_MESSAGES") or os.environ.get("LANG") or ""
    language = "ko" if spoken.startswith("ko") else "en"
    with open(os.path.join(ROOT, "modules", "locale", language, "setup.json"), encoding="utf-8") as file:
        sentence = str(json.load(file)["python"])
    least, limit, found = (".".join(str(part) for part in each[:2]) for each in (OLDEST, LIMIT, sys.version_info))
    return sentence.format(least=least, limit=limit, found=found)


def main() -> int:
    """Set up if need be, then run the command line; return the exit code."""
    problem = too_old_or_new()
    if problem:
        print(problem, file=sys.stderr)
        return 1
    # imported here because an old Python cannot read it, and the command line because it needs what set-up installs
    from modules.setup.entry import enter

    code = enter(ROOT, sys.argv[1:], sys.stderr)
    if code is not None:
        return code
    from modules.cli import main as command_line

    return command_line(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
