"""The configuration, with what differs from the defaults marked, and where the run ran."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from phitrain.config import Config
from phitrain.page.markup import Html, data, el, joined


def settings(config: Mapping[str, Mapping[str, Any]]) -> Html:
    """A table a section. A value that is not the default is marked, and the default stands beside it."""
    defaults = json.loads(json.dumps(Config().as_dict()))
    given = json.loads(json.dumps(config))
    tables = [_section(name, values, defaults.get(name, {})) for name, values in given.items()]
    return el("div", "settings", *tables)


def pairs(named: Mapping[str, Any]) -> Html:
    """Names and values, in two columns."""
    rows = [el("tr", "", data("th", "", name), data("td", "", _shown(value))) for name, value in named.items()]
    return el("div", "settings", el("table", "", *rows))


def _section(name: str, values: Mapping[str, Any], defaults: Mapping[str, Any]) -> Html:
    rows = []
    for field, value in values.items():
        is_default = field in defaults and defaults[field] == value
        beside = el("span", "default", f" default {_shown(defaults[field])}") if field in defaults else Html()
        cell = el("td", "", joined(data("span", "", _shown(value)), Html() if is_default else beside))
        rows.append(el("tr", "" if is_default else "changed", data("th", "", field), cell))
    return el("table", "", data("caption", "", name), *rows)


def _shown(value: Any) -> str:
    if value is None or value in ("", []):
        return "–"
    if isinstance(value, list):
        return ", ".join(map(_shown, value))
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
