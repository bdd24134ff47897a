"""A folder in a store, held by one process: a lock object that has to be renewed, for a process can die at any moment.

The lock objects are numbered. Whoever wants the folder makes the object after the newest, which only one can do; the
owner of the newest holds the folder for as long as it says. Its times are those of the machines' clocks, which have to
agree within some seconds.
"""

from __future__ import annotations

import os
import re
import socket
import time
from contextlib import suppress
from threading import Event, Thread
from types import TracebackType

import msgspec

from phidata.errors import DataError, PhidataError, UsageError
from phidata.storage.objects import create_object, names_in, remove_object, write_object
from phidata.storage.remote import NotThereError, below, read_remote, shown

LEASE_S = 60.0
RENEWALS = 4  # in that time
GIVE_UP_S = 1.0  # how long a process that was interrupted takes to say so

_LOCK = re.compile(r"lock\.(\d{6})\.json")


class Holder(msgspec.Struct, frozen=True, kw_only=True):
    """Who holds a folder, until when in seconds since 1970. `owner` tells holders apart; it is no secret."""

    host: str
    pid: int
    owner: str
    expires_s: float


class Lease:
    """The lock objects below a URL, held in a `with` block by the process that calls itself `owner`.

    Raises UsageError when another process holds them, DataError when the store does not answer.
    """

    def __init__(self, url: str, owner: str, *, name: str) -> None:
        self._url, self._owner, self._name = url, owner, name
        self._over = Event()
        self._lost: str | None = None
        self._renewed = time.monotonic()
        self._number = self._taken()
        self._remove(before=self._number)
        self._thread = Thread(target=self._keep, daemon=True)
        self._thread.start()

    def check(self) -> None:
        """Raise DataError when the folder is no longer held, so that nothing more is written."""
        if self._lost is None and time.monotonic() - self._renewed > LEASE_S:
            self._lost = f"the lock could not be renewed for {LEASE_S:.0f} seconds"
        if self._lost is not None:
            raise DataError(f"{self._name} is not written any more ({self._lost}); run the same command again")

    def __enter__(self) -> Lease:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._over.set()
        if error is None:
            self._thread.join()
            self._remove(before=self._number + 1)
        else:  # an error is on its way already, and the lock ends by itself
            leaving = Thread(target=self._leave, daemon=True)
            leaving.start()
            leaving.join(GIVE_UP_S)

    def _taken(self) -> int:
        while True:
            newest = max(self._numbers(), default=0)
            if newest:
                self._check_free(newest)
            if create_object(self._address(newest + 1), self._holder()):
                return newest + 1

    def _check_free(self, number: int) -> None:
        try:
            holder = self._read(number)
        except NotThereError:
            return  # given back meanwhile
        left = holder.expires_s - time.time()
        if holder.owner != self._owner and left > 0:
            raise UsageError(
                f"another process is converting into {self._name} (process {holder.pid} on {holder.host}, its lock "
                f"ends in {left:.0f} s unless it is renewed); wait for it or choose another --out"
            )

    def _read(self, number: int) -> Holder:
        try:
            return msgspec.json.decode(read_remote(self._address(number)), type=Holder)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise UsageError(
                f"{shown(self._address(number))} is no lock of phidata ({error}); remove it, or choose another --out"
            ) from error

    def _keep(self) -> None:
        while not self._over.wait(LEASE_S / RENEWALS):
            try:
                self._renew()
            except PhidataError as error:
                if time.monotonic() - self._renewed > LEASE_S:
                    self._lost = str(error)
            if self._lost is not None:
                return

    def _renew(self) -> None:
        begun = time.monotonic()
        if max(self._numbers(), default=0) != self._number or self._read(self._number).owner != self._owner:
            self._lost = "another process has taken it over"
            return
        write_object(self._address(self._number), self._holder())
        self._renewed = begun

    def _leave(self) -> None:
        with suppress(PhidataError):
            self._remove(before=self._number + 1)

    def _remove(self, *, before: int) -> None:
        for number in sorted(self._numbers()):
            if number < before:
                remove_object(self._address(number))

    def _numbers(self) -> list[int]:
        return [int(match[1]) for name in names_in(self._url) if (match := _LOCK.fullmatch(name))]

    def _address(self, number: int) -> str:
        return below(self._url, f"lock.{number:06}.json")

    def _holder(self) -> bytes:
        holder = Holder(host=socket.gethostname(), pid=os.getpid(), owner=self._owner, expires_s=time.time() + LEASE_S)
        return msgspec.json.encode(holder)
