"""Run every benchmark, each in a process of its own, and print their tables."""

import pkgutil
import subprocess
import sys

from tests import benchmarks
from tests.benchmarks._table import processor, say


def main() -> int:
    say(f"Processor: {processor()}\n")
    names = [each.name for each in pkgutil.iter_modules(benchmarks.__path__) if not each.name.startswith("_")]
    commands = [[sys.executable, "-m", f"tests.benchmarks.{name}"] for name in names]
    return max(subprocess.run(command, check=False).returncode for command in commands)


if __name__ == "__main__":
    sys.exit(main())
