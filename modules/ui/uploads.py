"""Files that Gradio has taken in for a page."""

from collections.abc import Iterator, Sequence

BATCH = 100  # pictures of one click


def uploaded(paths: Sequence[str], most: int = BATCH) -> Iterator[bytes]:
    """Yield the bytes of files that Gradio has taken in for this page, at most `most` of them."""
    for path in list(paths)[:most]:
        with open(path, "rb") as file:
            yield file.read()
