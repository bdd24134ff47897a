"""Converting: the engine, and what a converter is written with."""

from phidata.conversion.converter import About, Converted, Converter, Option, Row, Settings, Skip
from phidata.conversion.engine import convert
from phidata.conversion.media import Media
from phidata.records import Turn
from phidata.storage.annotations import Entry, Item, Record, json_items, json_objects, json_records, kind_of, read_json
from phidata.storage.hub import HubFile, HubFiles
from phidata.storage.manifest import Manifest
from phidata.storage.source import Root
from phidata.storage.tables import Table, open_table

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
