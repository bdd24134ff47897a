"""`make audit`: the licences of what this project depends on, and what is known against the installed versions.

A warning, never a failure: the exit code is 0 whatever is found, also where the advisories can not be had.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement

PROJECT = "phidata-vision"
EXTRAS = ("", "train")
SHARE_ALIKE = re.compile(r"\b(?:A?GPL|GNU (?:Affero )?General Public)", re.IGNORECASE)  # not the LGPL
AUDIT_S = 120


def dependencies() -> dict[str, Distribution]:
    """Everything that an installation with `train` brings along, by its name."""
    found: dict[str, Distribution] = {}
    waiting = [(PROJECT, EXTRAS)]
    while waiting:
        name, extras = waiting.pop()
        for requirement in requirements(name, extras):
            key = requirement.name.lower().replace("_", "-")
            if key in found:
                continue
            try:
                found[key] = distribution(requirement.name)
            except PackageNotFoundError:
                continue  # of another platform, or optional
            waiting.append((requirement.name, ("", *requirement.extras)))
    return dict(sorted(found.items()))


def requirements(name: str, extras: tuple[str, ...]) -> Iterator[Requirement]:
    """What a distribution asks for here, with these extras."""
    for text in distribution(name).requires or []:
        requirement = Requirement(text)
        if requirement.marker is None or any(requirement.marker.evaluate({"extra": extra}) for extra in extras):
            yield requirement


def licence(found: Distribution) -> str:
    """What a distribution says of its licence, on one line."""
    said = found.metadata.get("License-Expression") or ""
    named = [text.rpartition(" :: ")[2] for text in found.metadata.get_all("Classifier") or [] if "License ::" in text]
    text = said or ", ".join(named) or (found.metadata.get("License") or "").strip().partition("\n")[0]
    return text[:60] or "not said"


def advisories(folder: str) -> str:
    """What is known against the installed versions, as pip-audit tells it, or why that is not known."""
    command = [sys.executable, "-m", "pip_audit", "--local", "--progress-spinner", "off", "--format", "json"]
    environment = {**os.environ, "PYTHONPATH": folder}
    try:
        ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=AUDIT_S)
        listed = json.loads(ended.stdout)["dependencies"]
    except (subprocess.TimeoutExpired, ValueError, KeyError):
        return "pip-audit could not reach its service; nothing was audited"
    audited = [package for package in listed if "skip_reason" not in package]
    if not audited:
        return f"pip-audit's service knows none of {len(listed)} packages, or can not be reached; nothing was audited"
    faults = [
        f"  WARNING {package['name']} {package['version']}: {fault['id']}, mended in {', '.join(fault['fix_versions'])}"
        for package in audited
        for fault in package["vulns"]
    ]
    return "\n".join([f"{len(audited)} of {len(listed)} packages audited, {len(faults)} advisories", *faults])


def main() -> None:
    found = dependencies()
    for name, package in found.items():
        text = licence(package)
        mark = "  LOOK" if text == "not said" or SHARE_ALIKE.search(text) else ""
        sys.stdout.write(f"{name:<28} {package.version:<18} {text}{mark}\n")
    sys.stdout.write(f"{len(found)} dependencies\n")
    sys.stdout.write(advisories(str(Path(sys.argv[1]).resolve())) + "\n")


if __name__ == "__main__":
    main()
