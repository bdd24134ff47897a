"""The schema files of the format, which are installed with the package."""

from __future__ import annotations

import json
from functools import lru_cache
from importlib.resources import files
from typing import Any

CONVERSATION = "conversation.schema.json"


@lru_cache(maxsize=1)
def conversation_schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of one row. Every call gives the same object: read it, never change it."""
    schema: dict[str, Any] = json.loads(files("phidata.schemas").joinpath(CONVERSATION).read_text(encoding="utf-8"))
    return schema


def turn_schema() -> dict[str, Any]:
    """The part of the schema that is about one turn."""
    turn: dict[str, Any] = conversation_schema()["properties"]["conversations"]["items"]
    return turn


def schema_version() -> str:
    """The version of the row's schema, the last part of its `$id`."""
    identifier: str = conversation_schema()["$id"]
    return identifier.rpartition(":")[2]


def image_path_pattern() -> str:
    """The regular expression that an image path has to match; the same in Python and in ECMAScript."""
    pattern: str = turn_schema()["properties"]["images"]["items"]["pattern"]
    return pattern
