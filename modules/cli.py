"""The command line and composition root: makes everything, once, and hands it down.

At the top it imports the standard library only, so that `--help` needs nothing installed and answers at once; each
command brings in what it needs.
"""

import os
import sys
from argparse import Namespace
from collections.abc import Sequence

from modules.commands.arguments import parse
from modules.errors import BadRequest, EaselError, UnknownModel
from modules.setup.entry import spoken
from modules.words import Words, load_words

FAILED, BAD, INTERRUPTED = 1, 2, 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; return 0, or 2 for a request that cannot be met, 1 for what went wrong, 130 after Ctrl+C."""
    words = load_words(spoken(os.environ))
    asked = parse(sys.argv[1:] if argv is None else argv, words)
    try:
        return _run(asked, words)
    except (BadRequest, UnknownModel) as error:
        print(error.say(words), file=sys.stderr)
        return BAD
    except EaselError as error:
        print(error.say(words), file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        print(words.say("cli.interrupted"), file=sys.stderr)
        return INTERRUPTED


def _run(asked: Namespace, words: Words) -> int:
    from modules.commands.rooms import mend_settings, settings_of

    if aside := mend_settings(asked):
        print(words.say("cli.settings_aside", file=aside), file=sys.stderr)
    settings = settings_of(asked)
    if asked.list:
        from modules.commands.listing import show_offers

        return show_offers(settings, words, print)
    if asked.command == "doctor":
        from modules.commands.doctor import examine

        return examine(settings, words, print)
    if asked.command == "generate":
        from modules.commands.generate import generate

        return generate(asked, settings, words, print)
    from modules.commands.serve import serve

    return serve(settings, words, print)
