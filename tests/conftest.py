"""How the tests are shared out where several processes run them (`-n 2 --dist loadgroup`)."""

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep a file's tests together, and those that drive a browser too: two browsers at once wait for each other.

    The browser comes first; nothing else takes as long.
    """
    items.sort(key=lambda item: item.get_closest_marker("browser") is None)
    for item in items:
        driven = item.get_closest_marker("browser") is not None
        item.add_marker(pytest.mark.xdist_group("browser" if driven else str(item.path)))
