"""A pickle read as data: dicts, lists, texts, numbers and places of tensors. Nothing in it is imported or called.

What a pickle calls by name must be on a short list; what is there only to be carried along (callbacks of a trainer,
its settings) becomes `Inert`. Any other name means that whoever unpickles the file runs something: `UnsafeFile`.
"""

from __future__ import annotations

import pickletools
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

from modules.errors import BrokenFile, UnsafeFile
from modules.model_manager.pickled_names import MAKERS, Inert, Named, is_known, key_text, storage_of

MOST_OPERATIONS = MOST_COPIED = 4_000_000
BROKEN = (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError, struct.error)


class Source(Protocol):
    """What a pickle is read from."""

    def read(self, count: int, /) -> bytes:
        """Return up to so many bytes."""
        ...

    def readline(self) -> bytes:
        """Return bytes up to and with the next line feed."""
        ...


def read_pickle(source: Source, file: str) -> Any:
    """Return what one pickle holds, as plain data; `file` is the name for messages.

    Keys of dicts become text. Raises `UnsafeFile` naming what would be called, `BrokenFile` when it is no whole pickle.
    """
    try:
        return _Machine(file).run(source)
    except BROKEN as error:
        raise BrokenFile("not_torch", file=file) from error


@dataclass
class _Machine:
    """The pickle machine's stack, marks and memo."""

    file: str
    stack: list[Any] = field(default_factory=list)
    marks: list[int] = field(default_factory=list)
    memo: dict[int, Any] = field(default_factory=dict)
    copied: int = 0  # characters and items: a short pickle could otherwise copy a long list for ever

    def run(self, source: Source) -> Any:
        for count, (operation, argument, _) in enumerate(pickletools.genops(source)):  # type: ignore[arg-type]
            if operation.name == "STOP":
                return self.stack.pop()
            if count > MOST_OPERATIONS:
                raise ValueError("too long")
            self._do(operation.name, argument)
        raise ValueError("it never stops")

    def _do(self, name: str, argument: Any) -> None:
        """Do one operation; the names are those of `pickletools`."""
        stack = self.stack
        match name:
            case "PROTO" | "FRAME":
                pass
            case "MARK":
                self.marks.append(len(stack))
            case "PUT" | "BINPUT" | "LONG_BINPUT":
                self.memo[argument] = stack[-1]
            case "MEMOIZE":
                self.memo[len(self.memo)] = stack[-1]
            case "GET" | "BINGET" | "LONG_BINGET":
                stack.append(self.memo[argument])
            case "NONE" | "NEWTRUE" | "NEWFALSE":
                stack.append({"NONE": None, "NEWTRUE": True, "NEWFALSE": False}[name])
            case "EMPTY_DICT":
                stack.append({})
            case "EMPTY_LIST" | "EMPTY_SET":
                stack.append([])
            case "EMPTY_TUPLE":
                stack.append(())
            case "TUPLE1" | "TUPLE2" | "TUPLE3":
                stack.append(tuple(self._popped(int(name[-1]))))
            case "TUPLE":
                stack.append(tuple(self._marked()))
            case "LIST" | "FROZENSET":
                stack.append(self._marked())
            case "DICT":
                stack.append(dict(_pairs(self._marked())))
            case "APPEND" | "APPENDS" | "ADDITEMS":
                items = self._popped(1) if name == "APPEND" else self._marked()
                if isinstance(stack[-1], list):
                    stack[-1].extend(items)
            case "SETITEM" | "SETITEMS":
                items = self._popped(2) if name == "SETITEM" else self._marked()
                if isinstance(stack[-1], dict):
                    stack[-1].update(_pairs(items))
            case "POP":
                stack.pop()
            case "POP_MARK":
                self._marked()
            case "DUP":
                stack.append(stack[-1])
            case "GLOBAL":
                module, _, what = str(argument).partition(" ")
                stack.append(self._global(module, what))
            case "STACK_GLOBAL":
                module, what = self._popped(2)
                stack.append(self._global(str(module), str(what)))
            case "BINPERSID":
                stack.append(storage_of(stack.pop()))
            case "REDUCE" | "NEWOBJ":
                called, arguments = self._popped(2)
                stack.append(self._made(called, arguments))
            case "NEWOBJ_EX":
                called, arguments, _ = self._popped(3)
                stack.append(self._made(called, arguments))
            case "OBJ":
                called, *given = self._marked()
                stack.append(self._made(called, tuple(given)))
            case "INST":
                module, _, what = str(argument).partition(" ")
                given = self._marked()
                stack.append(self._made(self._global(module, what), tuple(given)))
            case "BUILD":
                state = stack.pop()
                if isinstance(stack[-1], dict) and isinstance(state, dict):  # what a torch ParameterDict holds
                    held = state.get("_parameters")
                    stack[-1].update(self._counted(held) if isinstance(held, dict) else {})
            case _ if isinstance(argument, bool | int | float | str | bytes | bytearray):
                stack.append(argument)  # the many ways of writing numbers and text
            case _:
                raise ValueError(name)

    def _popped(self, count: int) -> list[Any]:
        if len(self.stack) < count:
            raise IndexError("empty")
        items = self.stack[-count:]
        del self.stack[-count:]
        return items

    def _marked(self) -> list[Any]:
        mark = self.marks.pop()
        if mark > len(self.stack):
            raise IndexError("empty")
        items = self.stack[mark:]
        del self.stack[mark:]
        return items

    def _global(self, module: str, name: str) -> Named:
        """Let a name pass that is on the list; raise `UnsafeFile` for any other."""
        whole = f"{module}.{name}"
        if not name.isidentifier() or not is_known(whole):
            raise UnsafeFile("pickle_code", file=self.file, name=whole[:100])
        return Named(whole)

    def _made(self, called: Any, arguments: Any) -> Any:
        """Return what stands for the object that would be made."""
        if not isinstance(called, Named) or not isinstance(arguments, tuple):
            raise TypeError("not a call")
        maker = MAKERS.get(called.name)
        return maker(*map(self._counted, arguments)) if maker else Inert(called.name)

    def _counted(self, value: Any) -> Any:
        self.copied += len(value) if isinstance(value, str | bytes | list | tuple | dict) else 1
        if self.copied > MOST_COPIED:
            raise ValueError("too much")
        return value


def _pairs(items: list[Any]) -> Iterator[tuple[str, Any]]:
    return zip(map(key_text, items[::2]), items[1::2], strict=True)
