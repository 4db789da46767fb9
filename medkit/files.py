"""Writing files so that a reader never meets half of one."""

import errno
import os
import tempfile
import tomllib
from contextlib import contextmanager, suppress
from pathlib import Path

from .errors import MedkitError


def explain(error, path):
    """Turn an `OSError` met at `path` into a `MedkitError` that says what to do."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return MedkitError(f"The disk that holds {path} is full: nothing was written. "
                           "Free some space, or choose another folder.")
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return MedkitError(f"No permission to write {path}. Choose a folder of your own: by --out for what is made, by "
                           "MEDKIT_DATA for data sets.")
    if error.errno in (errno.ENOTDIR, errno.EEXIST):
        return MedkitError(f"{path} cannot be made: a file of that name is in the way. Choose another folder.")
    return MedkitError(f"Cannot write {path}: {error.strerror or error}.")


def make_folder(path):
    """Make a folder with its parents, check that files can be written in it, and return it."""
    path = Path(path)
    try:
        path.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=path).close()
    except OSError as error:
        raise explain(error, path) from None
    return path


@contextmanager
def written_whole(path):
    """Give a temporary path beside `path`, and rename it to `path` if the block succeeds."""
    path = Path(path)
    aside = path.with_name(f".{os.getpid()}.part.{path.name}")
    try:
        yield aside
        os.replace(aside, path)
    except OSError as error:
        raise explain(error, path) from None
    finally:
        with suppress(OSError):  # gone already, or its folder is none
            aside.unlink()


def write_text(path, text):
    """Write a text file (UTF-8), whole or not at all."""
    with written_whole(path) as aside:
        aside.write_text(text, encoding="utf-8")


def read_toml(path):
    """Read a TOML file."""
    return tomllib.loads(path.read_text(encoding="utf-8"))
