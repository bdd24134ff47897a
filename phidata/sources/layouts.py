"""Data sets of labelled clips in splits, in the two ways in which they lie on disk.

    <split>/<label>/<clip>                            a folder for each split and label
    <label>/<clip> and a text file for each split     lines `<label>/<clip> [number]`, as UCF-101 is published

The former may lie one folder deeper, the latter and its lists anywhere in the source.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from phidata.conversion.converter import Skip
from phidata.errors import DataError, UsageError
from phidata.regular import check_regular
from phidata.storage.annotations import check_encoding
from phidata.storage.source import Root
from phidata.storage.tree import Parts, files_below

_LINE = re.compile(r"(?!\.\.?/)([^/]+)/([^/]+?)(?:\s+\d+)?")


@dataclass(frozen=True, kw_only=True)
class Layout:
    """What is expected: the splits in their order, the list file of each split that has one, the suffix of a clip."""

    splits: Sequence[str]
    lists: Mapping[str, str]
    suffix: str

    def is_clip(self, parts: Parts) -> bool:
        return parts[-1].lower().endswith(self.suffix) and not parts[-1].startswith(".")

    def why_no_clip(self, parts: Parts) -> str:
        return "hidden file" if parts[-1].startswith(".") else f"not an {self.suffix} file"


@dataclass(frozen=True, kw_only=True)
class LabelledFile:
    """A clip, its split and its label. `file` is its path below the source; `problem` says that it is missing."""

    split: str
    label: str
    file: str
    problem: str | None = None


def labelled_files(root: Root, layout: Layout) -> Iterator[LabelledFile | Skip]:
    """List the clips, split by split, those of a split sorted by path; and everything among them that is none.

    Clips that lists name are looked for below --images when that was given. Raises UsageError, with what was found and
    what is expected, for what is of neither layout or without one of the splits, and DataError for a list with a line
    that can not be read or that names a clip again.
    """
    files: list[Parts] = files_below(root.path) if root.file is None else [(root.file,)]
    top = _top_folder(files, layout)
    if top is not None:
        return _by_folder(root, layout, files, top)
    lists = {name: parts for parts in reversed(files) for name in layout.lists.values() if parts[-1] == name}
    if lists:
        return _by_list(root, layout, files, lists)
    raise UsageError(
        f"{root.name} is laid out otherwise than expected: either {_names(layout.splits)} with "
        f"<label>/*{layout.suffix} in each, or <label>/*{layout.suffix} with {_names(layout.lists.values())}; "
        f"it has {_names(sorted({parts[0] for parts in files}))}"
    )


def _top_folder(files: list[Parts], layout: Layout) -> Parts | None:
    """Below which folder, the source itself or one in it, there are clips as `<split>/<label>/<clip>`."""
    tops = {
        parts[:-3] for parts in files if len(parts) in (3, 4) and layout.is_clip(parts) and parts[-3] in layout.splits
    }
    return min(tops, key=lambda top: (len(top), top), default=None)


def _by_folder(root: Root, layout: Layout, files: list[Parts], top: Parts) -> Iterator[LabelledFile | Skip]:
    depth = len(top)
    found = {
        parts[depth] for parts in files if len(parts) == depth + 3 and parts[:depth] == top and layout.is_clip(parts)
    }
    for split in layout.splits:
        if split not in found:
            where = "/".join((root.name, *top))
            raise UsageError(
                f"no split {split!r} with {layout.suffix} clips in {where}; it has {_names(sorted(found))}"
            )
    for split in layout.splits:
        for parts in files:
            if parts[: depth + 1] == (*top, split):
                yield _in_split(parts, split, layout, is_deep_enough=len(parts) == depth + 3)
    for parts in files:
        if layout.is_clip(parts) and (parts[:depth] != top or parts[depth] not in layout.splits):
            yield Skip(file="/".join(parts), reason="in no split folder")


def _in_split(parts: Parts, split: str, layout: Layout, *, is_deep_enough: bool) -> LabelledFile | Skip:
    file = "/".join(parts)
    if not layout.is_clip(parts):
        return Skip(file=file, split=split, reason=layout.why_no_clip(parts))
    if not is_deep_enough:
        return Skip(file=file, split=split, reason="not in <split>/<label>/")
    return LabelledFile(split=split, label=parts[-2], file=file)


def _by_list(
    root: Root, layout: Layout, files: list[Parts], lists: Mapping[str, Parts]
) -> Iterator[LabelledFile | Skip]:
    clips: dict[Parts, Parts] = {}
    among = files if root.images is None else files_below(root.images)
    for parts in among:
        if layout.is_clip(parts):
            clips.setdefault(parts[-2:], parts)
    if not clips:
        has = _names(sorted(lists))
        raise UsageError(f"{root.name} has {has} and no {layout.suffix} clip; put the clips beside them")
    listed = _read_lists(root, layout, lists)
    for split in layout.splits:
        for key, (where, of_split) in sorted(listed.items()):
            if of_split == split:
                problem = None if key in clips else f"{where} lists it, but it is not in the source"
                yield LabelledFile(split=split, label=key[0], file="/".join(clips.get(key, key)), problem=problem)
    known = {clips[key] for key in listed if key in clips} | set(lists.values())
    yield from _among_clips(layout, [parts for parts in among if parts not in known], clips)


def _among_clips(layout: Layout, files: list[Parts], clips: Mapping[Parts, Parts]) -> Iterator[Skip]:
    """Account for the clips that are not listed, and for what lies in their folders and is no clip."""
    folders = {parts[:-1] for parts in clips.values()}
    for parts in files:
        if layout.is_clip(parts):
            reason = "in no split list" if clips[parts[-2:]] == parts else "a second copy of a clip"
            yield Skip(file="/".join(parts), reason=reason)
        elif parts[:-1] in folders:
            yield Skip(file="/".join(parts), reason=layout.why_no_clip(parts))


def _read_lists(root: Root, layout: Layout, lists: Mapping[str, Parts]) -> dict[Parts, tuple[str, str]]:
    """Every listed clip, as (label, clip): where it is listed, as `<list>:<line>`, and its split."""
    missing = [name for name in layout.lists.values() if name not in lists]
    if missing:
        raise UsageError(f"no {missing[0]} in {root.name}; it has {_names(sorted(lists))}, put the other beside it")
    listed: dict[Parts, tuple[str, str]] = {}
    for split, name in layout.lists.items():
        path = root.path.joinpath(*lists[name])
        data = check_regular(path).read_bytes()
        check_encoding(path, data)
        if not data.strip():
            raise DataError(f"{name} is empty, where lines <label>/<clip> [number] are expected; get it again")
        for number, line in enumerate(data.decode("utf-8-sig", errors="replace").splitlines(), start=1):
            if not line.strip():
                continue
            where = f"{name}:{number}"
            key = _read_line(line.strip(), where)
            if key in listed:
                raise DataError(f"{where}: {'/'.join(key)} is listed in {listed[key][0]} already; remove one")
            listed[key] = (where, split)
    return listed


def _read_line(line: str, where: str) -> Parts:
    found = _LINE.fullmatch(line)
    if found is None:
        raise DataError(f"{where}: {line[:80]!r} is not <label>/<clip> [number]; mend the list")
    return (found[1], found[2])


def _names(names: Iterable[str]) -> str:
    return ", ".join(repr(name) for name in names) or "nothing"
