"""Rows that ask one question about one picture, with every answer that counts as right."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from phidata.conversion.converter import Row, Skip
from phidata.conversion.media import Media
from phidata.errors import DataError
from phidata.records import Turn
from phidata.sources import fields, templates
from phidata.sources.files import ImageFinder, RecordRow, skipped


class Asked(NamedTuple):
    """A question as its set has it: its answers, the best first, and the file names that the picture may have; without
    a name there is no picture."""

    id: str | None
    question: str
    answers: tuple[str, ...]
    images: tuple[str, ...]


Read = Callable[[RecordRow], Iterable[Asked]]


class Piece(NamedTuple):
    """A picture in a larger file, such as a tar."""

    file: str
    offset: int
    num_bytes: int


@dataclass(frozen=True, kw_only=True)
class Question(Row):
    """One question, the picture that it is about, and its answers, the best first."""

    image: str | Piece | None
    user: str
    answers: tuple[str, ...]


def rows(row: RecordRow, read: Read, finder: ImageFinder, prompt: str) -> Iterator[Row | Skip]:
    """The questions of one record, as rows in the split that the record names, else in its own.

    `prompt` is a template with {question}. Questions without an answer are skipped; a record that can not be read is a
    row with a problem.
    """
    if row.problem:
        yield row
        return
    try:
        asked = list(read(row))
    except DataError as error:
        yield replace(row, problem=str(error))
        return
    if not asked:
        yield skipped(row, "no questions")
    split = row.record.get("split")
    split = split if isinstance(split, str) else row.split
    for k, question in enumerate(asked):
        if not question.answers:
            yield skipped(row, "no answers")
            continue
        yield Question(
            split=split,
            name=row.name if k == 0 else f"{row.name}-{k}",
            file=row.file,
            line=row.line,
            id=question.id,
            image=finder.find(*question.images, split=split) if question.images else None,
            user=templates.fill_in(prompt, {"question": question.question}),
            answers=question.answers,
        )


def reader(answers: str, image: str, *, digits: int = 0) -> Read:
    """Reads a question whose record names its answers, and its picture by a number of at least so many digits."""

    def read(row: RecordRow) -> Iterator[Asked]:
        picture = f"{fields.name(row.record, image).zfill(digits)}.jpg"
        yield Asked(row.id, fields.text(row.record, "question"), ranked(row.record, answers), (picture,))

    return read


def turns(row: Question, media: Media) -> tuple[Turn, ...]:
    """The picture, the question, the best answer, and all of them as `answers`."""
    images: tuple[str, ...] = ()
    if isinstance(row.image, Piece):
        images = (media.embedded(media.read(*row.image), name=_stem(row.name)),)
    elif row.image is not None:
        images = (media.image(row.image),)
    return (Turn(images=images, user=row.user, assistant=row.answers[0], answers=row.answers),)


def ranked(record: Mapping[str, Any], column: str) -> tuple[str, ...]:
    """The answers in a column, each once, the most frequent first: one text, a list of them, or of {answer}.

    Empty when there are none. Raises DataError for anything else.
    """
    if not fields.present(record, column):
        return ()
    found = record[column] if isinstance(record[column], list) else [record[column]]
    items = [item if isinstance(item, dict) else {"answer": item} for item in found]
    return fields.by_frequency(fields.text(item, "answer") for item in items)


def _stem(name: str) -> str:
    """The name of the row without the number that tells it from others about the same picture."""
    folder, slash, last = name.rpartition("/")
    return f"{folder}{slash}{last.partition('-')[0]}"
