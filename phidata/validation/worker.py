"""A worker process: checks one range after the other for as long as its parent asks.

Started by `phidata.validation.workers`. When the parent dies, in whatever way, the pipe ends and so does the worker.
"""

from __future__ import annotations

import sys
from multiprocessing.connection import Connection
from typing import cast

from phidata.validation.inputs import Media
from phidata.validation.part import PartCheck
from phidata.validation.seen import shared_slots


def main() -> None:
    """Serve the parent at the other end of the pipe that the last argument names."""
    media, slots, connection = sys.argv[-3:]
    check = PartCheck(cast("Media", media), shared_slots(int(slots)))
    with Connection(int(connection)) as parent:
        try:
            while True:
                parent.send(check(parent.recv()))
        except (EOFError, BrokenPipeError, ConnectionResetError):
            return
