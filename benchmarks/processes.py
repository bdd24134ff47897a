"""How long a command takes and how much memory, with all the processes that it starts."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

INTERVAL_S = 0.01


@dataclass(frozen=True, kw_only=True)
class Measured:
    """Seconds by the clock, of CPU in all processes, and the sum of what each process had at most.

    Memory that processes share is counted in each; what is gained in the last hundredth of a second can be missed.
    """

    wall_s: float
    cpu_s: float
    peak_bytes: int

    @property
    def peak_mb(self) -> float:
        return self.peak_bytes / 1e6


def measure(command: Sequence[str]) -> Measured:
    """Run a command to its end, its output thrown away. Raises SystemExit with its messages when it fails."""
    started_s = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    peaks: dict[int, int] = {}
    while True:
        pid, status, usage = os.wait4(process.pid, os.WNOHANG)
        if pid:
            break
        peaks |= {pid: peak for pid in _family(process.pid) if (peak := _peak_bytes(pid))}
        time.sleep(INTERVAL_S)
    wall_s = time.perf_counter() - started_s
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.stderr is not None
    told = process.stderr.read().decode()
    process.stderr.close()
    if process.returncode:
        sys.exit(f"{' '.join(command)} ended with {process.returncode}:\n{told}")
    return Measured(wall_s=wall_s, cpu_s=usage.ru_utime + usage.ru_stime, peak_bytes=sum(peaks.values()))


def phidata(*arguments: str) -> list[str]:
    """The command `phidata …` of this interpreter."""
    return [sys.executable, "-m", "phidata", *arguments]


def _family(pid: int) -> list[int]:
    """A process and all that descend from it."""
    found = [pid]
    for parent in found:
        for children in Path(f"/proc/{parent}/task").glob("*/children"):
            try:
                found += map(int, children.read_text().split())
            except OSError:
                continue  # it has just ended
    return found


def _peak_bytes(pid: int) -> int:
    """The most memory that a process has had; 0 when it has ended."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    line = next((line for line in status.splitlines() if line.startswith("VmHWM:")), "VmHWM: 0 kB")
    return int(line.split()[1]) * 1024
