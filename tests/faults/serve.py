"""A server in a process of its own, to be killed: `python -m tests.faults.serve FOLDER SECONDS_A_STEP`."""

import sys
import time
from pathlib import Path

from tests.serving import running


def main() -> None:
    with running(Path(sys.argv[1]), float(sys.argv[2])):
        print("serving", flush=True)  # noqa: T201 - the test waits for this line
        time.sleep(3600)


if __name__ == "__main__":
    main()
