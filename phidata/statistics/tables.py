"""The numbers of a data set as tables for a terminal, with bars where there is one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from phidata.diagnostics.excerpt import display_width, printable
from phidata.statistics.distribution import Spread
from phidata.statistics.summary import SplitNumbers, Statistics
from phidata.statistics.tally import Ranking

BLOCKS = " ▏▎▍▌▋▊▉█"
MAX_LABEL = 40
MAX_BAR = 40
THOUSANDTH = 0.001  # the step in which seconds are counted

Line = tuple[str, int, str]  # label, count, what stands before the count when it is not exact


def text_tables(found: Statistics, *, width: int = 80, bars: bool = False) -> str:
    """All tables, at most `width` columns wide; without `bars` plain numbers, for files and pipes."""
    numbers = found.all
    parts = [_heading(found), "\n".join(_split_table(found))]
    parts += ["\n".join(_spread_table(found))] if numbers.rows else []
    parts += [
        "\n".join((title, *_bar_lines(lines, total, width=width, bars=bars)))
        for title, lines, total in _charts(numbers)
        if lines
    ]
    return "\n\n".join(parts + _notes(found))


def _heading(found: Statistics) -> str:
    distinct = "" if found.distinct_images is None else f", {found.distinct_images:,} different images"
    return f"{printable(found.path)}: {found.shape}, {found.all.rows:,} rows{distinct}"


def _split_table(found: Statistics) -> Iterator[str]:
    columns = found.splits | ({"all": found.all} if len(found.splits) > 1 else {})
    names = {name: _fitting(printable(name), 24) for name in columns}
    label = max(5, *map(display_width, names.values()))
    video = found.all.video.seconds.count > 0
    yield f"{'split':{label}} {'rows':>11} {'turns':>11} {'images':>11} {'tokens':>14}" + f" {'video':>11}" * video
    for name, numbers in columns.items():
        line = (
            f"{_padded(names[name], label)} {numbers.rows:11,} {numbers.turns:11,} {numbers.images:11,} "
            f"{_number(numbers.tokens.sum):>14}"
        )
        yield line + (f" {_duration(numbers.video.seconds.sum):>11}" if video else "")


def _spread_table(found: Statistics) -> Iterator[str]:
    numbers, image = found.all, found.all.image
    about = "" if found.token_basis.exact else ", about"
    rows: dict[str, Spread] = {
        "turns a row": numbers.turns_per_row,
        "images a row": numbers.images_per_row,
        f"text tokens a row{about}": numbers.text_tokens,
        f"tokens a row{about}": numbers.tokens if found.media != "none" else Spread(count=0, sum=0),
        "tokens an image": image.tokens,
        "user, characters": numbers.user_chars,
        "assistant, characters": numbers.assistant_chars,
        "image width": image.width,
        "image height": image.height,
        "image bytes": image.bytes,
        "video, seconds": numbers.video.seconds,
        "video, frames a second": numbers.video.fps,
    }
    yield f"{'':24} {'min':>8} {'5 %':>8} {'median':>8} {'95 %':>8} {'max':>9} {'mean':>9}"
    for name, spread in rows.items():
        if spread.count:
            middle = " ".join(f"{_number(value):>8}" for value in (spread.min, spread.p5, spread.p50, spread.p95))
            yield f"{name:24} {middle} {_number(spread.max):>9} {_number(spread.mean):>9}"


def _charts(numbers: SplitNumbers) -> Iterator[tuple[str, list[Line], int]]:
    image = numbers.image
    yield "sources", _ranked(numbers.sources), numbers.sources.total
    yield f"answers, {_distinct(numbers.answers)}", _ranked(numbers.answers), numbers.answers.total
    for title, spread in (("turns a row", numbers.turns_per_row), ("images a row", numbers.images_per_row)):
        yield title, _histogram(spread), spread.count
    yield "tokens a row", _histogram(numbers.tokens), numbers.tokens.count
    yield f"image sizes, {_distinct(image.sizes)}", _ranked(image.sizes), image.sizes.total
    ratios = [(share.value, share.count, "") for share in image.aspect_ratios]
    yield "aspect ratios, each image at the nearest", ratios, image.sizes.total
    yield "image formats", _ranked(image.formats), image.formats.total
    yield "seconds of video", _histogram(numbers.video.seconds), numbers.video.seconds.count


def _ranked(ranking: Ranking) -> list[Line]:
    lines: list[Line] = [
        (entry.value, entry.count, "" if entry.count == entry.at_most else "≥") for entry in ranking.top
    ]
    return lines + ([("(others)", ranking.others, "" if ranking.exact else "≤")] if ranking.others else [])


def _distinct(ranking: Ranking) -> str:
    return f"{ranking.distinct:,} different" if ranking.exact else f"more than {ranking.distinct:,} different"


def _histogram(spread: Spread) -> list[Line]:
    """Nothing for numbers that are all the same: the table above says so."""
    bars = spread.histogram if len(spread.histogram) > 1 else ()
    return [(_range(bar.start, bar.below), bar.count, "") for bar in bars]


def _range(start: float, below: float) -> str:
    """Whole numbers by the first and the last one in it, others by its edges; one number by itself."""
    step = 1 if isinstance(start, int) else THOUSANDTH
    if below - start < 1.5 * step:
        return _number(start)
    return f"{_number(start)} … {_number(below - 1 if step == 1 else below)}"


def _bar_lines(lines: Sequence[Line], total: int, *, width: int, bars: bool) -> Iterator[str]:
    names = [_fitting(printable(label), MAX_LABEL if width >= 100 else MAX_LABEL - 12) for label, _, _ in lines]
    label_width = max(map(display_width, names))
    most = max(count for _, count, _ in lines)
    room = min(width - label_width - 24, MAX_BAR)
    for name, (_, count, bound) in zip(names, lines, strict=True):
        line = f"  {_padded(name, label_width)} {f'{bound}{count:,}':>11} {count / total:>6.1%}"
        yield f"{line}  {_bar(count / most * room)}".rstrip() if bars and room > 0 else line


def _bar(length: float) -> str:
    eighths = max(round(length * 8), 1 if length else 0)
    return BLOCKS[8] * (eighths // 8) + BLOCKS[eighths % 8].strip()


def _notes(found: Statistics) -> list[str]:
    notes = []
    if not found.token_basis.exact:
        notes.append(
            "text tokens are estimated; install the package `tokenizers` and phitrain's model files to count them"
        )
    for what, loss in (("rows", found.all.unreadable_rows), ("images", found.all.unreadable_images)):
        if loss.count:
            notes.append(f"{loss.count:,} {what} can not be read; the first: {printable(loss.first or '')}")
    return notes


def _number(value: float | None) -> str:
    if value is None:
        return "–"
    if value == int(value):
        return f"{int(value):,}"
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}" if value < 1 else f"{value:.1f}"


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60:,}:{minutes % 60:02}:{rest:02}"


def _fitting(text: str, columns: int) -> str:
    if display_width(text) <= columns:
        return text
    while display_width(text) >= columns:
        text = text[:-1]
    return text + "…"


def _padded(text: str, columns: int) -> str:
    return text + " " * (columns - display_width(text))
