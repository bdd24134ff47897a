"""A conversion into a URL: made in a local scratch folder, and sent to the store when it is whole, the manifest last.

Below the URL there is, for as long as it is unfinished, `.journal/`: lock objects, `header.json`, which says what is
being written, `sent.jsonl`, the names of what comes, and, while an earlier conversion is replaced, `earlier.jsonl`, the
names of what goes. The scratch folder has `data/`, where the conversion is made as any other is, and `state.json`,
which says what is being made there.
"""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import msgspec

from phidata.console import progress
from phidata.conversion.earlier import named_files
from phidata.conversion.journal import Header, Journal
from phidata.errors import UsageError
from phidata.records import Conversation
from phidata.storage.abreast import abreast
from phidata.storage.annotations import UNREADABLE
from phidata.storage.folder import IMAGES, JOURNAL, MANIFEST, leads_out
from phidata.storage.lease import Lease
from phidata.storage.manifest import Manifest, read_manifest
from phidata.storage.objects import (
    check_writable,
    names_in,
    read_lines,
    remove_folder,
    remove_object,
    send_file,
    write_object,
)
from phidata.storage.remote import NotThereError, below, read_remote, shown
from phidata.storage.scratch import Scratch
from phidata.storage.sink import new_file
from phidata.storage.tree import walk_files

T = TypeVar("T")

_OWNER, _STATE, _DATA = "owner", "state.json", "data"
_HEADER, _SENT, _EARLIER = "header.json", "sent.jsonl", "earlier.jsonl"

_decode_name = msgspec.json.Decoder(str).decode
_decode_row = msgspec.json.Decoder(Conversation).decode


class Begun(msgspec.Struct, frozen=True, kw_only=True):
    """A conversion into a URL: with what header, and which one of all that have it. `replaces` when an earlier
    conversion that lies there is to go."""

    header: Header
    run: str
    replaces: bool


@dataclass(frozen=True, kw_only=True)
class _There:
    """What lies at a URL: the names directly below it, and of what conversion."""

    names: tuple[str, ...]
    manifest: Manifest | None
    begun: Begun | None


class Delivery:
    """One conversion on its way to a URL; made by `delivery`.

    `folder` is where it is converted; it has no other conversion in it.
    """

    def __init__(self, url: str, scratch: Path, lease: Lease, begun: Begun) -> None:
        self.folder = scratch / _DATA
        self._scratch, self._url = scratch, url
        self._lease = lease
        self._begun = begun

    def converted(self) -> Manifest | None:
        """The manifest of the conversion in the folder, when that is finished."""
        return _finished(self.folder)

    def send(self) -> None:
        """Send all that is not there yet, and the manifest when all of it is.

        Raises DataError when the store does not take it, or when another process has taken the URL over; what was sent
        is not sent again by the next.
        """
        self._lease.check()
        there = _look(self._url)
        if not self._is_sent(there):
            is_new = self._begin(there)
            self._send_files(is_new=is_new)
            self._lease.check()
            send_file(self.folder / MANIFEST, below(self._url, MANIFEST), is_new=False)
        for name in (_SENT, _HEADER):
            remove_object(self._journal(name))

    def _is_sent(self, there: _There) -> bool:
        """Whether the process before had sent all, and died at the very end."""
        ours = not self._begun.replaces if there.begun is None else there.begun.run == self._begun.run
        return ours and there.manifest == self.converted() and _EARLIER not in names_in(below(self._url, JOURNAL))

    def _begin(self, there: _There) -> bool:
        """Say that the URL is unfinished and let go what lies there of another conversion; whether nothing does."""
        is_new = there.manifest is None and there.begun is None
        if there.begun is None or there.begun.run != self._begun.run:
            if not is_new:
                self._note(_EARLIER, self._earlier_names(there.manifest))
            self._note(_SENT, self._names())
            write_object(self._journal(_HEADER), msgspec.json.encode(self._begun))
        remove_object(below(self._url, MANIFEST))
        if not is_new:
            self._remove_earlier()
        return is_new

    def _note(self, name: str, names: Iterable[str]) -> None:
        path = self._scratch / name
        with new_file(path) as file:
            for one in names:
                file.write(msgspec.json.encode(one) + b"\n")
        send_file(path, self._journal(name), is_new=False)

    def _noted(self, name: str) -> Iterator[str]:
        return map(_decode_name, read_lines(self._journal(name)))

    def _earlier_names(self, manifest: Manifest | None) -> Iterator[str]:
        """What lies there of conversions by other processes, finished or not."""
        yield from self._noted(_EARLIER)
        yield from self._noted(_SENT)
        if manifest is None:
            return
        yield from named_files(manifest)
        if manifest.shape == "images-jsonl":
            for ledger in manifest.splits.values():
                for file in ledger.files:
                    for line in read_lines(below(self._url, file.name)):
                        with suppress(*UNREADABLE):  # its images are not known, and stay
                            yield from (f"{IMAGES}/{image}" for image in _decode_row(line).images)

    def _remove_earlier(self) -> None:
        names = self._noted(_EARLIER)
        gone = (name for name in names if not leads_out(name) and not (self.folder / name).exists())
        for _ in abreast(lambda name: remove_object(below(self._url, name)), gone):
            self._lease.check()
        remove_object(self._journal(_EARLIER))

    def _names(self) -> Iterator[str]:
        """All but the manifest."""
        return ("/".join(parts) for parts in walk_files(self.folder) if parts != (MANIFEST,))

    def _send_files(self, *, is_new: bool) -> None:
        def send(name: str) -> None:
            self._lease.check()
            send_file(self.folder / name, below(self._url, name), is_new=is_new)

        with progress(sum(1 for _ in self._names()), f"send to {shown(self._url)}", unit="file") as bar:
            for _ in abreast(send, self._names()):
                bar.update()

    def _journal(self, name: str) -> str:
        return below(below(self._url, JOURNAL), name)


@contextmanager
def delivery(url: str, header: Header, scratch: Path, *, overwrite: bool) -> Iterator[Delivery]:
    """Take a URL for this process alone; nothing of the data there is touched before it is sent to.

    There may be nothing, or an unfinished conversion with the same header; with `overwrite` any conversion by the same
    converter. When the block ends well, it is finished. Raises UsageError for anything else that is there, and when
    another process is converting into it.
    """
    url = url.rstrip("/")
    check_writable(url)
    try:
        place = Scratch(scratch, "out", url)
    except BlockingIOError as error:
        raise UsageError(
            f"another process is converting into {shown(url)}; wait for it or choose another --out"
        ) from error
    try:
        before = _read_state(place.path)
        begun = _chosen(url, before, header, overwrite=overwrite)
        made = _finished(place.path / _DATA) if begun == before else None
        _check(url, begun, made, _look(url))
        with _lease(url, place.path) as lease:
            _check(url, begun, made, _look(url))
            if begun != before:
                _begin_anew(place.path, begun)
            yield Delivery(url, place.path, lease, begun)
        remove_folder(below(url, JOURNAL))
        for name in (_STATE, _OWNER):
            (place.path / name).unlink()
    finally:
        if not (place.path / _OWNER).exists():  # it is finished, or was refused
            place.remove()
        place.close()


def _chosen(url: str, before: Begun | None, header: Header, *, overwrite: bool) -> Begun:
    """What is done now: what was begun in the scratch folder, or something new."""
    if before is None or overwrite:
        return Begun(header=header, run=secrets.token_hex(16), replaces=overwrite)
    if before.header != header:
        raise _begun_otherwise(url, before.header, header)
    return before


def _begin_anew(scratch: Path, begun: Begun) -> None:
    if (scratch / _DATA / JOURNAL).exists():
        Journal(scratch / _DATA / JOURNAL).close()  # refuses while the workers of a process that was killed still live
    (scratch / _STATE).unlink(missing_ok=True)
    if (scratch / _DATA).exists():
        shutil.rmtree(scratch / _DATA)
    with new_file(scratch / _STATE) as file:
        file.write(msgspec.json.encode(begun))


def _lease(url: str, scratch: Path) -> Lease:
    path = scratch / _OWNER
    if not path.exists():
        with new_file(path) as file:
            file.write(secrets.token_hex(16).encode())
    try:
        return Lease(below(url, JOURNAL), path.read_text(), name=shown(url))
    except NotThereError as error:
        raise UsageError(f"{shown(url)} can not be written, its bucket is not there; make it or check --out") from error


def _look(url: str) -> _There:
    names = tuple(names_in(url))
    return _There(
        names=names,
        manifest=_read(below(url, MANIFEST), Manifest) if MANIFEST in names else None,
        begun=_read(below(below(url, JOURNAL), _HEADER), Begun) if JOURNAL in names else None,
    )


def _read(url: str, kind: type[T]) -> T | None:
    try:
        return msgspec.json.decode(read_remote(url), type=kind)
    except NotThereError:
        return None
    except UNREADABLE as error:
        raise UsageError(
            f"{shown(url)} is not of a conversion by this version of phidata ({error}); choose another --out"
        ) from error


def _check(url: str, begun: Begun, made: Manifest | None, there: _There) -> None:
    """Refuse what is somebody else's, a finished conversion that is not to be replaced and was not `made` here, and one
    begun differently."""
    name, header = shown(url), begun.header
    if there.manifest is not None:
        if there.manifest.converter != header.converter:
            raise UsageError(f"{name} holds a conversion from {there.manifest.converter}; choose another --out")
        if there.begun is None and not begun.replaces and there.manifest != made:
            raise UsageError(
                f"{name} holds a finished conversion; pass --overwrite to replace it, or choose another --out"
            )
    elif there.begun is None and (others := [name for name in there.names if name != JOURNAL]):
        some = ", ".join(others[:3])
        raise UsageError(f"{name} holds other files ({some}) and no conversion; choose a new or empty place for --out")
    if there.begun is not None:
        if there.begun.header.converter != header.converter:
            other = there.begun.header.converter
            raise UsageError(f"{name} holds an unfinished conversion from {other}; choose another --out")
        if there.begun.header != header and not begun.replaces:
            raise _begun_otherwise(url, there.begun.header, header)


def _begun_otherwise(url: str, before: Header, header: Header) -> UsageError:
    return UsageError(
        f"{shown(url)} holds an unfinished conversion that was begun with {before.difference(header)}; "
        "run it again as it was begun, or pass --overwrite to begin anew"
    )


def _finished(folder: Path) -> Manifest | None:
    """The manifest of a finished conversion in a folder."""
    if not (folder / MANIFEST).exists() or (folder / JOURNAL).exists():
        return None
    return read_manifest(folder)


def _read_state(scratch: Path) -> Begun | None:
    with suppress(FileNotFoundError):
        return msgspec.json.decode((scratch / _STATE).read_bytes(), type=Begun)
    return None
