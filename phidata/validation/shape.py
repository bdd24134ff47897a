"""The shape of a row: jsonschema judges it by the schema, and its verdicts become faults with a place."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import get_close_matches
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from phidata.diagnostics import Rule, row_rules
from phidata.diagnostics.excerpt import quoted
from phidata.schema import conversation_schema, turn_schema
from phidata.validation.paths import path_fault
from phidata.validation.scan import Fault, Path, Scan, Span

if TYPE_CHECKING:
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import ValidationError

_NOUNS = {"string": "a string", "array": "a list", "object": "an object"}


def shape_faults(scan: Scan) -> list[Fault]:
    """What jsonschema has against a row that could be read to its end."""
    faults = (fault for error in _validator().iter_errors(scan.value) for fault in _faults(error, scan))
    return list(dict.fromkeys(faults))  # jsonschema has an error for each missing key, and each gives all of them


@lru_cache(maxsize=1)
def _validator() -> Draft202012Validator:
    from jsonschema import Draft202012Validator

    return Draft202012Validator(conversation_schema())


def _faults(error: ValidationError, scan: Scan) -> Iterator[Fault]:
    path: Path = tuple(error.absolute_path)
    span = scan.spans[path]
    name = _name(path)
    value: Any = error.instance
    expected: Any = error.validator_value
    schema: Any = error.schema
    match error.validator:
        case "type":
            yield _fault(path, span, row_rules.WRONG_TYPE, *_wrong_type(expected, value, name))
        case "required":
            for key in expected:
                if key not in value:
                    help = 'a turn without images has "images": []' if key == "images" else f"add `{key}`"
                    opening = (span[0], span[0] + 1)
                    yield _fault(path, opening, row_rules.MISSING_KEY, f"{name} has no `{key}`", help)
        case "additionalProperties":
            known = schema["properties"]
            for key in value:
                if key not in known:
                    member = (*path, key)
                    message = f"{name} has the unknown key {quoted(key)}"
                    help = _known_key(key, list(known))
                    yield _fault(member, scan.keys[member], row_rules.UNKNOWN_KEY, message, help)
        case "minItems":
            yield _fault(path, span, row_rules.EMPTY_LIST, f"{name} is an empty list")
        case "minLength":
            rule = row_rules.BLANK_TEXT if path[-1] in ("user", "assistant") else row_rules.EMPTY_STRING
            yield _fault(path, span, rule, f"{name} is empty")
        case "pattern":
            yield _fault(path, span, *path_fault(value))
        case keyword:
            raise AssertionError(f"the schema uses {keyword}, which has no rule")


def _fault(path: Path, span: Span, rule: Rule, message: str, help: str = "") -> Fault:
    return Fault(rule=rule, start=span[0], end=span[1], path=path, message=message, help=help)


def _name(path: Path) -> str:
    """The value as a message names it: by its nearest key, as `images[2]`."""
    keys = [number for number, part in enumerate(path) if isinstance(part, str)]
    if not keys:
        return "the row"
    key, *indices = path[keys[-1] :]
    return f"`{key}{''.join(f'[{index}]' for index in indices)}`"


def _wrong_type(types: str | list[str], value: Any, name: str) -> tuple[str, str]:
    """Message and help for a value of the wrong type; optional values may also be null."""
    wanted = types if isinstance(types, str) else types[0]
    match wanted, value:
        case "string", bool() | int() | float():
            help = "put it in double quotes"
        case "array", str():
            help = "put it in square brackets: a list with one entry"
        case "object", list() if name == "the row":
            help = "write each entry of the list on a line of its own"
        case _:
            help = f"write {_NOUNS[wanted]}"
    return f"{name} has to be {_NOUNS[wanted]}, found {_described(value)}", help


def _described(value: Any) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case int() | float():
            return f"the number {str(value)[:20]}"
        case str():
            return f"the string {quoted(value, 30)}"
        case list():
            return "a list"
        case _:
            return "an object"


def _known_key(key: str, known: list[str]) -> str:
    if near := get_close_matches(key.casefold(), known, n=1):
        return f"did you mean `{near[0]}`?"
    elsewhere = {"a turn": turn_schema()["properties"], "the row": conversation_schema()["properties"]}
    for owner, keys in elsewhere.items():
        if key in keys:
            return f"`{key}` belongs into {owner}"
    return f"the keys here are {', '.join(f'`{name}`' for name in known)}"
