"""A worker process: checks one range after the other for as long as its parent asks.

Started by `phidata.validation.workers`. When the parent dies, in whatever way, the pipe ends and so does the worker.
"""

from __future__ import annotations

import sys
from multiprocessing.connection import Connection

from phidata.validation.seen import shared_slots
from phidata.validation.task import PartCheck


def main() -> None:
    """Serve the parent at the other end of the pipe that the last argument names."""
    slots, connection = sys.argv[-2:]
    with Connection(int(connection)) as parent:
        try:
            check = PartCheck(parent.recv(), shared_slots(int(slots)))
            while True:
                for part in check(parent.recv()):
                    parent.send(part)
                parent.send(None)
        except (EOFError, BrokenPipeError, ConnectionResetError):
            return
