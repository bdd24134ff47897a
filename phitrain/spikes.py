"""Which steps have a loss far above what the run was at: their samples are worth a look."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

WINDOW = 100  # losses that say where the run is
LEAST = 20  # of them before anything is judged
DEVIATIONS = 7.0  # as in the spike score of OLMo 2 (arXiv:2501.00656), which counts from a rolling mean
LEAST_EXCESS = 0.2  # of the median: a run without noise has no spread to measure against
LONGEST = 5  # spikes in a row; what goes on longer is the run's new level
NORMAL = 1.4826  # a normal distribution's standard deviation, over its median absolute deviation


@dataclass(frozen=True, kw_only=True)
class Spike:
    """A loss above its limit, and the median loss before it."""

    step: int
    loss: float
    median: float
    limit: float

    def __str__(self) -> str:
        return f"the loss of step {self.step} is {self.loss:.4g}, far above the {self.median:.4g} of the steps before"


class SpikeGuard:
    """Looks at one loss after the other; the same losses give the same verdicts, so that all ranks agree.

    A spike is a loss above median + max(7 x 1.4826 x MAD, 0.2 x median) of the last 100 losses, from the 21st on; MAD
    is the median absolute deviation, which a few spikes do not move. A spike counts as its limit in the losses that
    later ones are compared with. After 5 in a row the run is at another level, and the losses are collected anew.
    """

    def __init__(self) -> None:
        self._losses: deque[float] = deque(maxlen=WINDOW)
        self._in_a_row: list[float] = []

    @classmethod
    def after(cls, log: Iterable[Mapping[str, Any]]) -> SpikeGuard:
        """A guard that has seen the lines of a log.jsonl, for a run that goes on."""
        guard = cls()
        for line in log:
            guard.look(line["step"], line["loss"], skipped=line["skipped"])
        return guard

    def look(self, step: int, loss: float | None, *, skipped: bool = False) -> Spike | None:
        """The spike, if this step has one. A skipped step changes nothing and is not judged."""
        if skipped or loss is None:
            return None
        spike = self._judge(step, loss)
        if spike is None:
            self._in_a_row.clear()
            self._losses.append(loss)
            return None
        self._in_a_row.append(loss)
        self._losses.append(spike.limit)
        if len(self._in_a_row) == LONGEST:
            self._losses = deque(self._in_a_row, maxlen=WINDOW)
            self._in_a_row.clear()
        return spike

    def _judge(self, step: int, loss: float) -> Spike | None:
        if len(self._losses) < LEAST:
            return None
        losses = np.array(self._losses)
        middle = float(np.median(losses))
        spread = NORMAL * float(np.median(np.abs(losses - middle)))
        limit = middle + max(DEVIATIONS * spread, LEAST_EXCESS * middle)
        return Spike(step=step, loss=loss, median=middle, limit=limit) if loss > limit else None
