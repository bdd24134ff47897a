"""Converting: the engine, and what a converter is written with."""

from phidata.conversion.converter import About, Converted, Converter, Option, Row, Settings, Skip
from phidata.conversion.engine import convert
from phidata.conversion.layouts import LabelledFile, Layout, labelled_files
from phidata.conversion.media import Media
from phidata.records import Turn
from phidata.storage.annotations import Record, json_records, read_json
from phidata.storage.hub import HubFile, HubFiles
from phidata.storage.manifest import Manifest
from phidata.storage.source import Root
from phidata.storage.tables import Table, open_table

__all__ = [
    "About",
    "Converted",
    "Converter",
    "HubFile",
    "HubFiles",
    "LabelledFile",
    "Layout",
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
    "json_records",
    "labelled_files",
    "open_table",
    "read_json",
]
