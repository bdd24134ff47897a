"""Converting: the engine, and what a converter is written with."""

from phidata.conversion.converter import Converter, Row, Skip
from phidata.conversion.engine import convert
from phidata.conversion.layouts import LabelledFile, Layout, labelled_files
from phidata.conversion.media import Media
from phidata.records import Turn
from phidata.storage.hub import HubFile
from phidata.storage.manifest import Manifest
from phidata.storage.source import Root

__all__ = [
    "Converter",
    "HubFile",
    "LabelledFile",
    "Layout",
    "Manifest",
    "Media",
    "Root",
    "Row",
    "Skip",
    "Turn",
    "convert",
    "labelled_files",
]
