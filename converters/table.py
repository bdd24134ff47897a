"""Any table: csv, tsv, JSON lines, JSON, Parquet, Arrow, one file or many, or a data set of the hub. A row such as

    {"file": "x/17.jpg", "q": {"en": "What is this?"}, "label": "a cat", "all": ["a cat", "a kitten"], "nr": 17}

becomes a turn as --map says, which is given once for each part:

    --map images=file --map user='{q.en}\\nAnswer briefly.' --map assistant='{label}' --map answers=all
    --map id=nr --map metadata.number=nr

`images` is a column (a path, bytes, {bytes, path}, or a list of them) or a template of a path, `user` and `assistant`
are columns or templates, the rest columns. `{_file}`, `{_stem}` and `{_line}` say where a row stands: with a JSON file
for each picture, --map images='{_stem}.jpg'.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import PurePosixPath
from typing import Any

from phidata.conversion import (
    TABLE_SUFFIXES,
    About,
    Converted,
    Converter,
    HubFiles,
    Media,
    Option,
    Root,
    Row,
    RowNames,
    Settings,
    Turn,
    fields,
    files,
    templates,
)
from phidata.errors import DataError, UsageError

MAP = Option(
    name="map",
    help="What a part of a row is made from: images, user, assistant, answers, id or metadata.KEY; may be repeated.",
    multiple=True,
    metavar="PART=COLUMN|TEMPLATE",
)
FILES = Option(name="files", help="Which files to read, such as 'data/train-*'.", default="*", metavar="PATTERN")


@dataclass(frozen=True, kw_only=True)
class TableRow(Row):
    """One row of a table, and what each part of it is made from."""

    parts: Mapping[str, str]


class AnyTable:
    """One turn for each row. Null as an image is none; class labels of the hub's data sets stand as their names."""

    about = About(
        name="table",
        kind="whatever a table holds",
        source="csv, tsv, jsonl, json, Parquet or Arrow files, with --map; a file's name tells the split",
        hub=(HubFiles("OWNER/NAME", ("{files}",)),),
        options=(MAP, FILES),
        generic=True,
    )

    def rows(self, root: Root, settings: Settings) -> Iterator[TableRow]:
        chosen = [file for file in root.files(*TABLE_SUFFIXES) if fnmatchcase(file, settings["files"])]
        if not chosen:
            wanted = "" if settings["files"] == "*" else f" called {settings['files']}"
            raise UsageError(f"{root.name} holds no table{wanted}; tables are {', '.join(TABLE_SUFFIXES)}")
        tables, names = files.source_tables(root, chosen), RowNames()
        columns = tables[0].table.columns
        if not columns:
            raise DataError(f"{tables[0].file} is empty, where columns and rows are expected")
        parts = templates.read_map(settings["map"], [*columns, *_place(chosen[0], 1)])
        id_ = parts.get("id", "")
        for source in tables:
            for line, record in source.table.rows((id_.partition(".")[0],)):
                found = fields.identifier(record | _place(source.file, line), id_)
                name = names.next(source.split)
                yield TableRow(split=source.split, name=name, file=source.file, line=line, id=found, parts=parts)

    def convert(self, row: TableRow, media: Media) -> Converted:
        record, parts = media.record() | _place(row.file, row.line), row.parts
        user = templates.fill_in(parts["user"], record)
        answers = _answers(record, parts.get("answers"))
        assistant = templates.fill_in(parts["assistant"], record) if "assistant" in parts else (answers or ("",))[0]
        turn = Turn(images=_images(record, parts, media), user=user, assistant=assistant, answers=answers)
        kept = {part.partition(".")[2]: _plain(record, name) for part, name in parts.items() if "." in part}
        return Converted(turns=(turn,), metadata=kept or None)


def _place(file: str, line: int | None) -> dict[str, Any]:
    return {"_file": file, "_stem": PurePosixPath(file).stem, "_line": line}


def _images(record: Mapping[str, Any], parts: Mapping[str, str], media: Media) -> tuple[str, ...]:
    source = parts.get("images")
    if source is None:
        return ()
    if templates.columns_in(source):
        return (media.image(templates.fill_in(source, record)),)
    return fields.pictures(media, fields.value(record, source))


def _answers(record: Mapping[str, Any], column: str | None) -> tuple[str, ...] | None:
    if column is None:
        return None
    found = fields.value(record, column)
    several = found if isinstance(found, list) else [found]
    if not several:
        raise DataError(f"its {column!r} is an empty list, where answers are expected")
    return tuple(dict.fromkeys(templates.as_text(answer, column) for answer in several))


def _plain(record: Mapping[str, Any], column: str) -> Any:
    found = fields.value(record, column)
    if isinstance(found, bytes):
        raise DataError(f"its {column!r} is bytes, which metadata can not hold")
    return found


converter: Converter[TableRow] = AnyTable()
