"""A unified diff of a file that is repaired line by line, written as the lines go by."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

CONTEXT = 3
NO_NEWLINE = b"\\ No newline at end of file\n"


class Diff:
    """Hunks with three lines of context; `show` gets the pieces. Feed it every line, then call `end`."""

    def __init__(self, path: str, show: Callable[[bytes], None]) -> None:
        name = path.encode("utf-8", "surrogateescape")
        self._head = b"--- %s\n+++ %s\n" % (name, name)
        self._show = show
        self._before: deque[bytes] = deque(maxlen=CONTEXT)
        self._hunk: list[bytes] = []
        self._num_same = 0  # lines at the end of the hunk that are the same
        self._old = self._new = 0  # lines gone by
        self._old_start = self._new_start = 0

    def line(self, old: bytes | None, new: list[bytes]) -> None:
        """A line of the old file and what it became; both with their newlines."""
        if old is not None and new == [old]:
            self._same(old)
            return
        if not self._hunk:
            self._old_start, self._new_start = self._old - len(self._before), self._new - len(self._before)
            self._hunk = [b" " + line for line in self._before]
        self._before.clear()
        self._num_same = 0
        self._hunk += [b"-" + old] if old is not None else []
        self._hunk += [b"+" + line for line in new]
        self._old += old is not None
        self._new += len(new)

    def end(self) -> None:
        """Write what is left."""
        if self._hunk:
            self._write()

    def _same(self, line: bytes) -> None:
        self._old += 1
        self._new += 1
        if self._hunk:
            self._hunk.append(b" " + line)
            self._num_same += 1
            if self._num_same > 2 * CONTEXT:
                self._write()
        else:
            self._before.append(line)

    def _write(self) -> None:
        extra = max(self._num_same - CONTEXT, 0)
        kept = self._hunk[: len(self._hunk) - extra]
        tail = [line[1:] for line in self._hunk[len(self._hunk) - min(self._num_same, CONTEXT) :]] if extra else []
        num_old, num_new = (sum(line[:1] in (b" ", sign) for line in kept) for sign in (b"-", b"+"))
        old_start, new_start = self._old_start + (num_old > 0), self._new_start + (num_new > 0)
        self._show(self._head + b"@@ -%d,%d +%d,%d @@\n" % (old_start, num_old, new_start, num_new))
        self._head = b""
        self._show(b"".join(line if line.endswith(b"\n") else line + b"\n" + NO_NEWLINE for line in kept))
        self._hunk = []
        self._num_same = 0
        self._before.extend(tail)
