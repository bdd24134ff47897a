"""How long `import phidata` takes, beside a bare interpreter and heavy libraries: fresh processes, one run.

python benchmarks/import_time.py [--runs 15]
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from statistics import median

PROGRAMS = {
    "bare interpreter": "pass",
    "import phidata": "import phidata",
    "phidata.load ready": "import phidata; phidata.load",
    "phidata.validate ready": "import phidata; phidata.validate",
    "import pyarrow": "import pyarrow",
    "import datasets": "import datasets",
    "import torch": "import torch",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=15)
    runs = parser.parse_args().runs
    for program in PROGRAMS.values():
        seconds(program)  # byte code and disk cache
    print(f"{'':<24} {'median ms':>10} {'best ms':>10}   of {runs} runs")
    for name, program in PROGRAMS.items():
        taken = sorted(seconds(program) for _ in range(runs))
        print(f"{name:<24} {1000 * median(taken):>10.0f} {1000 * taken[0]:>10.0f}")


def seconds(program: str) -> float:
    started = time.perf_counter()
    subprocess.run([sys.executable, "-c", program], check=True)
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
