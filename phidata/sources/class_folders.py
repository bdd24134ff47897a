"""Files in a folder for each class: `<split>/<class>/<file>`, or `<class>/<file>` as one split, train; and the question
for the class of each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from phidata.conversion.converter import Option, Row, Settings, Skip
from phidata.errors import UsageError
from phidata.sources import templates
from phidata.sources.files import SPLITS, split_rank
from phidata.sources.layouts import LabelledFile
from phidata.storage.source import Root
from phidata.storage.tree import Parts, files_below


@dataclass(frozen=True, kw_only=True)
class ClassRow(Row):
    """One file of one class."""

    label: str
    question: str


def class_question(kind: str) -> Option:
    """The option that says what each row of a `class_rows` asks."""
    return Option(
        name="question",
        help="What each row asks; {classes} stands for the names of all classes.",
        default=f"Classify the {kind} into one of the following classes: {{classes}}.",
        metavar="TEMPLATE",
    )


def class_rows(
    root: Root, settings: Settings, suffixes: Sequence[str], kind: str, *, keep_suffix: bool
) -> Iterator[ClassRow | Skip]:
    """Every file of `class_folders` as a row that asks for its class among all, called `<split>/<class>/<file>`;
    without the file's suffix when that is not to be kept and no other file is called so.

    Raises UsageError for a question that names something else than the classes.
    """
    templates.check(settings["question"], ("classes",), "--question")
    found = list(class_folders(root, suffixes, kind))
    labels = sorted({file.label for file in found if not isinstance(file, Skip) and _is_utf8(file.label)})
    question = templates.fill_in(settings["question"], {"classes": ", ".join(labels)})
    stems = Counter(PurePosixPath(file.file).with_suffix("") for file in found)
    for item in found:
        if isinstance(item, Skip):
            yield item
            continue
        path = PurePosixPath(item.file)
        last = path.name if keep_suffix or stems[path.with_suffix("")] > 1 else path.stem
        name = f"{item.split}/{item.label}/{last}"
        yield ClassRow(split=item.split, name=name, file=item.file, label=item.label, question=question)


def class_folders(root: Root, suffixes: Sequence[str], kind: str) -> Iterator[LabelledFile | Skip]:
    """List the files with these suffixes, split by split, those of a split by path; and everything else there is.

    All may lie in more folders. Raises UsageError, with what was found and what is expected, when there are none,
    or when some lie one folder deeper than others and the folders are not called like splits.
    """
    expected = f"expected are {kind} files as <split>/<class>/* or <class>/*"
    if root.file is not None:
        raise UsageError(f"{root.name} is one file; {expected}")
    files = files_below(root.path)
    wanted = [parts for parts in files if not _why_not(parts, suffixes, kind)]
    top = _common_folders(wanted)
    depths = {len(parts) - len(top) for parts in wanted} - {1}
    folders = {parts[len(top)] for parts in wanted if len(parts) > len(top) + 1}
    in_splits = 3 in depths and (depths == {3} or folders <= set(SPLITS))
    if not depths:
        has = ", ".join(repr(name) for name in sorted({parts[0] for parts in files})[:8]) or "nothing"
        raise UsageError(f"{root.name} holds no {kind} file in a folder; {expected}, it has {has}")
    if not in_splits and depths != {2}:
        places = sorted({"/".join(parts[:-1]) for parts in wanted} - {""}, key=lambda place: (place.count("/"), place))
        raise UsageError(
            f"{root.name} has {kind} files at different depths, in {places[0]!r} and in {places[-1]!r}; {expected}"
        )
    return _listed(files, suffixes, kind, top, depth=len(top) + (3 if in_splits else 2))


def _is_utf8(label: str) -> bool:
    """Whether a folder's name can stand in a question; rows of one that can not fail by name."""
    return not any("\ud800" <= letter <= "\udfff" for letter in label)


def _listed(
    files: list[Parts], suffixes: Sequence[str], kind: str, top: Parts, *, depth: int
) -> Iterator[LabelledFile | Skip]:
    in_splits = depth - len(top) == 3
    splits = {parts: _split(parts, top, in_splits=in_splits) for parts in files}
    for parts in sorted(files, key=lambda parts: (_rank(splits[parts]), parts)):
        split, reason = splits[parts], _why_not(parts, suffixes, kind)
        if reason is None and (len(parts) != depth or split is None):
            reason = "not in <split>/<class>/" if in_splits else "not in <class>/"
        if reason is not None or split is None:
            yield Skip(file="/".join(parts), split=split, reason=reason or "")
        else:
            yield LabelledFile(split=split, label=parts[-2], file="/".join(parts))


def _split(parts: Parts, top: Parts, *, in_splits: bool) -> str | None:
    """The split that a file belongs to, as far as its folders tell."""
    if parts[: len(top)] != top or len(parts) < len(top) + 2:
        return None
    return parts[len(top)] if in_splits else "train"


def _rank(split: str | None) -> tuple[int, str]:
    """As `split_rank`; last what is in no split."""
    return (len(SPLITS) + 1, "") if split is None else split_rank(split)


def _why_not(parts: Parts, suffixes: Sequence[str], kind: str) -> str | None:
    if any(part.startswith(".") for part in parts):
        return "hidden file"
    return None if parts[-1].lower().endswith(tuple(suffixes)) else f"not {kind}"


def _common_folders(files: list[Parts]) -> Parts:
    """The folders that all files lie in, as far as a split and a class remain below them."""
    top: Parts = ()
    while files and max(map(len, files)) - len(top) > 3 and len({parts[: len(top) + 1] for parts in files}) == 1:
        top = files[0][: len(top) + 1]
    return top
