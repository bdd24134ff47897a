"""What a command does about being one of many processes."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType


@contextmanager
def silent_after_first_failure() -> Iterator[None]:
    """Among processes that torchrun started, only the first that fails says why; alone, SIGTERM ends as Ctrl-C does."""
    if "RANK" not in os.environ:
        signal.signal(signal.SIGTERM, _interrupt)
    try:
        yield
    except BaseException:
        if not _is_first_failure():
            sys.stderr.flush()
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())
        raise


def _is_first_failure() -> bool:
    error_file = os.environ.get("TORCHELASTIC_ERROR_FILE")  # …/<attempt>/<rank>/error.json, in a folder of this launch
    if not error_file:
        return True
    marker = Path(error_file).parent.parent / "phitrain-failed"
    try:
        os.close(os.open(marker, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
    except FileExistsError:
        return False
    except OSError:
        return True
    return True


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
