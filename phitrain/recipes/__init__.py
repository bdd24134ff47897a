"""Recipes: what the published tables and scripts trained with, as TOML files, and those of a user's own."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from phidata.errors import UsageError
from phitrain.config import Values, nearest

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ABOUT = ("base", "title", "published")  # what a recipe file says beside the configuration


@dataclass(frozen=True, kw_only=True)
class Published:
    """The score that a recipe aims at: its metric, its value in percent, and the table row that gives it."""

    metric: str
    score: float
    source: str


@dataclass(frozen=True, kw_only=True)
class RecipeInfo:
    """What a recipe says about itself. `published` is None where no score was published."""

    name: str
    title: str
    published: Published | None


def read_recipe(name_or_path: str) -> Values:
    """The values of a recipe that ships with the package (by name), or of a TOML file (by path).

    A recipe may start with `base`: the name of a shipped one, or the path of a file from its own folder on. The base's
    values come first, the recipe's replace them. Raises UsageError for a recipe that is not there, is not TOML, or is
    its own base.
    """
    values: Values = {}
    for document in reversed(list(_chain(name_or_path))):
        for section, given in document.items():
            if section in ABOUT:
                continue
            if isinstance(given, dict):
                values[section] = {**values.get(section, {}), **given}
            else:
                values[section] = given  # not a section, which the configuration refuses
    return values


def recipe_info(name_or_path: str) -> RecipeInfo:
    """Title and published score of a recipe, which it does not take over from its base."""
    document = _read(name_or_path)
    published = document.get("published")
    return RecipeInfo(
        name=name_or_path,
        title=str(document.get("title", "")),
        published=None if published is None else _published(published, _where(name_or_path)),
    )


def recipes() -> list[str]:
    """The names of the recipes that ship with the package; a file whose name begins with `_` is a base alone."""
    names = [file.name[:-5] for file in files(__name__).iterdir() if file.name.endswith(".toml")]
    return sorted(name for name in names if not name.startswith("_"))


def recipe_lines() -> list[str]:
    """The shipped recipes for people, one a line: name, title, and the published score."""
    infos = [recipe_info(name) for name in recipes()]
    name_width, title_width = max(len(info.name) for info in infos), max(len(info.title) for info in infos)
    return [f"{info.name:{name_width}}  {info.title:{title_width}}  {_score(info)}".rstrip() for info in infos]


def _score(info: RecipeInfo) -> str:
    return f"{info.published.metric} {info.published.score}" if info.published else "no score published"


def _published(found: Any, where: str) -> Published:
    known = {"metric": str, "score": float, "source": str}
    if not isinstance(found, dict) or set(found) != set(known):
        raise UsageError(f"[published] in {where} must have {', '.join(known)}; found {found!r}")
    for name, kind in known.items():
        if not isinstance(found[name], kind):
            raise UsageError(f"published.{name} in {where} must be of type {kind.__name__}, found {found[name]!r}")
    return Published(**found)


def _chain(name_or_path: str) -> Iterator[dict[str, Any]]:
    """The documents of a recipe, of its base, and so on."""
    passed: list[str] = []
    found: str | None = name_or_path
    while found is not None:
        place = str(Path(found).resolve()) if _is_path(found) else found
        if place in passed:
            raise UsageError(f"{_where(found)} is its own base ({' → '.join([*passed, place])}); change one `base`")
        passed.append(place)
        document = _read(found)
        yield document
        found = _base(found, document)


def _base(name_or_path: str, document: dict[str, Any]) -> str | None:
    base = document.get("base")
    if base is None:
        return None
    if not isinstance(base, str):
        raise UsageError(f"base in {_where(name_or_path)} must be a recipe's name or the path of one, found {base!r}")
    return str(Path(name_or_path).parent / base) if _is_path(base) and _is_path(name_or_path) else base


def _read(name_or_path: str) -> dict[str, Any]:
    if _is_path(name_or_path):
        path = Path(name_or_path)
        if not path.is_file():
            raise UsageError(f"no recipe file {path}; give the path of a TOML file, or a name of `phitrain recipes`")
        content = path.read_bytes()
    else:
        file = files(__name__).joinpath(f"{name_or_path}.toml")
        if "/" in name_or_path or not file.is_file():
            hint = nearest(name_or_path, recipes())
            raise UsageError(
                f"no recipe {name_or_path!r}{hint}; `phitrain recipes` lists them, or give the path of a .toml file"
            )
        content = file.read_bytes()
    try:
        return tomllib.loads(content.decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{_where(name_or_path)} is not TOML: {error}") from error


def _is_path(name_or_path: str) -> bool:
    return name_or_path.endswith(".toml")


def _where(name_or_path: str) -> str:
    return name_or_path if _is_path(name_or_path) else f"recipe {name_or_path}"
