"""The catalogue: stable codes, and texts that a person can use."""

from __future__ import annotations

from phidata.diagnostics import image_rules, line_rules, row_rules, token_rules, trainer_rules
from phidata.diagnostics.catalogue import RULES
from phidata.diagnostics.rule import Rule

MODULES = (line_rules, row_rules, image_rules, trainer_rules, token_rules)

CODES = """
PHI001 PHI002 PHI003 PHI004 PHI005 PHI006 PHI007 PHI008 PHI009 PHI010 PHI011 PHI012 PHI013 PHI014 PHI015 PHI016 PHI017
PHI101 PHI102 PHI103 PHI104 PHI105
PHI201 PHI202 PHI203 PHI204
PHI301 PHI302 PHI303 PHI304 PHI305 PHI306 PHI307
PHI401 PHI402 PHI403 PHI404 PHI405 PHI406 PHI407 PHI408 PHI409 PHI410 PHI411
PHI501 PHI502 PHI503 PHI504 PHI511 PHI521 PHI531 PHI532
PHI601 PHI602 PHI603
"""


def test_codes_are_never_taken_away_or_used_twice() -> None:
    assert list(RULES) == CODES.split()
    assert len(RULES) == sum(isinstance(value, Rule) for module in MODULES for value in vars(module).values())


def test_names_are_the_constants_in_words() -> None:
    for module in MODULES:
        for name, rule in vars(module).items():
            if rule in RULES.values():
                assert name.lower().replace("_", "-") in rule.name


def test_warnings_are_those_that_leave_data_usable() -> None:
    warnings = [rule.name for rule in RULES.values() if rule.severity == "warning"]
    assert warnings == [
        "no-rows",
        "control-token",
        "nul-in-text",
        "large-image",
        "exif-orientation",
        "animated-image",
        "decoder-warning",
        "llava-stripped",
    ]


def test_a_rule_says_how_it_is_repaired_exactly_when_it_can_be() -> None:
    for rule in RULES.values():
        assert (rule.fixable == "no") == (rule.repair == ""), rule


def test_a_rule_about_another_program_says_where_it_was_read() -> None:
    for code, rule in RULES.items():
        assert (rule.source != "") == code.startswith(("PHI5", "PHI6")), rule


def test_texts_are_whole_sentences() -> None:
    for rule in RULES.values():
        assert rule.explanation.endswith((".", ".)")), rule
        assert not rule.title.endswith("."), rule
        assert not rule.remedy.endswith("."), rule
