"""What `phidata validate` writes: findings up to a limit, counts by code, the lengths of rows."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import click
import msgspec

from phidata.diagnostics import Diagnostic, Summary, TokenSummary
from phidata.diagnostics.catalogue import FLAGS, RULES
from phidata.diagnostics.render import Renderer
from phidata.errors import PhidataError


class Printer:
    """Writes findings as they come; after `limit_errors` errors it only counts."""

    def __init__(self, render: Renderer, *, limit_errors: int | None, only_count: bool) -> None:
        self._render = render
        self._limit = limit_errors
        self._only_count = only_count
        self._num_errors = self._num_shown = self._num_hidden = 0
        self.counts: Counter[str] = Counter()
        if render.begin:
            click.echo(render.begin)

    def show(self, found: Iterable[Diagnostic]) -> None:
        """Write these findings, or count them."""
        for diagnostic in found:
            self.counts[diagnostic.code] += 1
            if self._only_count:
                continue
            if self._limit is not None and self._num_errors >= self._limit:
                self._num_hidden += 1
                continue
            self._num_errors += diagnostic.severity == "error"
            between = self._render.between if self._num_shown else ""
            click.echo(between + self._render.diagnostic(diagnostic))
            self._num_shown += 1

    @contextmanager
    def broken_off(self) -> Iterator[None]:
        """Close what was begun when an error ends the block."""
        try:
            yield
        except PhidataError as error:
            if self._render.failure:
                click.echo(self._render.failure(str(error)))
            raise

    def end(self, total: Summary) -> None:
        """Write the sum, and how many findings were not shown."""
        click.echo(self._render.summary(total))
        if self._num_hidden:
            more = "finding is" if self._num_hidden == 1 else "findings are"
            click.echo(f"{self._num_hidden:,} more {more} counted but not shown, by --limit-errors", err=True)
        if total.accepted:
            known = "finding is" if total.accepted == 1 else "findings are"
            click.echo(f"{total.accepted:,} older {known} accepted by the baseline", err=True)


def statistics_lines(counts: Counter[str], *, as_json: bool) -> Iterator[str]:
    """How often each code was found, the most frequent first."""
    width = max((len(f"{count:,}") for count in counts.values()), default=0)
    for code, count in sorted(counts.items(), key=lambda entry: (-entry[1], entry[0])):
        rule = RULES[code]
        if as_json:
            fields = {"type": "statistics", "code": code, "name": rule.name, "severity": rule.severity, "count": count}
            yield json.dumps(fields | {"fixable": rule.fixable})
        else:
            flag = f"  [{FLAGS[rule.fixable]}]" if FLAGS[rule.fixable] else ""
            yield f"{count:>{width},}  {code}  {rule.severity:<7}  {rule.title}{flag}"


def token_lines(tokens: TokenSummary, *, as_json: bool) -> Iterator[str]:
    """How long the rows are."""
    if as_json:
        yield json.dumps({"type": "tokens", **msgspec.to_builtins(tokens)})
        return
    how = "counted by the tokenizer" if tokens.exact else "texts estimated: the tokenizer or its file is not installed"
    yield f"tokens of {tokens.model}, num_crops {tokens.num_crops} ({how})"
    ranks = ("smallest", "median", "p90", "p99", "largest")
    yield "  " + "   ".join(f"{name} {getattr(tokens, name):,}" for name in ranks)
    yield f"  {tokens.total:,} in {tokens.rows:,} row{'s' * (tokens.rows != 1)}"
    if tokens.max_length is not None:
        verb = "is" if tokens.over_limit == 1 else "are"
        yield f"  {tokens.over_limit:,} {verb} over the limit of {tokens.max_length:,}"
    if tokens.not_counted:
        yield f"  {tokens.not_counted:,} not counted: the row is not right, or an image of it can not be opened"


def fixable_note(total: Summary) -> str:
    """What could be repaired; empty when nothing could."""
    safe, unsafe = total.fixable, total.unsafely_fixable
    if not (safe or unsafe):
        return ""
    if not unsafe:
        return f"{safe:,} can be repaired by --fix"
    if not safe:
        return f"{unsafe:,} can be repaired by --fix --unsafe-fixes"
    return f"{safe:,} can be repaired by --fix, {unsafe:,} more with --unsafe-fixes"
