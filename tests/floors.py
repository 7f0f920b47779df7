"""The rules of the house, as functions of parsed source: each yields what breaks it, with the line.

`test_floors.py` holds `modules/` to them, and shows for each rule that it can fail.
"""

import ast
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType

ROOT = Path(__file__).resolve().parent.parent

FLOORS: Mapping[str, int] = MappingProxyType(
    dict.fromkeys(("words", "errors", "request", "result", "events", "hooks", "plugins", "offers", "settings"), 1)
    | {"setup": 1, "tasks": 1, "options": 1, "saving": 1, "prompting": 1}
    | dict.fromkeys(("sampling", "prompts", "images", "library"), 2)
    | dict.fromkeys(("families", "controls", "upscalers", "captioners"), 3)
    | {"model_manager": 4}
    | dict.fromkeys(("engine", "training", "starter"), 5)
    | {"server": 6}
    | dict.fromkeys(("ui", "api"), 7)
    | dict.fromkeys(("cli", "commands"), 8)
)

FENCED: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "gradio": ("modules.ui",),
        "fastapi": ("modules.api", "modules.ui.app", "modules.cli", "modules.commands"),
        "ray": ("modules.server.ray",),
        "diffusers": tuple(
            f"modules.{room}" for room in ("families", "controls", "upscalers", "model_manager", "training", "starter")
        ),
        "transformers": tuple(
            f"modules.{room}"
            for room in ("families", "controls", "upscalers", "captioners", "model_manager", "training", "starter")
        ),
    }
)

LATE = ("modules.cli", "modules.commands")  # may import inside a function, to start fast
LOADERS = (
    "modules.families",
    "modules.controls",
    "modules.captioners",
)  # `load` alone may: the web process asks without torch
SCRIPTS = ("modules.library.migrations",)  # Alembic runs these by importing them
BROAD = (("modules.plugins", "_load"), ("modules.server.worker", "serve"))  # the two places that may catch everything


@dataclass(frozen=True)
class Source:
    """One parsed file; `known` are the names of all modules of the project."""

    module: str
    path: Path
    tree: ast.Module
    known: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Fault:
    """Where a rule is broken, and how."""

    path: Path
    line: int
    says: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.says}"


Rule = Callable[[Source], Iterator[Fault]]


def parse(text: str, module: str, path: Path = Path("snippet.py"), known: Iterable[str] = ()) -> Source:
    """Parse a piece of source as if it were the module of that name."""
    return Source(module, path, ast.parse(text), frozenset(known))


def house(root: Path = ROOT) -> list[Source]:
    """Parse every module of the project."""
    files = {_name(file.relative_to(root)): file for file in sorted((root / "modules").rglob("*.py"))}
    return [parse(file.read_text("utf-8"), name, file.relative_to(root), files) for name, file in files.items()]


def _name(file: Path) -> str:
    return ".".join(file.with_suffix("").parts).removesuffix(".__init__")


def imports(source: Source) -> Iterator[tuple[str, int]]:
    """Yield (module, line) for everything imported, wherever the import stands."""
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parents = source.module.split(".")[: -node.level]
                base = ".".join([*parents, base] if base else parents)
            for alias in node.names:
                name = f"{base}.{alias.name}"
                yield (name if name in source.known else base), node.lineno


def within(module: str, rooms: Iterable[str]) -> bool:
    """Tell whether a module is one of `rooms` or lies in one."""
    return any(module == room or module.startswith(room + ".") for room in rooms)


def room_of(module: str) -> str:
    """Return the room of a module of the project: the first name below `modules`."""
    return module.split(".")[1] if "." in module else ""


def imports_point_down(source: Source) -> Iterator[Fault]:
    """No import of a higher floor."""
    here = FLOORS.get(room_of(source.module), 0)
    for target, line in imports(source):
        if target.startswith("modules.") and FLOORS.get(room_of(target), 0) > here:
            yield Fault(source.path, line, f"imports {target} of a higher floor")


def every_room_has_a_floor(source: Source) -> Iterator[Fault]:
    """Whatever lies in `modules/` has its place in the table above."""
    if source.module != "modules" and room_of(source.module) not in FLOORS:
        yield Fault(source.path, 1, f"{room_of(source.module)} is on no floor")


def libraries_stay_in_their_rooms(source: Source) -> Iterator[Fault]:
    """Gradio, FastAPI, Ray, diffusers and transformers are imported only where they belong."""
    for target, line in imports(source):
        library = target.split(".")[0]
        if library in FENCED and not within(source.module, FENCED[library]):
            yield Fault(source.path, line, f"imports {library}, which belongs to {', '.join(FENCED[library])}")


def imports_stand_at_the_top(source: Source) -> Iterator[Fault]:
    """No import inside a function, but in the command line."""
    if within(source.module, LATE):
        return
    for function in _functions(source.tree):
        if function.name == "load" and within(source.module, LOADERS):
            continue
        for node in ast.walk(function):
            if isinstance(node, ast.Import | ast.ImportFrom):
                yield Fault(source.path, node.lineno, f"imports inside {function.name}()")


def nothing_is_global(source: Source) -> Iterator[Fault]:
    """No `global` statement."""
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Global):
            yield Fault(source.path, node.lineno, f"global {', '.join(node.names)}")


_MUTABLE = """
list dict set bytearray defaultdict deque Counter OrderedDict ChainMap WeakValueDictionary WeakKeyDictionary WeakSet
Lock RLock Event Condition Semaphore Queue SimpleQueue LifoQueue PriorityQueue ContextVar local
APIRouter FastAPI Blocks I18n PluginManager MetaData create_engine tensor zeros ones array
"""
_WORK = """
open read_text read_bytes glob rglob iterdir exists is_file is_dir getenv load_words import_module run Popen connect
device_count is_available get_device_name manual_seed set_num_threads basicConfig
"""


def module_level_is_constant(source: Source) -> Iterator[Fault]:
    """No mutable value at module level (state has owners), no cache, and no work at import."""
    if within(source.module, SCRIPTS):
        return
    for node in _module_level(source.tree):
        if isinstance(node, ast.Expr) and not isinstance(node.value, ast.Constant):
            yield Fault(source.path, node.lineno, "does something at import")
        elif isinstance(node, ast.Assign | ast.AnnAssign | ast.AugAssign) and node.value is not None:
            names = {each.id for target in _targets(node) for each in ast.walk(target) if isinstance(each, ast.Name)}
            if "__all__" in names:
                continue
            if _is_mutable(node.value):
                yield Fault(source.path, node.lineno, f"{', '.join(sorted(names))} is mutable at module level")
            yield from _work_in(source, node.value)
        elif isinstance(node, ast.For | ast.While | ast.With | ast.Try | ast.Delete):
            yield Fault(source.path, node.lineno, "does something at import")
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            for decorator in node.decorator_list:
                if _called(decorator) in ("cache", "lru_cache"):
                    yield Fault(source.path, node.lineno, f"{node.name}() keeps a cache at module level")


def _module_level(tree: ast.Module) -> Iterator[ast.stmt]:
    for node in tree.body:
        if isinstance(node, ast.If) and ast.unparse(node.test) == "__name__ == '__main__'":
            continue
        if isinstance(node, ast.If):
            yield from (each for branch in (node.body, node.orelse) for each in branch)
        else:
            yield node


def _targets(node: ast.Assign | ast.AnnAssign | ast.AugAssign) -> list[ast.expr]:
    return node.targets if isinstance(node, ast.Assign) else [node.target]


def _called(node: ast.expr) -> str:
    """Return the last name of what is called: `b` for `a.b(...)`, `a.b` and `b`."""
    node = node.func if isinstance(node, ast.Call) else node
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def _is_mutable(value: ast.expr) -> bool:
    if isinstance(value, ast.Call):
        return _called(value) in _MUTABLE.split()
    if isinstance(value, ast.Tuple):
        return any(_is_mutable(each) for each in value.elts)
    if isinstance(value, ast.BinOp):
        return _is_mutable(value.left) or _is_mutable(value.right)
    literals = ast.List | ast.Dict | ast.Set | ast.ListComp | ast.DictComp | ast.SetComp | ast.GeneratorExp
    return isinstance(value, literals)


def _work_in(source: Source, value: ast.expr) -> Iterator[Fault]:
    inside = {id(each) for part in ast.walk(value) if isinstance(part, ast.Lambda) for each in ast.walk(part)}
    for node in ast.walk(value):
        if isinstance(node, ast.Call) and _called(node) in _WORK.split() and id(node) not in inside:
            yield Fault(source.path, node.lineno, f"calls {_called(node)}() at import")


def only_two_places_catch_everything(source: Source) -> Iterator[Fault]:
    """No bare `except`, `except Exception`, `except BaseException` or `suppress(Exception)`, but in two places."""
    excused = [each for each in _functions(source.tree) if (source.module, each.name) in BROAD]
    allowed = {id(node) for function in excused for node in ast.walk(function)}
    for node in ast.walk(source.tree):
        if id(node) in allowed:
            continue
        if isinstance(node, ast.ExceptHandler) and (node.type is None or _catches_all(node.type)):
            if isinstance(node.body[-1], ast.Raise) and node.body[-1].exc is None:
                continue  # tidies up and lets it go on
            yield Fault(source.path, node.lineno, "catches everything")
        if isinstance(node, ast.Call) and _called(node) == "suppress" and any(_catches_all(each) for each in node.args):
            yield Fault(source.path, node.lineno, "suppresses everything")


def _catches_all(kind: ast.expr) -> bool:
    kinds = kind.elts if isinstance(kind, ast.Tuple) else [kind]
    return any(_called(each) in ("Exception", "BaseException") for each in kinds)


def nothing_is_unpickled(source: Source) -> Iterator[Fault]:
    """No pickle, no `torch.load` but with `weights_only=True`, no `allow_pickle`, no `eval` or `exec`."""
    for target, line in imports(source):
        if target.split(".")[0] in ("pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"):
            yield Fault(source.path, line, f"imports {target}")
    for node in ast.walk(source.tree):
        if not isinstance(node, ast.Call):
            continue
        given = {each.arg: each.value for each in node.keywords}
        if ast.unparse(node.func) == "torch.load" and not _is_true(given.get("weights_only")):
            yield Fault(source.path, node.lineno, "torch.load without weights_only=True")
        if _is_true(given.get("allow_pickle")):
            yield Fault(source.path, node.lineno, "allow_pickle=True")
        if isinstance(node.func, ast.Name) and node.func.id in ("eval", "exec"):
            yield Fault(source.path, node.lineno, f"{node.func.id}()")


def _is_true(node: ast.expr | None) -> bool:
    return isinstance(node, ast.Constant) and node.value is True


def libraries_are_left_as_they_are(source: Source) -> Iterator[Fault]:
    """No assignment to an attribute of an imported module or class: patches go through the `patch` hook."""
    foreign = set()
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Import):
            foreign |= {alias.asname or alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            foreign |= {alias.asname or alias.name for alias in node.names}
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Assign | ast.AugAssign):
            for target in _targets(node):
                if isinstance(target, ast.Attribute) and _root(target) in foreign:
                    yield Fault(source.path, node.lineno, f"assigns to {ast.unparse(target)}")
        if isinstance(node, ast.Call) and _called(node) in ("setattr", "delattr") and _root(node.args[0]) in foreign:
            yield Fault(source.path, node.lineno, f"{_called(node)} on {ast.unparse(node.args[0])}")


def _root(node: ast.expr) -> str:
    while isinstance(node, ast.Attribute):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""


def families_answer_for_themselves(source: Source) -> Iterator[Fault]:
    """Outside `families/` nobody asks which family it is: families are asked for a capability."""
    if within(source.module, ("modules.families",)):
        return
    for node in ast.walk(source.tree):
        name = node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""
        if name.lower().startswith(("is_sd", "is_xl", "is_flux")):
            yield Fault(source.path, getattr(node, "lineno", 1), f"asks {name}")


RULES: tuple[Rule, ...] = (
    every_room_has_a_floor,
    imports_point_down,
    libraries_stay_in_their_rooms,
    imports_stand_at_the_top,
    nothing_is_global,
    module_level_is_constant,
    only_two_places_catch_everything,
    nothing_is_unpickled,
    libraries_are_left_as_they_are,
    families_answer_for_themselves,
)


def _functions(tree: ast.Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    yield from (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def variants(sources: Iterable[Source]) -> dict[str, list[Source]]:
    """Return the variants of each folder: the modules that offer something through a hook."""
    found: dict[str, list[Source]] = {}
    for source in sources:
        if any(_called(mark) == "hookimpl" for function in _functions(source.tree) for mark in function.decorator_list):
            found.setdefault(source.module.rpartition(".")[0], []).append(source)
    return found


def variants_do_not_know_each_other(sources: Iterable[Source]) -> Iterator[Fault]:
    """No variant of a folder imports another one: what two share lies in a file that offers nothing."""
    for siblings in variants(sources).values():
        names = {each.module for each in siblings}
        for source in siblings:
            for target, line in imports(source):
                if target in names - {source.module}:
                    yield Fault(source.path, line, f"the variant {source.module} imports its sibling {target}")


def nothing_goes_round(sources: Iterable[Source]) -> Iterator[Fault]:
    """No circle of imports, between files or between rooms."""
    files = {source.module: source for source in sources}
    edges = {name: [each for each in imports(source) if each[0] in files] for name, source in files.items()}
    yield from _circles(files, {name: {target: line for target, line in found} for name, found in edges.items()})
    rooms: dict[str, dict[str, int]] = {}
    first: dict[str, Source] = {}
    for name, found in edges.items():
        room = room_of(name)
        for target, line in found:
            if room and room_of(target) not in ("", room):
                rooms.setdefault(room, {}).setdefault(room_of(target), line)
                first.setdefault(room, files[name])
    yield from _circles(first, rooms)


def _circles(where: Mapping[str, Source], edges: Mapping[str, Mapping[str, int]]) -> Iterator[Fault]:
    """Yield one fault for each arrow that closes a circle, found depth first."""
    done: set[str] = set()
    path: list[str] = []

    def visit(node: str) -> Iterator[Fault]:
        path.append(node)
        for target, line in edges.get(node, {}).items():
            if target == node:
                continue
            if target in path:
                circle = [*path[path.index(target) :], target]
                yield Fault(where[node].path, line, "imports in a circle: " + " -> ".join(circle))
            elif target not in done:
                yield from visit(target)
        path.pop()
        done.add(node)

    for each in edges:
        if each not in done:
            yield from visit(each)


def broken(rule: Rule, sources: Iterable[Source]) -> list[str]:
    """Return what breaks a rule in `sources`, ready to print."""
    return [str(fault) for source in sources for fault in rule(source)]


snippet = partial(parse, known=("modules.engine.engine", "modules.sampling.euler", "modules.sampling.heun"))
