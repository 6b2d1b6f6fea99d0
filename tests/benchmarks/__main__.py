"""All benchmarks, one after the other: `make bench`, or python -m tests.benchmarks [cuts|quality|speed …].

Options are those of each benchmark: python -m tests.benchmarks.bench_speed --help.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent


def main(names: list[str]) -> int:
    """Run the named benchmarks, or every one; the number of those that failed. Each in a process of its own, because
    they choose thread counts and count the CPU time of their children."""
    found = {path.stem.removeprefix("bench_"): path for path in sorted(HERE.glob("bench_*.py"))}
    unknown = [name for name in names if name not in found]
    if unknown:
        print(f"no benchmark called {', '.join(unknown)}; there are {', '.join(found)}", file=sys.stderr)
        return 2
    failed = 0
    for name in names or found:
        print(f"== {name}", flush=True)
        failed += subprocess.run([sys.executable, str(found[name])], cwd=HERE.parents[1]).returncode != 0
    return min(1, failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
