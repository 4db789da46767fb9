"""Downloads: checked, resumed, mirrored, and honest when they fail. The server is on this machine."""

import errno
import os
import shutil
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from medkit import fetch, files
from medkit.errors import MedkitError

NAME = "tinymnist.npz"


def cached():
    return fetch.root() / "tinymnist" / NAME


def get():
    return fetch.path("tinymnist", NAME, progress=False)


def test_a_file_is_downloaded_once(tiny_set, server):
    assert get() == cached() and get().read_bytes() == (server.site / NAME).read_bytes()
    assert len(server.asked) == 1
    assert fetch.verify("tinymnist") == {NAME: "right"}
    assert fetch.used["tinymnist/" + NAME] == tiny_set.files[NAME]


def test_a_download_that_breaks_off_is_resumed(tiny_set, server):
    server.break_at = [40_000]
    get()
    assert server.asked == [(f"/{NAME}", None), (f"/{NAME}", f"bytes={40_000 // fetch.CHUNK * fetch.CHUNK}-")]
    assert fetch.verify("tinymnist") == {NAME: "right"}


def test_a_killed_download_goes_on_in_the_next_run(tiny_set, server):
    cached().parent.mkdir(parents=True)
    part = cached().with_name(NAME + ".part")
    part.write_bytes((server.site / NAME).read_bytes()[:500])
    get()
    assert server.asked == [(f"/{NAME}", "bytes=500-")] and not part.exists()


def test_of_several_processes_one_downloads_and_the_others_wait(tiny_set, server, monkeypatch):
    into = fetch.stream_into
    monkeypatch.setattr(fetch, "stream_into", lambda *a: (time.sleep(0.3), into(*a)))
    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(lambda _: get(), range(4))) == {cached()}
    assert len(server.asked) == 1 and list(cached().parent.iterdir()) == [cached()]


def test_an_address_that_is_none_is_not_called_a_lost_connection(tiny_set, server, monkeypatch):
    monkeypatch.setenv("MEDKIT_MIRROR", "no-scheme/data")
    (server.site / NAME).unlink()
    with pytest.raises(MedkitError, match="no-scheme/data/tinymnist/tinymnist.npz .*MissingSchema"):
        get()


def test_a_file_where_a_folder_should_be_is_told(tmp_path):
    (tmp_path / "a").write_text("")
    with pytest.raises(MedkitError, match="a file of that name is in the way"):
        files.write_text(tmp_path / "a" / "b.txt", "text")


@pytest.mark.parametrize("damage", [lambda b: b[:-10], lambda b: b[:-1] + b"x"], ids=["truncated", "altered"])
def test_a_damaged_source_is_refused(tiny_set, server, damage):
    body = (server.site / NAME).read_bytes()
    (server.site / NAME).write_bytes(damage(body))
    with pytest.raises(MedkitError, match="not the official file.*checksum"):
        get()
    assert list(cached().parent.iterdir()) == []


def test_a_damaged_file_on_disk_is_named_and_kept(tiny_set, server):
    cached().parent.mkdir(parents=True)
    cached().write_bytes(b"something of the user's")
    with pytest.raises(MedkitError, match="--force"):
        get()
    assert cached().read_bytes() == b"something of the user's" and server.asked == []
    fetch.get("tinymnist", force=True, progress=False)
    assert fetch.verify("tinymnist") == {NAME: "right"}


def test_a_failed_forced_download_keeps_what_was_there(tiny_set, server):
    cached().parent.mkdir(parents=True)
    cached().write_bytes(b"old")
    (server.site / NAME).unlink()
    with pytest.raises(MedkitError, match="could not be downloaded"):
        fetch.get("tinymnist", force=True, progress=False)
    assert cached().read_bytes() == b"old"


def test_the_mirror_is_asked_first_and_the_source_second(tiny_set, server, monkeypatch):
    (server.site / "mirror" / "tinymnist").mkdir(parents=True)
    monkeypatch.setenv("MEDKIT_MIRROR", f"{server.url}/mirror/")
    get()
    shutil.copy(server.site / NAME, server.site / "mirror" / "tinymnist" / NAME)
    cached().unlink()
    get()
    mirror = f"/mirror/tinymnist/{NAME}"
    assert [path for path, _ in server.asked] == [mirror, f"/{NAME}", mirror]


def test_a_damaged_file_of_the_mirror_is_taken_from_the_source(tiny_set, server, monkeypatch, capsys):
    (server.site / "mirror" / "tinymnist").mkdir(parents=True)
    (server.site / "mirror" / "tinymnist" / NAME).write_bytes(b"damaged")
    monkeypatch.setenv("MEDKIT_MIRROR", f"{server.url}/mirror")
    get()
    assert fetch.verify("tinymnist") == {NAME: "right"} and capsys.readouterr().err.count("mirror's tinymnist.npz is damaged") == 1
    cached().unlink()
    (server.site / NAME).unlink()
    with pytest.raises(MedkitError, match="mirror/tinymnist/tinymnist.npz .its checksum differs.*answered 404"):
        get()


def test_offline_the_message_says_what_is_missing_from_where_and_how_to_place_it(tiny_set, server, monkeypatch):
    server.shutdown()
    server.server_close()
    with pytest.raises(MedkitError) as error:
        get()
    for part in (NAME, tiny_set.url(NAME), str(cached()), tiny_set.files[NAME], "MEDKIT_DATA", "no connection"):
        assert part in str(error.value)


def test_a_full_disk_is_named_and_leaves_nothing(tiny_set, monkeypatch):
    if not os.path.exists("/dev/full"):
        pytest.skip("this system has no /dev/full")
    cached().parent.mkdir(parents=True)
    cached().with_name(NAME + ".part").symlink_to("/dev/full")
    with pytest.raises(MedkitError, match="full"):
        get()
    assert list(cached().parent.iterdir()) == []


def test_no_permission_is_named(tiny_set, monkeypatch):
    def refuse(*args, **kwargs):
        raise OSError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("medkit.files.tempfile.TemporaryFile", refuse)
    with pytest.raises(MedkitError, match="No permission to write .*tinymnist"):
        get()


def test_unknown_names_get_the_nearest_known_one(tiny_set):
    with pytest.raises(MedkitError, match="Did you mean 'pneumoniamnist'"):
        fetch.names("pneumonia-mnist")
    with pytest.raises(MedkitError, match="Did you mean 'tinymnist.npz'"):
        fetch.get("tinymnist", "tinymnist.np")
    with pytest.raises(MedkitError, match="comes with scikit-learn"):
        fetch.get("wisconsin-breast-cancer")


def test_a_publishers_manifest_gives_the_checksums(tiny_set, server, monkeypatch):
    import hashlib
    from dataclasses import replace

    from medkit import catalog

    digest = hashlib.sha256((server.site / NAME).read_bytes()).hexdigest()
    (server.site / "SHA256SUMS.txt").write_text(f"{digest} {NAME}\n")
    known = {"tinymnist": replace(tiny_set, files={}, manifest="SHA256SUMS.txt")}
    monkeypatch.setattr(catalog, "cards", lambda: known)
    fetch.get("tinymnist", progress=False)
    assert fetch.verify("tinymnist") == {NAME: "right"}
    cached().write_bytes(b"altered")
    assert fetch.verify("tinymnist") == {NAME: "altered"}
    (cached().parent / "SHA256SUMS.txt").unlink()
    (server.site / "SHA256SUMS.txt").unlink()
    fetch.manifest.cache_clear()
    with pytest.raises(MedkitError, match="'SHA256SUMS.txt' .* could not be downloaded. Tried: http.*answered 404"):
        fetch.get("tinymnist", progress=False)
