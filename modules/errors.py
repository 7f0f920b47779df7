"""What can go wrong, as one tree.

EaselError
├── BadRequest            the request asks for something outside what is allowed; nothing was queued
├── ModelError
│   ├── UnknownModel      no such model in the catalog
│   ├── WrongFamily       the file is for another model family
│   ├── BrokenFile        the file cannot be read as what it claims to be
│   └── UnsafeFile        the file could run code when it is opened
├── OutOfMemory           the device has no room for this
├── BrokenPicture         the network produced not-a-number
├── SaveError             the picture could not be written (disk full, no permission)
├── DownloadError         what a person wanted to add from an address did not come, or is no model
├── Cancelled             a person stopped the job
├── WorkerLost            the worker process died
├── SetupError            the installation cannot work as it is
└── ExtensionError        an extension failed

An error is a key of `locale/*/errors.json` with its values, so that each face can say it in the reader's language;
`str(error)` is the English sentence.
"""

from collections.abc import Mapping

from modules.words import Words, load_words


class EaselError(Exception):
    """Anything Easel reports to a person; `key` names the sentence, `values` fill it in."""

    def __init__(self, key: str, **values: object) -> None:
        super().__init__(key)
        self.key = key
        self.values: Mapping[str, object] = values

    def say(self, words: Words) -> str:
        """Return the sentence in the language of `words`."""
        return words.say(f"errors.{self.key}", **self.values)

    def __str__(self) -> str:
        return self.say(load_words())


class BadRequest(EaselError):
    """The request asks for something that is not allowed; the sentence says what is."""


class ModelError(EaselError):
    """A model file cannot be used."""


class UnknownModel(ModelError):
    """No model of that name is in the catalog."""


class WrongFamily(ModelError):
    """The file belongs to another model family."""


class BrokenFile(ModelError):
    """The file cannot be read as what it claims to be."""


class UnsafeFile(ModelError):
    """The file could run code when opened, so it is not opened."""


class OutOfMemory(EaselError):
    """The device has no room left."""


class BrokenPicture(EaselError):
    """The network produced not-a-number."""


class SaveError(EaselError):
    """The picture could not be written."""


class DownloadError(EaselError):
    """What was to be added from an address did not come, or is not what it should be."""


class Cancelled(EaselError):
    """A person stopped the job."""


class WorkerLost(EaselError):
    """The worker process died while it worked on the job."""


class SetupError(EaselError):
    """The installation cannot work as it is."""


class ExtensionError(EaselError):
    """An extension failed; `name` says which."""

    def __init__(self, name: str, key: str = "extension", **values: object) -> None:
        super().__init__(key, name=name, **values)
        self.name = name
