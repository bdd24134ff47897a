"""Converting: the engine, and what a converter is written with."""

from phidata.conversion import captioned, cauldron, fields, files, questions, templates
from phidata.conversion.chat_files import ChatFile, chat_files, chat_rows, messages_misfit
from phidata.conversion.chat_layout import OPTIONS as CHAT_OPTIONS
from phidata.conversion.chat_layout import ChatLayout
from phidata.conversion.chat_record import ChatRow, convert_chat
from phidata.conversion.class_folders import class_folders
from phidata.conversion.converter import About, Converted, Converter, Option, Row, Settings, Skip
from phidata.conversion.dataset_info import described_files, pairs_of, renamed
from phidata.conversion.engine import convert
from phidata.conversion.layouts import LabelledFile, Layout, labelled_files
from phidata.conversion.media import Media
from phidata.conversion.tags import lift_tags, put_tags
from phidata.records import Turn
from phidata.storage.annotations import Entry, Item, Record, json_items, json_objects, json_records, kind_of, read_json
from phidata.storage.hub import HubFile, HubFiles
from phidata.storage.manifest import Manifest
from phidata.storage.source import Root
from phidata.storage.tables import Table, open_table

__all__ = [
    "CHAT_OPTIONS",
    "About",
    "ChatFile",
    "ChatLayout",
    "ChatRow",
    "Converted",
    "Converter",
    "Entry",
    "HubFile",
    "HubFiles",
    "Item",
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
    "captioned",
    "cauldron",
    "chat_files",
    "chat_rows",
    "class_folders",
    "convert",
    "convert_chat",
    "described_files",
    "fields",
    "files",
    "json_items",
    "json_objects",
    "json_records",
    "kind_of",
    "labelled_files",
    "lift_tags",
    "messages_misfit",
    "open_table",
    "pairs_of",
    "put_tags",
    "questions",
    "read_json",
    "renamed",
    "templates",
]
