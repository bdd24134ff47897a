"""The fields of a raw record, checked where they are used, and the pictures that one of them holds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from phidata.conversion.media import Media
from phidata.errors import DataError
from phidata.storage.annotations import kind_of

_MISSING = object()


def value(record: Mapping[str, Any], column: str) -> Any:
    """What stands in a column; `query.en` is `en` inside `query`, unless there is a column of that whole name.

    Raises DataError when there is no such column.
    """
    found = _look_up(record, column)
    if found is _MISSING:
        has = ", ".join(map(repr, record)) or "nothing"
        raise DataError(f"it has no {column!r}; it has {has[:200]}")
    return found


def unexpected(record: Mapping[str, Any], column: str, expected: str) -> DataError:
    """The error for a column that holds something else: `its 'label' is null, where 0 or 1 is expected`."""
    return DataError(f"its {column!r} is {kind_of(value(record, column))}, where {expected} is expected")


def text(record: Mapping[str, Any], column: str) -> str:
    """The text in a column. Raises DataError when there is none, or something else."""
    found = value(record, column)
    if not isinstance(found, str):
        raise unexpected(record, column, "a text")
    return found


def texts(record: Mapping[str, Any], column: str, *, distinct: bool = True) -> tuple[str, ...]:
    """The texts in a column that holds one or a list of them, each once when they are to be distinct.

    Raises DataError for anything else.
    """
    found = value(record, column)
    several = found if isinstance(found, list) else [found]
    for item in several:
        if not isinstance(item, str):
            raise DataError(f"its {column!r} holds {kind_of(item)}, where a text is expected")
    if not several:
        raise DataError(f"its {column!r} is an empty list")
    return tuple(dict.fromkeys(several) if distinct else several)


def records(record: Mapping[str, Any], column: str) -> list[dict[str, Any]]:
    """The objects in a column that holds a list of them. Raises DataError for anything else."""
    found = value(record, column)
    if not isinstance(found, list):
        raise unexpected(record, column, "a list of objects")
    for item in found:
        if not isinstance(item, dict):
            raise DataError(f"its {column!r} holds {kind_of(item)}, where an object is expected")
    return found


def present(record: Mapping[str, Any], column: str) -> bool:
    """Whether there is something in a column: neither null nor an empty list."""
    return _look_up(record, column) not in (_MISSING, None, [])


def identifier(record: Mapping[str, Any], column: str) -> str | None:
    """The text or integer in a column as an id, when there is one."""
    found = _look_up(record, column)
    return str(found) if isinstance(found, (str, int)) and not isinstance(found, bool) else None


def name(record: Mapping[str, Any], column: str) -> str:
    """The text or integer in a column as text. Raises DataError when there is none, or something else."""
    found = identifier(record, column)
    if found is None:
        raise unexpected(record, column, "a name or number")
    return found


def by_frequency(answers: Iterable[str]) -> tuple[str, ...]:
    """Each answer once: the most frequent first, those equally frequent in the order in which they first come."""
    return tuple(answer for answer, _ in Counter(answers).most_common())


def pictures(media: Media, found: Any, *, name: str | None = None) -> tuple[str, ...]:
    """Take the picture or the list of pictures in a field: a path, bytes, or both as {bytes, path}; null is none.

    Pictures without a file of their own are called `<name>.<k>.jpg`, by default after the row. Raises DataError for
    anything else, and for a picture that is missing or can not be decoded.
    """
    if found is None:
        return ()
    if isinstance(found, list):
        return tuple(path for item in found for path in pictures(media, _present(item), name=name))
    if isinstance(found, str):
        return (media.image(found),)
    if isinstance(found, bytes):
        return (media.embedded(found, name=name),)
    if isinstance(found, dict) and found.keys() >= {"bytes", "path"}:
        if found["bytes"] is None and isinstance(found["path"], str):
            return (media.image(found["path"]),)
        if found["bytes"] is None or isinstance(found["bytes"], bytes):
            return (media.embedded(found["bytes"], name=name),)
    raise DataError(f"its image is {kind_of(found)}, where a path, bytes, or both as {{bytes, path}} are expected")


def _present(item: Any) -> Any:
    if item is None:
        raise DataError("one of its images is null")
    return item


def _look_up(record: Mapping[str, Any], column: str) -> Any:
    found: Any = record
    if column in record:
        return record[column]
    for name in column.split("."):
        if not isinstance(found, Mapping) or name not in found:
            return _MISSING
        found = found[name]
    return found
