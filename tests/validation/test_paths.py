"""Image paths: the schema's pattern, the fast check and the rules that explain it are one and the same."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from phidata.validation.paths import are_image_paths, is_image_path, path_fault

RIGHT = [
    "a",
    "a.jpg",
    "train/Dog/1.jpg",
    "a b/c.jpg",
    ".hidden",
    "a/.hidden",
    "..a",
    "a..",
    "...",
    "a/...",
    "1:2",
    "é/日本.png",
]
WRONG = {
    "": "PHI307",
    "/a": "PHI301",
    "//a": "PHI301",
    "..": "PHI302",
    "../a": "PHI302",
    "a/..": "PHI302",
    "a/../b": "PHI302",
    "a\\b": "PHI303",
    "C:": "PHI304",
    "c:/a": "PHI304",
    "http://a": "PHI305",
    "data:,": "PHI305",
    "a+b.c-d:e": "PHI305",
    "a\0": "PHI306",
    "a\n": "PHI306",
    "\x1fa": "PHI306",
    ".": "PHI307",
    "./a": "PHI307",
    "a/.": "PHI307",
    "a//b": "PHI307",
    "a/": "PHI307",
}

pieces = st.lists(st.sampled_from(["a", "B1", ".", "..", "/", "\\", ":", "\n", "\0", "\x7f", " ", "é", "-", "+", "|"]))


@pytest.mark.parametrize("path", RIGHT)
def test_a_relative_posix_path_is_right(path: str) -> None:
    assert is_image_path(path)


@pytest.mark.parametrize(("path", "code"), WRONG.items())
def test_any_other_path_breaks_one_rule(path: str, code: str) -> None:
    assert not is_image_path(path)
    assert path_fault(path)[0].code == code


@settings(max_examples=500, deadline=None)
@given(st.lists(pieces.map("".join), max_size=3))
@example(["a", ".b"])
@example(["a", "/b"])
@example(["", ""])
def test_many_paths_at_once_are_right_exactly_when_each_is(paths: list[str]) -> None:
    escaped = any(character in path for path in paths for character in "\\\n\0")
    assert are_image_paths(paths, escaped=escaped) == all(map(is_image_path, paths))


@settings(max_examples=500, deadline=None)
@given(pieces.map("".join))
def test_a_wrong_path_has_the_rule_whose_condition_it_meets(path: str) -> None:
    if not is_image_path(path):
        rule, message = path_fault(path)
        names = path.split("/")
        assert {
            "PHI301": path.startswith("/"),
            "PHI302": ".." in names,
            "PHI303": "\\" in path,
            "PHI304": path[1:2] == ":",
            "PHI305": ":" in path,
            "PHI306": any(character < " " for character in path),
            "PHI307": "" in names or "." in names,
        }[rule.code]
        assert message.isprintable()
