"""The rows of a page in blocks: what stands in a row at once, its pictures only when somebody looks at them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future
from hashlib import blake2b
from typing import Any

import msgspec

from phidata.diagnostics import Diagnostic
from phidata.diagnostics.excerpt import printable
from phidata.errors import DataError
from phidata.previewing.choice import Place
from phidata.previewing.entries import ImageEntry, RowEntry, TurnEntry, finding
from phidata.previewing.shown import ShownData
from phidata.previewing.thumbnails import Pictures, Sides, make_pictures
from phidata.records import Conversation
from phidata.statistics import RowTokens
from phidata.statistics.pictures import image_contents

BLOCK_ROWS = 50  # the pictures of so many rows are decoded by the browser together; the script has the same number


class Block(msgspec.Struct, frozen=True, kw_only=True):
    """Some rows, and their pictures: an image that several of them show is there once."""

    rows: list[RowEntry]
    pictures: list[Pictures]


class BlockMaker:
    """Turns places in a data set into blocks, with an executor that scales pictures down."""

    def __init__(
        self,
        data: ShownData,
        findings: Mapping[Place, Sequence[Diagnostic]],
        *,
        tokens: RowTokens,
        sides: Sides,
        executor: Executor,
    ) -> None:
        self._splits = data.splits
        self._findings = findings
        self._tokens = tokens
        self._sides = sides
        self._root = f"{data.path if data.path.is_dir() else data.path.parent}/"
        self._executor = executor

    def blocks(self, places: Sequence[Place]) -> Iterator[Block]:
        """All rows in order, one block in memory at a time."""
        for start in range(0, len(places), BLOCK_ROWS):
            yield self._block(places[start : start + BLOCK_ROWS])

    def _block(self, places: Sequence[Place]) -> Block:
        rows = [self._read(place) for place in places]
        shown = _Shown(self._executor, self._sides)
        entries = [
            self._broken(place, row) if isinstance(row, DataError) else self._entry(place, row, shown)
            for place, row in zip(places, rows, strict=True)
        ]
        pictures = shown.finish()
        sound = [(row, entry) for row, entry in zip(rows, entries, strict=True) if not isinstance(row, DataError)]
        texts = self._tokens.of_text([row for row, _ in sound])
        for (_, entry), num_text in zip(sound, texts, strict=True):
            images = [image for turn in entry.turns for image in turn.images]
            sizes = [self._tokens.of_image(image.width, image.height) for image in images if not image.problem]
            entry.tokens = num_text + sum(size or 0 for size in sizes) if len(sizes) == len(images) else 0
        return Block(rows=entries, pictures=pictures)

    def _read(self, place: Place) -> Conversation | DataError:
        try:
            return self._splits[place.split][place.number]
        except DataError as error:
            return error

    def _broken(self, place: Place, error: DataError) -> RowEntry:
        return RowEntry(
            split=place.split,
            place=f"row {place.number + 1}",
            broken=printable(str(error)),
            findings=[finding(found) for found in self._findings.get(place, ())],
        )

    def _entry(self, place: Place, row: Conversation, shown: _Shown) -> RowEntry:
        data = self._splits[place.split]
        contents = iter(image_contents(data, place.number, row))
        turns = [
            TurnEntry(
                user=turn.user,
                assistant=turn.assistant,
                images=[shown.entry(path, next(contents)) for path in turn.images],
                answers=turn.answers or (),
            )
            for turn in row.conversations
        ]
        where = data.where(place.number).removesuffix(f": row {row.id!r}")
        return RowEntry(
            split=place.split,
            place=where.removeprefix(self._root),
            id=row.id,
            source=row.source,
            turns=turns,
            metadata=_json_text(row.metadata) if row.metadata is not None else "",
            findings=[finding(found) for found in self._findings.get(place, ())],
        )


class _Shown:
    """The pictures of one block, each content once, being made while the rows are read."""

    def __init__(self, executor: Executor, sides: Sides) -> None:
        self._executor = executor
        self._sides = sides
        self._waiting: dict[bytes, tuple[Future[Pictures], list[ImageEntry]]] = {}

    def entry(self, path: str, content: bytes | DataError) -> ImageEntry:
        if isinstance(content, DataError):
            return ImageEntry(path=path, problem=printable(str(content)))
        image = ImageEntry(path=path, bytes=len(content))
        digest = blake2b(content, digest_size=16).digest()
        if digest not in self._waiting:
            self._waiting[digest] = self._executor.submit(make_pictures, content, self._sides), []
        self._waiting[digest][1].append(image)
        return image

    def finish(self) -> list[Pictures]:
        """Wait for the pictures; what can not be decoded is noted in the entries."""
        made: list[Pictures] = []
        for future, entries in self._waiting.values():
            try:
                picture = future.result()
            except DataError as error:
                for image in entries:
                    image.problem = printable(str(error))
                continue
            for image in entries:
                image.width, image.height, image.picture = picture.width, picture.height, len(made)
            made.append(picture)
        return made


def _json_text(value: dict[str, Any]) -> str:
    """Readable, and with every digit of a number, which a browser would round."""
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode()
