"""Brain MRI: read from the archive and unpacked, split by person, with nothing that betrays the answer."""

import gzip
import io
import os
import tarfile

import nibabel
import numpy as np
import pytest

from medkit import fetch
from medkit.datasets import images, mri
from medkit.errors import MedkitError


def packed(values):
    return gzip.compress(nibabel.Nifti1Image(values, np.eye(4)).to_bytes())


@pytest.fixture
def brains(tmp_path, monkeypatch):
    """Forty people, both sides of each: every second has small hippocampi; crops of several sizes."""
    monkeypatch.setenv("MEDKIT_DATA", str(tmp_path))
    files, rng = {}, np.random.default_rng(0)
    for n in range(1, 81):
        shape, half = rng.integers(40, 50, 3), 6 if (n - 1) // 2 % 2 else 9
        mask = np.zeros(shape, np.uint8)
        mask[tuple(slice(s // 2 - half, s // 2 + half) for s in shape)] = 1 + n % 2
        files[f"labelsTr/hippocampus_{n:03d}.nii.gz"] = packed(mask)
        files[f"imagesTr/hippocampus_{n:03d}.nii.gz"] = packed((rng.normal(500, 9, shape) + 300 * (mask > 0)).astype(np.float32))
    return tmp_path / mri.NAME, files


def unpack(folder, files):
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)


def archive(folder, files, monkeypatch):
    folder.mkdir()
    with tarfile.open(folder / "Task04_Hippocampus.tar", "w") as tar:
        for name, content in files.items():
            for full in (f"Task04_Hippocampus/{name}", f"Task04_Hippocampus/{name.replace('hippo', '._hippo')}"):
                info = tarfile.TarInfo(full)
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
    monkeypatch.setattr(fetch, "known_hash", lambda dataset, name: "")


def test_both_sides_of_a_brain_are_in_one_part(brains):
    unpack(*brains)
    data = images.load("msd-hippocampus", 28)
    assert sum(map(len, data.y.values())) == 80 and data.X["train"].shape[1:] == (28, 28, 3)
    assert data.classes == ["not small", "small"] and abs(np.concatenate(list(data.y.values())).mean() - 0.5) < 0.01
    people = [set(p) for p in data.patients.values()]
    assert len(set.union(*people)) == 40 == sum(map(len, people))
    assert "both sides" in data.notes[0] and "1.00" in data.notes[0]


def test_the_archive_gives_what_its_unpacked_files_give(brains, monkeypatch):
    folder, files = brains
    unpack(folder, files)
    loose = mri.hippocampi(32)
    folder.rename(folder.with_name("elsewhere"))
    archive(folder, files, monkeypatch)
    for a, b in zip(loose, mri.hippocampi(32)):
        assert np.array_equal(a, b)


def test_the_front_is_red_and_the_top_is_above():
    box = np.zeros(mri.WINDOW, np.uint8)
    box[0, 26:, 20:] = 90  # at the left, in front, at the top
    shown = mri.thirds(box)
    assert shown.shape == (24, 30, 3) and shown[:4, -1, 0].tolist() == [90] * 4
    assert shown.sum() == 4 * 90  # nothing elsewhere


def test_a_damaged_crop_is_named(brains):
    folder, files = brains
    name = "imagesTr/hippocampus_007.nii.gz"
    unpack(folder, files | {name: files[name][:900]})
    with pytest.raises(MedkitError, match=name):
        images.load("msd-hippocampus")


def test_a_damaged_archive_is_named(brains, monkeypatch):
    folder, files = brains
    archive(folder, files, monkeypatch)
    path = folder / "Task04_Hippocampus.tar"
    path.write_bytes(path.read_bytes()[:300_000])
    with pytest.raises(MedkitError, match="Task04_Hippocampus.tar"):
        images.load("msd-hippocampus")


def test_a_missing_half_is_named(brains):
    folder, files = brains
    unpack(folder, {n: c for n, c in files.items() if n != "imagesTr/hippocampus_007.nii.gz"})
    with pytest.raises(MedkitError, match="hippocampus_007"):
        images.load("msd-hippocampus")


def test_the_real_hippocampi():
    if not os.environ.get("MEDKIT_DATA") or not (fetch.root() / mri.NAME).exists():
        pytest.skip("set MEDKIT_DATA to a folder that has msd-hippocampus")
    data = images.load("msd-hippocampus", 28)
    people = np.concatenate(list(data.patients.values()))
    assert len(people) == 260 and len(set(people)) == 170
    assert 0.2 < np.concatenate(list(data.y.values())).mean() < 0.35
