"""What converters share: how sources of one kind are laid out, and how their records become rows and turns."""

from phidata.sources import captioned, cauldron, fields, files, questions, templates
from phidata.sources.chat_files import ChatFile, chat_files, chat_rows, messages_misfit
from phidata.sources.chat_layout import OPTIONS as CHAT_OPTIONS
from phidata.sources.chat_layout import ChatLayout
from phidata.sources.chat_record import ChatRow, convert_chat
from phidata.sources.class_folders import ClassRow, class_question, class_rows
from phidata.sources.dataset_info import described_files, pairs_of, renamed
from phidata.sources.layouts import LabelledFile, Layout, labelled_files
from phidata.sources.tags import lift_tags, put_tags

__all__ = [
    "CHAT_OPTIONS",
    "ChatFile",
    "ChatLayout",
    "ChatRow",
    "ClassRow",
    "LabelledFile",
    "Layout",
    "captioned",
    "cauldron",
    "chat_files",
    "chat_rows",
    "class_question",
    "class_rows",
    "convert_chat",
    "described_files",
    "fields",
    "files",
    "labelled_files",
    "lift_tags",
    "messages_misfit",
    "pairs_of",
    "put_tags",
    "questions",
    "renamed",
    "templates",
]
