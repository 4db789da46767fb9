"""Working copies of notebooks, so that an update never meets a learner's edits."""

import shutil
import sys
from pathlib import Path

from . import progress
from .errors import MedkitError
from .files import make_folder, written_whole


def copy_new(source, target):
    """Copy the notebooks that the target folder does not have yet; leave the others, and the progress, as they are."""
    target = make_folder(target)
    progress.begin(target)
    fresh = [n for n in sorted(Path(source).glob("*.ipynb")) if not (target / n.name).exists()]
    for notebook in fresh:
        with written_whole(target / notebook.name) as aside:
            shutil.copyfile(notebook, aside)
    return fresh


if __name__ == "__main__":
    try:
        copied = copy_new(*sys.argv[1:3])
    except MedkitError as error:
        sys.exit(f"medkit: {error} For working copies: make lab NOTEBOOKS=FOLDER")
    print(f"{len(copied)} new notebooks in {sys.argv[2]}/; yours are left as they are. "
          "To start one anew, delete or rename your copy.")
