"""Every door: a docstring, a page in CONTRIBUTING.md with its real arguments, and a test that goes through it."""

import ast
import inspect
import re

import pytest

from modules.hooks import Hooks
from tests.floors import ROOT

HOOKS = {name: each for name, each in inspect.getmembers(Hooks, inspect.isfunction) if not name.startswith("_")}
PAGE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")


def arguments(name: str) -> list[str]:
    return [each for each in inspect.signature(HOOKS[name]).parameters if each != "self"]


def documented(page: str) -> dict[str, list[str]]:
    """Return the argument names of every hook described as a heading: ### `name(first, second)`."""
    found = re.findall(r"^#{2,4} `(\w+)\(([^)]*)\)`", page, re.MULTILINE)
    return {name: [each.strip() for each in given.split(",") if each.strip()] for name, given in found}


def tried() -> set[str]:
    """Return every name that is defined as a function, or named in a text, in some other test file."""
    names: set[str] = set()
    for file in (ROOT / "tests").rglob("test_*.py"):
        if file.name == "test_hooks.py":
            continue
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef):
                names.add(node.name)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                names |= set(re.findall(r"def (\w+)\(", node.value)) | {node.value}
    return names


TRIED = tried()


@pytest.mark.parametrize("name", HOOKS)
def test_hook_has_a_docstring_and_is_a_hook(name: str) -> None:
    lines = (inspect.getdoc(HOOKS[name]) or "").splitlines()
    assert lines and lines[0].endswith((".", ":")), f"{name} has no docstring"
    assert hasattr(HOOKS[name], "easel_spec"), f"{name} is not marked with @hookspec"


@pytest.mark.parametrize("name", HOOKS)
def test_hook_is_described_with_its_real_arguments(name: str) -> None:
    assert documented(PAGE).get(name) == arguments(name), f"CONTRIBUTING.md needs a heading `{name}(…)`"


@pytest.mark.parametrize("name", HOOKS)
def test_hook_has_a_test(name: str) -> None:
    assert name in TRIED


def test_nothing_is_described_that_does_not_exist() -> None:
    assert set(documented(PAGE)) <= set(HOOKS)


def test_documentation_is_read_as_written() -> None:
    page = "### `fields(tab)`\ntext `tabs()`\n### `patch(job, model)`\n"
    assert documented(page) == {"fields": ["tab"], "patch": ["job", "model"]}
