"""Converting: the engine, and what a converter is written with."""

from typing import TYPE_CHECKING

from phidata.conversion.converter import About, Converted, Converter, Option, Row, Settings, Skip
from phidata.conversion.media import Media
from phidata.records import Turn
from phidata.storage.annotations import Entry, Item, Record, json_items, json_objects, json_records, kind_of, read_json
from phidata.storage.hub import HubFile, HubFiles
from phidata.storage.manifest import Manifest
from phidata.storage.source import Root
from phidata.storage.tables import Table, open_table

if TYPE_CHECKING:
    from phidata.conversion.engine import convert

__all__ = [
    "About",
    "Converted",
    "Converter",
    "Entry",
    "HubFile",
    "HubFiles",
    "Item",
    "Manifest",
    "Media",
    "Option",
    "Record",
    "Root",
    "Row",
    "Settings",
    "Skip",
    "Table",
    "Turn",
    "convert",
    "json_items",
    "json_objects",
    "json_records",
    "kind_of",
    "open_table",
    "read_json",
]


def __getattr__(name: str) -> object:
    """`convert`, imported when it is asked for: the processes that convert rows do without the engine."""
    if name != "convert":
        raise AttributeError(f"module 'phidata.conversion' has no attribute {name!r}")
    from phidata.conversion.engine import convert

    return convert
