"""SIGTERM and SIGINT as a wish: the step is finished, a checkpoint written, then the run ends."""

from __future__ import annotations

import signal
from types import FrameType
from typing import Any


class StopWish:
    """Inside `with`, the first signal is noted in `is_wished`; the second SIGINT interrupts at once."""

    def __init__(self) -> None:
        self.is_wished = False
        self._earlier: dict[signal.Signals, Any] = {}

    def __enter__(self) -> StopWish:
        for number in (signal.SIGTERM, signal.SIGINT):
            self._earlier[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._earlier.items():
            signal.signal(number, handler)

    def _note(self, number: int, _frame: FrameType | None) -> None:
        if self.is_wished and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.is_wished = True
