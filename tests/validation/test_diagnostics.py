"""The catalogue: stable codes, and texts that a person can use."""

from __future__ import annotations

from phidata.diagnostics import image_rules, line_rules, row_rules
from phidata.diagnostics.catalogue import RULES

CODES = """
PHI001 PHI002 PHI003 PHI004 PHI005 PHI006 PHI007 PHI008 PHI009 PHI010 PHI011 PHI012 PHI013 PHI014 PHI015 PHI016
PHI101 PHI102 PHI103 PHI104 PHI105
PHI201 PHI202 PHI203 PHI204
PHI301 PHI302 PHI303 PHI304 PHI305 PHI306 PHI307
PHI401 PHI402 PHI403 PHI404 PHI405 PHI406 PHI407 PHI408 PHI409 PHI410 PHI411
"""


def test_codes_are_never_taken_away_or_used_twice() -> None:
    assert list(RULES) == CODES.split()
    modules = (line_rules, row_rules, image_rules)
    assert len(RULES) == sum(name.isupper() and name != "PATH_REMEDY" for module in modules for name in vars(module))


def test_names_are_the_constants_in_words() -> None:
    for module in (line_rules, row_rules, image_rules):
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
    ]


def test_texts_are_whole_sentences() -> None:
    for rule in RULES.values():
        assert rule.explanation.endswith((".", ".)")), rule
        assert not rule.title.endswith("."), rule
        assert not rule.remedy.endswith("."), rule
