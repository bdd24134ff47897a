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

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from phidata.conversion import About, Converted, Converter, HubFiles, Media, Option, Root, Row, Settings
from phidata.sources import fields, files, templates

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

    parts: dict[str, str]


class AnyTable:
    """One turn for each row. Null as an image is none; class labels of the hub's data sets stand as their names."""

    about = About(
        name="table",
        kind="whatever a table holds",
        source="csv, tsv, jsonl, json, Parquet or Arrow files, with --map; a file's name tells the split",
        hub=(HubFiles("", ("{files}",)),),
        options=(MAP, FILES),
        generic=True,
    )

    def rows(self, root: Root, settings: Settings) -> Iterator[TableRow]:
        tables, names = files.any_tables(root, settings["files"]), files.RowNames()
        parts = templates.read_map(settings["map"], [*tables[0].table.columns, *_place(tables[0].file, 1)])
        id_ = parts.get("id", "")
        for source in tables:
            for line, record in source.table.rows((id_.partition(".")[0],)):
                found = fields.identifier(record | _place(source.file, line), id_)
                name = names.next(source.split)
                yield TableRow(split=source.split, name=name, file=source.file, line=line, id=found, parts=parts)

    def convert(self, row: TableRow, media: Media) -> Converted:
        return templates.mapped(row.parts, media.record() | _place(row.file, row.line), media)


def _place(file: str, line: int | None) -> dict[str, Any]:
    return {"_file": file, "_stem": PurePosixPath(file).stem, "_line": line}


converter: Converter[TableRow] = AnyTable()
