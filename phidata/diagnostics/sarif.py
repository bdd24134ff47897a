"""SARIF 2.1.0 (OASIS), which GitHub's code scanning and editors read: one run, one result for each finding."""

from __future__ import annotations

import json
from pathlib import PurePath
from typing import Any
from urllib.parse import quote

from phidata.diagnostics.catalogue import RULES
from phidata.diagnostics.record import Diagnostic
from phidata.diagnostics.rule import Rule

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
SARIF_END = "]}]}"

_FAILED = {"executionSuccessful": False}

_NUMBERS = {code: number for number, code in enumerate(RULES)}


def sarif_begin() -> str:
    """The log up to its first result; `SARIF_END` closes it."""
    from phidata import __version__

    driver = {"name": "phidata", "semanticVersion": __version__, "rules": [_rule(rule) for rule in RULES.values()]}
    run = {"tool": {"driver": driver}, "columnKind": "unicodeCodePoints"}
    log = {"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}
    return json.dumps(log, ensure_ascii=False)[:-3] + ', "results": ['


def sarif_failure(message: str) -> str:
    """What closes a log whose check could not go to its end, and says why."""
    notes = [{"level": "error", "message": {"text": message}}]
    return f'], "invocations": [{json.dumps(_FAILED | {"toolExecutionNotifications": notes}, ensure_ascii=False)}]}}]}}'


def sarif_result(found: Diagnostic) -> str:
    """One finding. `partialFingerprints` know it again when its line moves."""
    result: dict[str, Any] = {
        "ruleId": found.code,
        "ruleIndex": _NUMBERS[found.code],
        "level": found.severity,
        "message": {"text": f"{found.message}; {found.help}"},
        "locations": [_location(found)],
        "partialFingerprints": {"phidata/v1": found.fingerprint},
    }
    return json.dumps(result, ensure_ascii=False)


def _rule(rule: Rule) -> dict[str, Any]:
    return {
        "id": rule.code,
        "name": "".join(word.capitalize() for word in rule.name.split("-")),
        "shortDescription": {"text": rule.title},
        "fullDescription": {"text": rule.explanation},
        "help": {"text": rule.remedy},
        "defaultConfiguration": {"level": rule.severity},
    }


def _location(found: Diagnostic) -> dict[str, Any]:
    physical: dict[str, Any] = {"artifactLocation": {"uri": _uri(found.path)}}
    logical = {"fullyQualifiedName": found.pointer, "kind": "member"}
    if found.row is None:
        physical["region"] = {
            "startLine": found.line,
            "startColumn": found.column,
            "snippet": {"text": found.excerpt.text},
        }
    else:
        logical["fullyQualifiedName"] = f"row {found.row}{found.pointer}"
    return {"physicalLocation": physical, "logicalLocations": [logical]}


def _uri(path: str) -> str:
    """A path as a URI reference, relative where the path is."""
    plain = PurePath(path)
    text = quote(plain.as_posix().encode("utf-8", "surrogateescape"), safe="/")
    return f"file://{text}" if plain.is_absolute() else text
