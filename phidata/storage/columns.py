"""The columns of Arrow and Parquet, and their types.

    id: string, source: string,
    conversations: list<struct<images: list<struct<bytes: binary, path: string>>, user: string, assistant: string,
                               answers: list<string>>>,
    metadata: string (JSON text)

The schema's metadata says in the `datasets` library's own words that the structs in `images` are pictures.
"""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa

from phidata.errors import DataError

_STRING = {"dtype": "string", "_type": "Value"}
FEATURES: dict[str, Any] = {
    "id": _STRING,
    "source": _STRING,
    "conversations": {
        "feature": {
            "images": {"feature": {"_type": "Image"}, "_type": "List"},
            "user": _STRING,
            "assistant": _STRING,
            "answers": {"feature": _STRING, "_type": "List"},
        },
        "_type": "List",
    },
    "metadata": _STRING,
}

IMAGE = pa.struct({"bytes": pa.binary(), "path": pa.string()})
ANSWERS = pa.list_(pa.string())
TURN = pa.struct({"images": pa.list_(IMAGE), "user": pa.string(), "assistant": pa.string(), "answers": ANSWERS})
SCHEMA = pa.schema(
    {"id": pa.string(), "source": pa.string(), "conversations": pa.list_(TURN), "metadata": pa.string()},
    metadata={"huggingface": json.dumps({"info": {"features": FEATURES}})},
)


def check_columns(schema: pa.Schema, path: object) -> None:
    """Raise DataError when these are not the columns of conversations; the order does not matter, types may be large
    ones, `answers` and `metadata` may be missing."""
    if fault := _fault(schema):
        raise DataError(
            f"{path} does not hold conversations: {fault}; `phidata convert --from table --source …` converts others"
        )


def image_bytes(batch: pa.RecordBatch, row: int) -> pa.Array:
    """The images of one row of a batch, in reading order; what stands for an absent one is null."""
    images = batch.column("conversations").slice(row, 1).flatten().field("images")
    return images.flatten().field("bytes")


def one_line(error: Exception) -> str:
    """What an Arrow error says, some of which go over several lines."""
    return " ".join(str(error).split())


def _fault(schema: pa.Schema) -> str:
    """What is wrong with the columns; empty when nothing is."""
    needed = [name for name in ("id", "source", "conversations") if name not in schema.names]
    if needed:
        return f"it has the columns {', '.join(schema.names)} and not {', '.join(needed)}"
    if unknown := [name for name in schema.names if name not in FEATURES]:
        return f"it has also the columns {', '.join(unknown)}"
    expected = {name: SCHEMA.field(name).type for name in schema.names}
    return next(
        (fault for name, type_ in expected.items() if (fault := _type_fault(schema.field(name).type, type_, name))), ""
    )


def _type_fault(found: pa.DataType, expected: pa.DataType, name: str) -> str:
    if pa.types.is_list(expected):
        if not (pa.types.is_list(found) or pa.types.is_large_list(found)):
            return f"{name} is {found}, not a list"
        return _type_fault(found.value_type, expected.value_type, name)
    if pa.types.is_struct(expected):
        if not pa.types.is_struct(found):
            return f"{name} holds {found}, not a struct"
        names = {field.name: field.type for field in found}
        lacking = [field.name for field in expected if field.name not in names and field.name != "answers"]
        if lacking:
            return f"{name} lacks {', '.join(lacking)}"
        return next(
            (
                fault
                for field in expected
                if field.name in names and (fault := _type_fault(names[field.name], field.type, f"{name}.{field.name}"))
            ),
            "",
        )
    right = {str(expected), f"large_{expected}"}
    return "" if str(found) in right else f"{name} is {found}, not {expected}"
