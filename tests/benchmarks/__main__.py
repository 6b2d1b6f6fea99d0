"""All benchmarks, one after the other: `make bench`, or python -m tests.benchmarks [cuts|quality|speed …].

What follows one name goes to that benchmark: python -m tests.benchmarks good --seed 1, or … speed --help.
"""

from __future__ import annotations

import itertools
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent


def main(names: list[str]) -> int:
    """Run the named benchmarks, or every one; the number of those that failed. Each in a process of its own, because
    they choose thread counts and count the CPU time of their children."""
    found = {path.stem.removeprefix("bench_"): path for path in sorted(HERE.glob("bench_*.py"))}
    chosen = list(itertools.takewhile(found.__contains__, names))
    rest = names[len(chosen) :]
    if rest and len(chosen) != 1:
        print(f"no benchmark called {rest[0]}; there are {', '.join(found)}", file=sys.stderr)
        return 2
    failed = 0
    for name in chosen or found:
        print(f"== {name}", flush=True)
        failed += subprocess.run([sys.executable, str(found[name]), *rest], cwd=HERE.parents[1]).returncode != 0
    return min(1, failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
