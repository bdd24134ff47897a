"""`python -m tests.hostile COMMAND`: what is too long for the tests, whole; each prints its own --help."""

from __future__ import annotations

import sys
from importlib import import_module

COMMANDS = {"mutations": "tests.hostile.mutations", "media": "tests.hostile.media"}


def main() -> int:
    name, *rest = sys.argv[1:] or ["--help"]
    if name not in COMMANDS:
        sys.stderr.write(f"python -m tests.hostile {'|'.join(COMMANDS)} …\n")
        return 2
    code: int = import_module(COMMANDS[name]).main(rest)
    return code


if __name__ == "__main__":
    sys.exit(main())
