"""Worker processes: fresh interpreters at the other end of a pipe.

They share no memory, lock or open file with the caller, who may have threads and needs no `if __name__ == "__main__"`.
When the caller dies, in whatever way, the pipe ends.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from multiprocessing import Pipe
from multiprocessing.connection import Connection

PROGRAM = "import sys; sys.path[:] = sys.argv[1:{end}]; from {module} import main; main()"


def start_worker(
    module: str, *arguments: str, files: Sequence[int] = (), environment: Mapping[str, str] | None = None
) -> tuple[subprocess.Popen[bytes], Connection]:
    """Start a process that runs `main()` of a module; returns it and our end of the pipe.

    It finds in `sys.argv` the arguments, and last the descriptor of its own end. `files` are descriptors that it
    inherits, `environment` variables that it gets beside ours. It writes to standard error only, and never gets
    Ctrl-C: that is for its parent to answer.
    """
    ours, theirs = Pipe()
    program = PROGRAM.format(module=module, end=-1 - len(arguments))
    command = [sys.executable, "-c", program, *sys.path, *arguments, str(theirs.fileno())]
    variables = {**os.environ, **environment} if environment else None
    with theirs, _interrupt_blocked():
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=2, pass_fds=[*files, theirs.fileno()], env=variables
        )
    return process, ours


def num_cpus() -> int:
    """The CPUs that this process may use, which can be fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def _interrupt_blocked() -> Iterator[None]:
    """A process that is started in this block inherits that Ctrl-C is blocked."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
