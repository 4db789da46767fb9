"""Images from a MedMNIST file and from a user's folder, good and bad."""

import os
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from medkit import catalog
from medkit.datasets import images, own
from medkit.datasets.folder import read_image
from medkit.errors import MedkitError


def draw(path, value=128, size=(40, 40), mode="L"):
    path.parent.mkdir(parents=True, exist_ok=True)
    shape = size[::-1] + ((3,) if mode == "RGB" else ())
    noise = np.random.default_rng(abs(hash(path.name)) % 2**32).integers(0, 40, shape)
    top = 65535 // 255 if mode == "I;16" else 1
    array = ((noise + value) * top).astype(np.uint16 if mode == "I;16" else np.uint8)
    Image.fromarray(array).save(path)


@pytest.fixture
def folder(tmp_path):
    for k in range(20):
        draw(tmp_path / "xrays" / "ill" / f"{k}.png", 200)
        draw(tmp_path / "xrays" / "well" / f"{k}.png", 50)
    return tmp_path / "xrays"


def labelled(folder, rows, columns="file,label"):
    (folder / "labels.csv").write_text(columns + "\n" + "\n".join(rows) + "\n")
    return folder


def every(folder, extra=lambda k: ""):
    return [f"{c}/{k}.png,{c}{extra(k)}" for c in ("ill", "well") for k in range(20)]


def test_medmnist_by_name(tiny_set):
    data = images.load("tinymnist")
    assert data.X["train"].shape == (40, 28, 28, 1) and data.X["train"].dtype == np.uint8
    assert data.classes == ["dark", "bright"] and data.channels == 1
    assert data.counts().loc["bright", "test"] == 6
    assert set(data.y["train"][data.take("train", 2)]) == {0, 1}
    with pytest.raises(MedkitError, match="28, 64, 128, 224"):
        images.load("tinymnist", size=100)


def test_the_real_pneumoniamnist():
    if not os.environ.get("MEDKIT_DATA"):
        pytest.skip("set MEDKIT_DATA to a folder that has pneumoniamnist/pneumoniamnist.npz")
    data = images.load("pneumoniamnist")
    assert {part: len(y) for part, y in data.y.items()} == {"train": 4708, "valid": 524, "test": 624}
    assert data.classes == ["normal", "pneumonia"] and 0.73 < data.y["train"].mean() < 0.75


def test_class_folders(folder):
    data = images.load(folder, size=32)
    assert data.classes == ["well", "ill"] and data.X["train"].shape[1:] == (32, 32, 1)
    assert sum(len(y) for y in data.y.values()) == 40
    assert any("patient" in note for note in data.notes)
    again = images.load(folder, size=32)
    assert all((again.y[p] == data.y[p]).all() for p in data.y)


def test_of_two_classes_the_ill_are_number_1(folder):
    data = images.load(folder, size=16)  # "ill" comes first in the alphabet
    for part, codes in data.y.items():
        assert [name.startswith("ill") for name in data.files[part]] == codes.tolist()
        assert ((data.X[part].mean(axis=(1, 2, 3)) > 128) == codes).all()
    assert any("To be found: ill against well" in note for note in data.notes)
    (folder / "schema.toml").write_text('positive = "well"')
    assert images.load(folder, size=16).classes == ["ill", "well"]
    (folder / "schema.toml").write_text('positive = "wel"')
    with pytest.raises(MedkitError, match="no value of label 'wel'. Did you mean 'well'"):
        images.load(folder, size=16)


def test_a_medmnist_set_whose_first_class_is_the_illness(tiny_set, monkeypatch):
    plain = images.load("tinymnist")
    monkeypatch.setitem(catalog.cards(), "tinymnist", replace(catalog.card("tinymnist"), labels={
        "0": "malignant", "1": "normal, benign"}))  # as BreastMNIST has them
    data = images.load("tinymnist")
    assert data.classes == ["normal, benign", "malignant"] and (data.y["test"] == 1 - plain.y["test"]).all()


def test_patients_of_a_labels_file_stay_on_one_side(folder):
    data = images.load(labelled(folder, every(folder, lambda k: f",p{k // 2}"), "file,label,patient"), size=16)
    sides = [set(p) for p in data.patients.values()]
    assert not (sides[0] & sides[1] or sides[0] & sides[2] or sides[1] & sides[2])


def test_a_labels_file_that_windows_wrote(folder):
    rows = [row.replace("/", "\\") for row in every(folder)]
    data = images.load(labelled(folder, rows), size=16)
    assert all(name.startswith(("ill/", "well/")) for names in data.files.values() for name in names)


def test_a_split_column_is_followed_and_checked(folder):
    def part(k):
        return ["train", "valid", "test"][k % 3]

    data = images.load(labelled(folder, every(folder, lambda k: "," + part(k)), "file,label,split"), size=16)
    assert len(data.y["train"]) == 14
    labelled(folder, every(folder, lambda k: f",{part(k)},p"), "file,label,split,patient")
    with pytest.raises(MedkitError, match="more than one split"):
        images.load(folder)
    labelled(folder, every(folder, lambda k: ",training" if k == 3 else "," + part(k)), "file,label,split")
    with pytest.raises(MedkitError, match="row 4: There is no split 'training'. Did you mean 'train'"):
        images.load(folder)


@pytest.mark.parametrize("mode", ["L", "RGB", "I;16"])
def test_grey_colour_and_16_bit_images(tmp_path, mode):
    for k in range(12):
        draw(tmp_path / "a" / f"{k}.png", 20, mode=mode)
        draw(tmp_path / "b" / f"{k}.png", 200, mode=mode)
    data = images.load(tmp_path, size=28)
    assert data.X["train"].shape[1:] == (28, 28, 3 if mode == "RGB" else 1)
    assert data.X["train"].max() > 200 or mode != "I;16"


def test_mixed_sizes_are_padded_not_stretched_and_said(folder):
    Image.fromarray(np.full((20, 80), 255, np.uint8)).save(folder / "ill" / "wide.png")
    data = images.load(folder, size=40)
    assert any("2 sizes" in note for note in data.notes)
    wide = next(x for part in data.X.values() for x in part if x[20, 20, 0] == 255 and x[2, 20, 0] == 0)
    assert wide[20].min() == 255 and wide[35].max() == 0


def test_a_photo_is_read_upright_and_so_are_its_sides(folder):
    exif = Image.Exif()
    exif[0x0112] = 6  # lies on its side: to be turned by 90 degrees
    Image.fromarray(np.repeat(np.uint8([[255], [0]]), [10, 70], axis=0).repeat(40, axis=1)).save(folder / "ill" / "turned.png", exif=exif)
    assert own.size_of(folder / "ill" / "turned.png") == (80, 40, 1)
    heads = []
    found = read_image(folder / "ill" / "turned.png", 80, heads)
    assert (heads[0]["width"], heads[0]["height"]) == (80, 40) and found[40, 75, 0] == 255 and found[40, 5, 0] == 0  # the bright edge goes to the right


def test_files_that_are_no_images_are_left_out_and_counted(folder):
    (folder / "ill" / "._1.png").write_bytes(b"what macOS leaves on foreign disks")
    assert not any("left out" in note for note in images.load(folder, size=16).notes)
    (folder / "ill" / "more.webp").write_bytes(b"")
    data = images.load(folder, size=16)
    assert "1 files of other kinds were left out." in data.notes and sum(map(len, data.y.values())) == 40


def corrupt(folder):
    (folder / "ill" / "3.png").write_bytes(b"\x89PNG not really")


def cut_short(folder):
    body = (folder / "ill" / "4.png").read_bytes()
    (folder / "ill" / "4.png").write_bytes(body[:len(body) // 2])


def empty_class(folder):
    (folder / "maybe").mkdir()


def unknown_name(folder):
    labelled(folder, ["ill/99.png,ill", "well/1.png,well"])


def duplicate(folder):
    labelled(folder, ["ill/1.png,ill", "well/1.png,well", "ill/1.png,well"])


def no_label(folder):
    labelled(folder, ["ill/1.png,", "well/1.png,well"])


def wrong_column(folder):
    labelled(folder, ["ill/1.png,ill"], "name,label")


def one_class(folder):
    labelled(folder, [f"ill/{k}.png,ill" for k in range(20)])


def volume(folder):
    (folder / "ill" / "a.nii.gz").write_bytes(b"")
    labelled(folder, ["ill/1.png,ill", "ill/a.nii.gz,ill"])


def no_ending(folder):
    (folder / "maybe").mkdir()
    (folder / "maybe" / "IM0001").write_bytes(b"")


def several_pages(folder):
    page = Image.fromarray(np.zeros((40, 40), np.uint8))
    page.save(folder / "ill" / "stack.tif", save_all=True, append_images=[page, page])


def too_few(folder):
    labelled(folder, ["ill/1.png,ill"] + [f"well/{k}.png,well" for k in range(20)])


@pytest.mark.parametrize("spoil, message", [
    (corrupt, "3.png is damaged"), (cut_short, "4.png is damaged"), (empty_class, "No image in the class folder .*maybe"),
    (unknown_name, "row 1: there is no file 'ill/99.png'"), (duplicate, "row 3: 'ill/1.png' is named twice"),
    (no_label, "row 1: the column 'label' is empty"), (wrong_column, "no column 'file'"), (one_class, "one value only"),
    (volume, "row 2: 'ill/a.nii.gz' is a NIfTI volume"), (no_ending, "must end in .dcm"), (several_pages, "stack.tif holds 3 pictures"),
    (too_few, "part has no 'ill'")], ids=lambda v: getattr(v, "__name__", ""))
def test_a_bad_folder_is_refused_with_one_clear_message(folder, spoil, message):
    spoil(folder)
    with pytest.raises(MedkitError, match=message):
        images.load(folder)


def test_neither_name_nor_folder():
    with pytest.raises(MedkitError, match="Did you mean 'pneumoniamnist'"):
        images.load("pneumonia_mnist")
    with pytest.raises(MedkitError, match="is not a folder of images"):
        images.load("no/such/folder")
    with pytest.raises(MedkitError, match="no image data set|There is no image data set"):
        images.load("mitdb")
