"""Every rule by its code; `docs/diagnostics.md` and `phidata explain` are made from it."""

from __future__ import annotations

from difflib import get_close_matches
from textwrap import fill

from phidata.diagnostics import image_rules, line_rules, row_rules
from phidata.diagnostics.rule import Rule
from phidata.errors import UsageError

WIDTH = 100

RULES: dict[str, Rule] = {
    rule.code: rule
    for module in (line_rules, row_rules, image_rules)
    for rule in vars(module).values()
    if isinstance(rule, Rule)
}


def find_rule(code: str) -> Rule:
    """The rule of a code, or of its name in words; upper and lower case are the same.

    Raises UsageError naming the nearest code when there is none.
    """
    wanted = {name.casefold(): rule for rule in RULES.values() for name in (rule.code, rule.name)}
    if code.casefold() in wanted:
        return wanted[code.casefold()]
    near = get_close_matches(code.casefold(), wanted, n=1)
    hint = f"did you mean {wanted[near[0]].code}?" if near else "`phidata explain` lists them all"
    raise UsageError(f"no diagnostic {code!r}; {hint}")


def explanation(rule: Rule) -> str:
    """The long text of one rule, for a terminal."""
    text = fill(rule.explanation, WIDTH, break_long_words=False, break_on_hyphens=False)
    example = f"\n\nexample:\n    {rule.example}" if rule.example else ""
    return f"{rule.code} {rule.name} ({rule.severity}): {rule.title}\n\n{text}{example}\n\nhelp: {rule.remedy}"
