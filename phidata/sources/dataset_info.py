"""LLaMA-Factory's `dataset_info.json`: which files of a folder are data sets, and what their columns are called.

https://github.com/hiyouga/LLaMA-Factory/blob/main/data/README.md
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Any

from phidata.conversion.converter import Settings, Skip
from phidata.errors import DataError, UsageError
from phidata.sources.chat_files import SUFFIXES, ChatFile
from phidata.sources.chat_layout import ChatLayout
from phidata.storage.annotations import kind_of, read_json
from phidata.storage.source import Root

FILE_NAME = "dataset_info.json"

_COLUMNS = {"messages": "messages", "images": "images", "videos": "videos"}
_TAGS = {
    "role_tag": "role",
    "content_tag": "content",
    "user_tag": "user",
    "assistant_tag": "assistant",
    "system_tag": "system",
}


def described_files(root: Root, layout: ChatLayout) -> list[ChatFile | Skip]:
    """The files of a source with the layout that its `dataset_info.json` gives them; without one, every JSON file.

    Where there is one, what it does not list, or lists in another format than sharegpt, is skipped.
    """
    files = root.files(*SUFFIXES)
    infos = dict(_infos(root))
    if not infos or (root.file is not None and root.file not in infos):
        return [ChatFile(file=file, layout=layout) for file in files]
    return [
        _described(file, infos[file], layout) if file in infos else Skip(file=file, reason=f"not in {FILE_NAME}")
        for file in files
        if PurePosixPath(file).name != FILE_NAME
    ]


def renamed(layout: ChatLayout, columns: Mapping[str, str], tags: Mapping[str, str]) -> ChatLayout:
    """The layout with the columns and tags called as `dataset_info.json` would say.

    Raises UsageError for a column or a tag that there is not.
    """
    for given, known, kind in ((columns, (*_COLUMNS, "system"), "column"), (tags, _TAGS, "tag")):
        for name in given:
            if name not in known:
                raise UsageError(f"no {kind} {name!r} can be named; there are {', '.join(known)}")
    changes: dict[str, Any] = {field: (columns[name],) for name, field in _COLUMNS.items() if name in columns}
    changes |= {field: (tags[name],) for name, field in _TAGS.items() if name in tags}
    return replace(layout, **changes, system_column=columns.get("system", layout.system_column))


def pairs_of(settings: Settings, name: str) -> dict[str, str]:
    """The values of an option that was given as `NAME=VALUE`, each name once. Raises UsageError for another form."""
    pairs: dict[str, str] = {}
    for text in settings[name]:
        key, equals, value = text.partition("=")
        if not (key and equals and value) or key in pairs:
            raise UsageError(f"--{name} {text} can not be read; write NAME=VALUE, each name once")
        pairs[key] = value
    return pairs


def _infos(root: Root) -> Iterator[tuple[str, Mapping[str, Any]]]:
    path = root.path / FILE_NAME
    if not path.is_file():
        return
    document = read_json(path)
    if not isinstance(document, dict):
        raise DataError(f"{FILE_NAME} is {kind_of(document)}, where an object is expected; mend it")
    for info in document.values():
        if isinstance(info, dict) and isinstance(info.get("file_name"), str):
            yield info["file_name"], info


def _described(file: str, info: Mapping[str, Any], layout: ChatLayout) -> ChatFile | Skip:
    formatting = info.get("formatting", "alpaca")
    if formatting != "sharegpt":
        return Skip(file=file, reason=f"its format in {FILE_NAME} is {formatting}")
    if info.get("ranking"):
        return Skip(file=file, reason=f"it is preference data by {FILE_NAME}")
    known = (*_COLUMNS, "system")
    columns, tags = _named(file, info, "columns", known), _named(file, info, "tags", _TAGS)
    return ChatFile(file=file, layout=renamed(layout, columns, tags))


def _named(file: str, info: Mapping[str, Any], what: str, known: Iterable[str]) -> dict[str, str]:
    """How the columns or tags that are known are called."""
    names = info.get(what) or {}
    if not isinstance(names, dict):
        raise DataError(f"{FILE_NAME} has {kind_of(names)} as {what!r} of {file}, where an object is expected; mend it")
    for name in known:
        if name in names and not isinstance(names[name], str):
            raise DataError(
                f"{FILE_NAME} has {kind_of(names[name])} as {name!r} of {file}, where a name is expected; mend it"
            )
    return {name: names[name] for name in known if name in names}
