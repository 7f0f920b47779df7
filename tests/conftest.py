"""What holds for all tests."""

import gc


def pytest_collection_finish() -> None:
    """Keep what was imported and collected out of the search for garbage, which models that leave ask for."""
    gc.collect()
    gc.freeze()
