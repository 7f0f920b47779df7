"""The house rules of `floors.py`, held over `modules/`; each rule is shown to fail on a bad example."""

import ast
import subprocess
import sys
import textwrap

import pytest

from tests import floors
from tests.floors import ROOT, RULES, Rule, Source, broken, house, snippet

SOURCES = tuple(house())


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: str(rule.__name__))
def test_house_keeps_the_rule(rule: Rule) -> None:
    faults = broken(rule, SOURCES)
    assert not faults, f"{rule.__doc__}\n" + "\n".join(faults)


def test_variants_do_not_know_each_other() -> None:
    faults = [str(each) for each in floors.variants_do_not_know_each_other(SOURCES)]
    assert not faults, "\n".join(faults)


def test_nothing_goes_round() -> None:
    faults = [str(each) for each in floors.nothing_goes_round(SOURCES)]
    assert not faults, "\n".join(faults)


def test_set_up_needs_the_standard_library_alone() -> None:
    rooms = {each.module for each in SOURCES if floors.room_of(each.module) in ("setup", "words", "errors")}
    entry = floors.parse((ROOT / "webui.py").read_text("utf-8"), "webui")
    for source in [each for each in SOURCES if each.module in rooms] + [entry]:
        for target, line in floors.imports(source):
            library = target.split(".")[0]
            own = target in rooms or (source is entry and target == "modules.cli")
            assert own or library in sys.stdlib_module_names, f"{source.path}:{line}: imports {target}"


BROAD = floors.only_two_places_catch_everything
DOWN = floors.imports_point_down
LEVEL = floors.module_level_is_constant
LIBRARY = floors.libraries_stay_in_their_rooms
PATCH = floors.libraries_are_left_as_they_are
PICKLE = floors.nothing_is_unpickled
TOP = floors.imports_stand_at_the_top

BAD: tuple[tuple[Rule, str, str], ...] = (
    (floors.every_room_has_a_floor, "modules.attic.box", "x = 1"),
    (DOWN, "modules.sampling.euler", "import modules.engine.engine"),
    (DOWN, "modules.sampling.euler", "from modules.engine import engine"),
    (DOWN, "modules.sampling.euler", "from ..engine import engine"),
    (DOWN, "modules.request", "from modules.sampling.euler import STEPS"),
    (DOWN, "modules.server.jobs", "def f():\n    from modules.cli import main"),
    (LIBRARY, "modules.engine.engine", "import diffusers"),
    (LIBRARY, "modules.server.server", "import gradio as gr"),
    (LIBRARY, "modules.ui.tabs.txt2img", "from fastapi import APIRouter"),
    (LIBRARY, "modules.server.process", "import ray"),
    (LIBRARY, "modules.prompts.chunks", "from transformers.models import clip"),
    (TOP, "modules.engine.engine", "def f():\n    import torch"),
    (TOP, "modules.engine.engine", "class A:\n    async def f(self):\n        import torch"),
    (TOP, "modules.engine.engine", "def load():\n    import torch"),
    (TOP, "modules.families.sd1", "def detect():\n    import torch"),
    (floors.nothing_is_global, "modules.words", "x = 1\ndef f():\n    global x"),
    (LEVEL, "modules.words", "REGISTRY = {}"),
    (LEVEL, "modules.words", "names: list[str] = []"),
    (LEVEL, "modules.words", "x = {each for each in 'ab'}"),
    (LEVEL, "modules.words", "x = collections.defaultdict(list)"),
    (LEVEL, "modules.words", "x = dict(a=1) | dict(b=2)"),
    (LEVEL, "modules.words", "print('hello')"),
    (LEVEL, "modules.words", "for each in (1, 2):\n    pass"),
    (LEVEL, "modules.words", "with open('x') as f:\n    pass"),
    (LEVEL, "modules.words", "if True:\n    x = []"),
    (LEVEL, "modules.words", "TEXT = Path('x').read_text()"),
    (LEVEL, "modules.words", "CUDA = torch.cuda.is_available()"),
    (LEVEL, "modules.words", "@functools.cache\ndef f():\n    return 1"),
    (LEVEL, "modules.words", "@lru_cache(maxsize=3)\ndef f():\n    return 1"),
    (BROAD, "modules.words", "try:\n    f()\nexcept:\n    pass"),
    (BROAD, "modules.words", "try:\n    f()\nexcept Exception:\n    pass"),
    (BROAD, "modules.words", "try:\n    f()\nexcept (OSError, BaseException):\n    pass"),
    (BROAD, "modules.words", "with contextlib.suppress(Exception):\n    f()"),
    (BROAD, "modules.plugins", "def g():\n  try:\n    f()\n  except Exception:\n    pass"),
    (PICKLE, "modules.words", "import pickle"),
    (PICKLE, "modules.words", "x = torch.load(file)"),
    (PICKLE, "modules.words", "x = torch.load(file, weights_only=False)"),
    (PICKLE, "modules.words", "x = np.load(file, allow_pickle=True)"),
    (PICKLE, "modules.words", "eval('1')"),
    (PATCH, "modules.words", "import torch\ntorch.nn.Linear.forward = f"),
    (PATCH, "modules.words", "from a import B\nB.method = f"),
    (PATCH, "modules.words", "import a\nsetattr(a.b, 'c', f)"),
    (floors.families_answer_for_themselves, "modules.engine.engine", "x = model.is_sdxl"),
)

GOOD: tuple[tuple[Rule, str, str], ...] = (
    (DOWN, "modules.engine.engine", "from modules.sampling.euler import Euler\nimport torch"),
    (LIBRARY, "modules.families.sd1", "from diffusers import AutoencoderKL"),
    (LIBRARY, "modules.ui.app", "import gradio\nimport fastapi"),
    (TOP, "modules.families.sd1", "def load():\n    import torch"),
    (LEVEL, "modules.starter.train", "if __name__ == '__main__':\n    main()"),
    (BROAD, "modules.words", "try:\n    f()\nexcept BaseException:\n    tidy()\n    raise"),
    (TOP, "modules.cli", "def f():\n    import uvicorn"),
    (LEVEL, "modules.words", "A = (1, 2)\nB = MappingProxyType({'a': 1})\nC = frozenset({1})"),
    (LEVEL, "modules.words", "if TYPE_CHECKING:\n    import torch\nT = Callable[[int], int]"),
    (BROAD, "modules.words", "try:\n    f()\nexcept OSError:\n    pass"),
    (BROAD, "modules.plugins", "def _load():\n  try:\n    f()\n  except Exception:\n    pass"),
    (PICKLE, "modules.words", "x = torch.load(file, weights_only=True)"),
    (PATCH, "modules.words", "import os\ndef f(self):\n    self.x = 1\n    os.environ['A'] = 'b'"),
)


@pytest.mark.parametrize(("rule", "module", "text"), BAD)
def test_rule_fails_on_a_bad_example(rule: Rule, module: str, text: str) -> None:
    (fault, *_) = broken(rule, [snippet(text, module)])
    assert fault.startswith("snippet.py:")


@pytest.mark.parametrize(("rule", "module", "text"), GOOD)
def test_rule_passes_a_good_example(rule: Rule, module: str, text: str) -> None:
    assert broken(rule, [snippet(text, module)]) == []


def test_every_rule_has_a_bad_example() -> None:
    assert {rule for rule, _, _ in BAD} == set(RULES)


def _variant(module: str, text: str) -> Source:
    return snippet(text + "\n@hookimpl\ndef samplers():\n    return []", module)


def test_siblings_that_know_each_other_are_found() -> None:
    heun = _variant("modules.sampling.heun", "")
    faults = list(
        floors.variants_do_not_know_each_other(
            [_variant("modules.sampling.euler", "x = 1\nfrom modules.sampling.heun import run"), heun]
        )
    )
    assert [fault.line for fault in faults] == [2]
    shared = snippet("y = 1", "modules.sampling.heun")
    allowed = _variant("modules.sampling.euler", "from modules.sampling.heun import run")
    assert list(floors.variants_do_not_know_each_other([allowed, shared])) == []


def test_circles_are_found() -> None:
    files = [snippet("import modules.b", "modules.a"), snippet("\nimport modules.a", "modules.b")]
    assert next((fault.line, fault.says) for fault in floors.nothing_goes_round(files)) == (
        2,
        "imports in a circle: modules.a -> modules.b -> modules.a",
    )
    rooms = [
        snippet("import modules.api.one", "modules.ui.one"),
        snippet("import modules.ui.two", "modules.api.two"),
        snippet("", "modules.ui.two"),
        snippet("", "modules.api.one"),
    ]
    assert [fault.says for fault in floors.nothing_goes_round(rooms)] == ["imports in a circle: ui -> api -> ui"]
    assert list(floors.nothing_goes_round(files[:1])) == []


FORBID = textwrap.dedent(
    """
    import importlib.abc, sys
    class Forbidden(importlib.abc.MetaPathFinder):
        def find_spec(self, name, path=None, target=None):
            if name.split(".")[0] in ("torch", "diffusers", "transformers"):
                raise AssertionError(f"the web process imports {name}")
    sys.meta_path.insert(0, Forbidden())
    """
)


@pytest.mark.parametrize("module", ["modules.cli", "modules.server.server", "modules.ui.app"])
def test_web_process_never_imports_torch(module: str) -> None:
    """Gradio and friends probe for torch only when something else has imported it already."""
    ran = subprocess.run(
        [sys.executable, "-c", FORBID + f"import {module}\nassert 'torch' not in sys.modules"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr[-3000:]


def test_files_are_read_from_the_repository() -> None:
    assert {"modules.words", "modules.cli"} <= {source.module for source in SOURCES}
    assert all(isinstance(source.tree, ast.Module) for source in SOURCES)
