"""Repairs of what validation finds, where a repair is certain; others only when they are asked for."""

from __future__ import annotations

from phidata.repair.outcome import Repaired, RepairedFile
from phidata.repair.repairing import fix

__all__ = ["Repaired", "RepairedFile", "fix"]
