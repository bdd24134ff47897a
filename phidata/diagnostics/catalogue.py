"""Every rule by its code; `docs/diagnostics.md` and `phidata explain` are made from it."""

from __future__ import annotations

from difflib import get_close_matches
from textwrap import fill

from phidata.diagnostics import image_rules, line_rules, row_rules, token_rules, trainer_rules
from phidata.diagnostics.rule import Fixable, Rule
from phidata.errors import UsageError

WIDTH = 100
FLAGS: dict[Fixable, str] = {"safe": "--fix", "unsafe": "--unsafe-fixes", "no": ""}

RULES: dict[str, Rule] = {
    rule.code: rule
    for module in (line_rules, row_rules, image_rules, trainer_rules, token_rules)
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


def code_prefix(text: str) -> str:
    """What all codes that are meant begin with: a part of one such as PHI3 as it is, a whole code, or a rule's name.

    Raises UsageError, naming the nearest, when no code is meant.
    """
    prefix = text.upper()
    if prefix.startswith("PHI") and any(code.startswith(prefix) for code in RULES):
        return prefix
    return find_rule(text).code


def explanation(rule: Rule) -> str:
    """The long text of one rule, for a terminal."""
    paragraphs = [
        f"{rule.code} {rule.name} ({rule.severity}): {rule.title}",
        _filled(rule.explanation),
        f"example:\n    {rule.example}" if rule.example else "",
        _filled(f"help: {rule.remedy}"),
        _filled(f"{FLAGS[rule.fixable]}: {rule.repair}") if rule.repair else "",
        _filled(f"source: {rule.source}") if rule.source else "",
    ]
    return "\n\n".join(filter(None, paragraphs))


def _filled(text: str) -> str:
    return fill(text, WIDTH, break_long_words=False, break_on_hyphens=False)
