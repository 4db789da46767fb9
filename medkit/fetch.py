"""Download a data set's files from their official source, once, and know that they are right.

The cache is `$MEDKIT_DATA`, or the user's cache folder, in the layout
`<data set id>/<official file name>`. `$MEDKIT_MIRROR` is the address of a copy of the same
layout (a classroom's, say), which is asked first.
"""

import os
import shutil
import sys
from contextlib import ExitStack, contextmanager, suppress
from functools import cache
from pathlib import Path

import pooch
import requests
from pooch.hashes import hash_matches
from tqdm import tqdm

from .catalog import card
from .errors import MedkitError, unknown
from .files import explain, make_folder, written_whole

ATTEMPTS = 3
CHUNK = 1 << 14  # at most this much is lost when a connection breaks
used = {}  # every file that this process read: {"<data set>/<file>": "sha256:..."}


def root():
    """Give the folder that holds all data sets."""
    return Path(os.environ.get("MEDKIT_DATA") or pooch.os_cache("medkit")).expanduser()


def path(dataset, name, *, progress=True):
    """Give the local path of one file of a data set, downloaded and checked if need be.

    Parameters
    ----------
    dataset : str
        The data set's id in the catalog.
    name : str
        The official file name.

    Raises
    ------
    MedkitError
        If the file on disk is damaged, or is missing and cannot be downloaded.
    """
    local = root() / dataset / name
    if not local.exists():
        download(dataset, name, progress=progress)
    if status(dataset, name) == "altered":
        raise MedkitError(f"{local} is not the official file: its checksum differs (it is truncated, or was changed). It was left "
                          f"as it is. To replace it: medkit data get {dataset} --force")
    used[f"{dataset}/{name}"] = known_hash(dataset, name) or checksum(local)
    return local


def checksum(file):
    """Give a file's checksum as "sha256:..."."""
    return f"sha256:{pooch.file_hash(str(file))}"


def known_hash(dataset, name):
    """Give the official checksum of a file as "sha256:...", or "" where none is published."""
    facts = card(dataset)
    return facts.files.get(name) or ("" if name == facts.manifest else manifest(dataset).get(name, ""))


@cache
def manifest(dataset):
    """Read the publisher's own list of checksums: {file name: "sha256:..."}; empty where there is none, or none to be had."""
    listed = card(dataset).manifest
    try:
        text = path(dataset, listed, progress=False).read_text(encoding="utf-8") if listed else ""
    except MedkitError:
        return {}
    rows = (line.split(maxsplit=1) for line in text.splitlines() if line.strip())
    return {name.strip().lstrip("*"): f"sha256:{digest}" for digest, name in rows}


def names(dataset):
    """Give the official names of all files of a data set."""
    return list(card(dataset).files or manifest(dataset))


def status(dataset, name):
    """Say how a file of the cache is: "missing", "altered", "right" or "present" (no checksum known)."""
    local = root() / dataset / name
    if not local.exists():
        return "missing"
    expected = known_hash(dataset, name)
    return "present" if not expected else "right" if hash_matches(local, expected) else "altered"


def download(dataset, name, *, progress=True):
    """Download one file, check it, and only then put it in its place.

    A download that breaks off is kept as `<name>.part` and goes on from there next time. Of several processes one
    downloads, and the others wait for it.
    """
    local, expected, failures = root() / dataset / name, known_hash(dataset, name), []
    part = local.with_name(f"{local.name}.part")
    with alone(make_folder(local.parent)):
        if status(dataset, name) in ("right", "present"):
            return
        for url in addresses(dataset, name):
            try:
                fetch_part(url, part, progress)
                return accept(part, local, expected)
            except MedkitError:
                if url == card(dataset).url(name):
                    raise
                failures.append(f"{url} (its checksum differs)")
                print(f"The mirror's {name} is damaged; taking it from the official source.", file=sys.stderr)
            except requests.RequestException as error:
                failures.append(f"{url} ({reason(error)})")
            except OSError as error:
                part.unlink(missing_ok=True)
                raise explain(error, local) from None
    raise MedkitError(missing_text(dataset, name, local, failures))


@contextmanager
def alone(folder):
    """Let one process at a time into a folder, where the system can lock one."""
    with ExitStack() as held:
        with suppress(ImportError, OSError):  # Windows has no fcntl
            import fcntl

            handle = os.open(folder, os.O_RDONLY)
            held.callback(os.close, handle)
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def addresses(dataset, name):
    """Give the addresses of a file in the order in which they are tried: mirror, official source."""
    mirror = os.environ.get("MEDKIT_MIRROR", "").rstrip("/")
    copies = [f"{mirror}/{dataset}/{name}"] if mirror else []
    return [*copies, card(dataset).url(name)]


def fetch_part(url, part, progress):
    """Stream an address into `part`, from where `part` ends, over a few attempts."""
    for attempt in range(ATTEMPTS):
        try:
            return stream_into(url, part, progress)
        except (requests.ConnectionError, requests.exceptions.ChunkedEncodingError, requests.Timeout):
            if attempt == ATTEMPTS - 1:
                raise


def stream_into(url, part, progress):
    """Append what `part` still lacks; start again where the server cannot resume."""
    start = part.stat().st_size if part.exists() else 0
    with requests.get(url, headers={"Range": f"bytes={start}-"} if start else {}, stream=True, timeout=30) as reply:
        if reply.status_code == 416:  # nothing is left to send: the part is whole, or too long
            return
        reply.raise_for_status()
        start = start if reply.status_code == 206 else 0
        shown = {"total": int(reply.headers.get("Content-Length", 0)) + start or None, "initial": start, "desc": part.stem}
        with open(part, "ab" if start else "wb") as file, tqdm.wrapattr(file, "write", disable=not progress, **shown) as out:
            for chunk in reply.iter_content(CHUNK):
                out.write(chunk)


def accept(part, local, expected):
    """Rename a finished download to its place if its checksum is right; else remove it and say so."""
    if expected and not hash_matches(part, expected):
        size = part.stat().st_size
        part.unlink()
        raise MedkitError(f"The download of {local.name} ({size:,} bytes) is not the official file: its checksum differs "
                          "(truncated or altered on the way). It was thrown away, nothing else was touched. Try again; "
                          "if it goes on, the source or the mirror is damaged.")
    os.replace(part, local)


def reason(error):
    """Say in a few words why a download failed."""
    reply = getattr(error, "response", None)
    return f"the server answered {reply.status_code}" if reply is not None else f"no connection: {type(error).__name__}"


def missing_text(dataset, name, local, failures):
    """Say what is missing, where it comes from, and how to place it by hand."""
    expected = known_hash(dataset, name)
    return (f"The file '{name}' of the data set '{dataset}' is not on this machine and could not be downloaded. "
            f"Tried: {'; '.join(failures)}. Without a network: fetch {card(dataset).url(name)} on another machine and put it at "
            f"{local}{f' (checksum {expected})' if expected else ''}, or set MEDKIT_DATA to a folder that has "
            f"{dataset}/{name}.")


def get(dataset, name=None, *, force=False, progress=True):
    """Download the files of a data set (or the one named) that are missing; with `force`, altered ones too."""
    facts = card(dataset)
    if facts.manifest:
        path(dataset, facts.manifest, progress=False)  # without it no file is known by name
    known = names(dataset)
    if not known:
        where = f"comes with {facts.bundled}" if facts.bundled else "is made on this machine"
        raise MedkitError(f"The data set '{dataset}' {where}: there is nothing to download.")
    if name and name not in known:
        raise unknown(f"file of {dataset}", name, known)
    wanted = [name] if name else known
    for n in [n for n in wanted if force and status(dataset, n) == "altered"]:
        download(dataset, n, progress=progress)
    return [path(dataset, n, progress=progress) for n in wanted]


def verify(dataset):
    """Check every file of a data set in the cache: {file name: status}."""
    return {name: status(dataset, name) for name in names(dataset)}


def presence(dataset):
    """Say in a word whether a data set is on this machine, without reading its files."""
    facts = card(dataset)
    if not (facts.files or facts.manifest):
        return "built in"
    folder = root() / dataset
    here = [n for n in facts.files if (folder / n).exists()] if facts.files else list(folder.glob("*"))
    return "yes" if here and len(here) >= len(facts.files) else "in part" if here else "no"


def mirror(dataset, out):
    """Copy what is here of a data set, and is right, to `<out>/<data set id>/`; give the files' names.

    The layout is that of the cache, so `$MEDKIT_MIRROR` can name the address under which `out` is served.
    """
    listed = filter(None, [card(dataset).manifest, *names(dataset)])
    here = [name for name in listed if status(dataset, name) in ("right", "present")]
    for name in here:
        source, target = root() / dataset / name, Path(out) / dataset / name
        make_folder(target.parent)
        if not (target.exists() and target.stat().st_size == source.stat().st_size):
            with written_whole(target) as aside:
                shutil.copyfile(source, aside)
    return here
