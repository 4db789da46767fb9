"""Write constraints.txt: the exact versions that are installed here of all that medkit needs.

Run it in the environment in which `make test` has just passed: python benchmarks/pin.py
"""

import argparse
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = "medkit-notebooks"


def needed(name, extras, seen):
    """Add a distribution and all that it requires here to `seen`."""
    if (name, extras) in seen:
        return
    seen.add((name, extras))
    for line in metadata.requires(name) or []:
        wanted = Requirement(line)
        if not wanted.marker or any(wanted.marker.evaluate({"extra": e}) for e in (extras or {""})):
            try:
                needed(canonicalize_name(wanted.name), frozenset(wanted.extras), seen)
            except metadata.PackageNotFoundError:
                continue


def main():
    """Collect and write."""
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    seen = set()
    needed(ROOT, frozenset({"test", "cluster"}), seen)
    names = sorted({name for name, _ in seen} - {ROOT})
    lines = []
    for name in names:
        try:
            lines.append(f"{name}=={metadata.version(name)}")
        except metadata.PackageNotFoundError:
            continue
    head = "# The versions with which `make test` passed, on Python 3.11. Written by benchmarks/pin.py.\n"
    Path(__file__).parents[1].joinpath("constraints.txt").write_text(head + "\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
