"""Pictures with captions: in COCO's json, or in a text of the same name beside them, in a folder or in tars."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import groupby
from pathlib import PurePosixPath
from typing import Any, NamedTuple

import msgspec

from phidata.conversion.converter import Row
from phidata.errors import DataError, UsageError
from phidata.regular import check_regular
from phidata.sources import fields
from phidata.sources.files import ImageFinder, RowNames, by_split, split_of, with_keys
from phidata.sources.questions import Piece
from phidata.storage.annotations import json_keys, json_objects
from phidata.storage.source import Root
from phidata.storage.tar import members

PICTURES = (".jpg", ".jpeg", ".png", ".webp")
TEXTS = (".txt", ".json")
TO_ITS_END = -1  # how many bytes of a file are read

Found = tuple[Row, str | Piece | None, tuple[str, ...]]


class Sample(NamedTuple):
    """What has one name: the files or the members of a tar, each by its suffix, and where it stands."""

    split: str
    name: str
    file: str
    parts: list[tuple[str, Piece]]

    @property
    def place(self) -> str:
        """The file, or the tar and the name in it."""
        return f"{self.file}/{self.name}" if self.file.lower().endswith(".tar") else self.file

    @property
    def pictures(self) -> list[Piece]:
        """The pictures; there should be one."""
        return [piece for suffix, piece in self.parts if suffix in PICTURES]

    @property
    def text(self) -> tuple[str, Piece] | None:
        """The suffix of the text and the text, when there is one."""
        return min(
            (part for part in self.parts if part[0] in TEXTS), key=lambda part: TEXTS.index(part[0]), default=None
        )


def found(root: Root, field: str) -> Iterator[Found]:
    """Every picture with its captions, the row's place and name, from tars, COCO's json, or a folder of pairs.

    Raises UsageError when there is none of them, and DataError for a tar that is cut short or damaged.
    """
    if root.files(".tar"):
        return _beside(root, field)
    try:
        return _coco(root, with_keys(root, ("image_id", "caption"), ".json", under="annotations"))
    except UsageError:
        check_folder(root, field)
        return _beside(root, field)


def samples_in(root: Root) -> Iterator[Sample]:
    """The samples of every tar of the source, or of its folders when it has none, split by split.

    Of tars only the headers are read. Raises DataError for a tar that is cut short or damaged.
    """
    if tars := by_split(root.files(".tar")):
        for file in tars:
            found = members(root.path / file)
            pieces = ((member.name, Piece(file, member.offset, member.num_bytes)) for member in found)
            yield from _samples(split_of(file), pieces, _key)
        return
    files = [file for file in by_split(root.files()) if not PurePosixPath(file).name.startswith(".")]
    for split, of_split in groupby(files, key=split_of):
        stems = sorted(of_split, key=lambda file: (_stem(file), file))
        yield from _samples(split, ((file, Piece(file, 0, TO_ITS_END)) for file in stems), _stem)


def check_folder(root: Root, field: str) -> None:
    """Raise UsageError when no picture of a folder has a text beside it, or the first one's json has not the field."""
    pair = next((sample for sample in samples_in(root) if sample.pictures and sample.text), None)
    if packed := root.files(".tar.gz", ".tgz", ".tar.bz2", ".tar.xz"):
        raise UsageError(f"{packed[0]} in {root.name} is a compressed tar, which has no places to read from; unpack it")
    if pair is None or pair.text is None:
        raise UsageError(
            f"{root.name} holds no json file with 'image_id', 'caption' under 'annotations', no tars, and no images "
            f"with a txt or json of the same name"
        )
    suffix, piece = pair.text
    path = root.path / piece.file
    keys = json_keys(path) if suffix == ".json" and path.is_file() else ()
    if keys and field not in keys:
        has = ", ".join(map(repr, keys))
        raise UsageError(f"{piece.file} has no {field!r} but {has[:200]}; say with --field which is the caption")


def captions_in(root: Root, sample: Sample, field: str) -> tuple[str, ...]:
    """The captions of a sample: its text without white space around it, or what stands in a field of its json.

    Raises DataError when the text can not be read.
    """
    if sample.text is None:
        return ()
    suffix, piece = sample.text
    try:
        with check_regular(root.path / piece.file).open("rb") as source:
            source.seek(piece.offset)
            data = source.read(piece.num_bytes)
        if suffix == ".txt":
            return tuple(filter(None, [data.decode("utf-8-sig").strip()]))
        return fields.texts(msgspec.json.decode(data, type=dict), field)
    except OSError as error:
        raise DataError(f"its {suffix} can not be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise DataError(f"its {suffix} is not UTF-8 (byte 0x{error.object[error.start]:02x})") from error
    except (msgspec.MsgspecError, RecursionError) as error:
        raise DataError(f"its {suffix} is no JSON object ({error})") from error


def _coco(root: Root, listed: list[str]) -> Iterator[Found]:
    finder, names = ImageFinder(root), RowNames()
    for file in listed:
        split = split_of(file)
        said: dict[str, list[dict[str, Any]]] = {}
        astray: list[tuple[int, str]] = []
        for line, annotation, problem in json_objects(root.path / file, "annotations"):
            of = fields.identifier(annotation, "image_id")
            if of is None:
                astray.append((line, f"its caption can not be used: {problem or 'it has no image_id'}"))
            else:
                said.setdefault(of, []).append(annotation)
        for line, image, problem in json_objects(root.path / file, "images"):
            captions: tuple[str, ...] = ()
            place = ""
            id_ = fields.identifier(image, "id")
            try:
                of_image = said.pop(id_, []) if id_ is not None else []
                captions = tuple(dict.fromkeys(fields.text(one, "caption").strip() for one in of_image))
                place = finder.find(fields.text(image, "file_name"), split=split)
            except DataError as error:
                problem = problem or str(error)
            name = names.next(split)
            yield Row(split=split, name=name, file=file, line=line, id=id_, problem=problem), place, captions
        for line, problem in astray:
            yield Row(split=split, name=names.next(split), file=file, line=line, problem=problem), None, ()
        for unknown in said:
            problem = f"its captions are of the image {unknown}, which is not under 'images'"
            yield Row(split=split, name=names.next(split), file=file, id=unknown, problem=problem), None, ()


def _beside(root: Root, field: str) -> Iterator[Found]:
    names = RowNames()
    for sample in samples_in(root):
        problem: str | None = None
        captions: tuple[str, ...] = ()
        try:
            captions = captions_in(root, sample, field)
        except DataError as error:
            problem = str(error)
        pictures = sample.pictures
        if len(pictures) > 1:
            problem = f"it has {len(pictures)} pictures, where one is expected"
        elif not pictures and sample.text is not None:
            problem = "it has a text and no picture"
        row = Row(split=sample.split, name=names.next(sample.split), file=sample.place, id=sample.name, problem=problem)
        yield row, pictures[0] if pictures else None, captions


def _samples(split: str, pieces: Iterable[tuple[str, Piece]], name_of: Callable[[str], str]) -> Iterator[Sample]:
    for name, group in groupby(pieces, key=lambda piece: name_of(piece[0])):
        of_name = list(group)
        parts = [(PurePosixPath(member).suffix.lower(), piece) for member, piece in of_name]
        yield Sample(split, name, of_name[0][1].file, parts)


def _stem(file: str) -> str:
    """A file's path without its suffix."""
    return str(PurePosixPath(file).with_suffix(""))


def _key(name: str) -> str:
    """Up to the first dot of the last name, as WebDataset reads a tar."""
    folder, slash, last = name.rpartition("/")
    return f"{folder}{slash}{last.partition('.')[0]}"
