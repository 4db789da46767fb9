"""Pictures from the clinic: DICOM and NIfTI files, in physical units, windowed, without identity."""

import warnings
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import nibabel
import numpy as np
import pydicom
from PIL import Image, ImageOps
from pydicom.errors import InvalidDicomError
from pydicom.multival import MultiValue
from pydicom.pixels import apply_color_lut, apply_modality_lut
from pydicom.uid import SecondaryCaptureImageStorage, generate_uid

from ..errors import MedkitError, explained, reason

# What may be shown or stored: how the picture was made, never of whom, where, when or by whom. Texts that people type
# (descriptions, comments) and private tags can hold a name, so they are not here. Compare DICOM PS3.15, annex E.
TECHNICAL = ("Modality", "Rows", "Columns", "NumberOfFrames", "SamplesPerPixel", "PhotometricInterpretation",
             "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "PixelSpacing", "ImagerPixelSpacing",
             "NominalScannedPixelSpacing", "PixelAspectRatio", "SliceThickness", "SpacingBetweenSlices", "RescaleSlope",
             "RescaleIntercept", "WindowCenter", "WindowWidth", "KVP", "XRayTubeCurrent", "ExposureTime", "RepetitionTime",
             "EchoTime", "FlipAngle", "MagneticFieldStrength", "BurnedInAnnotation", "LossyImageCompression")
SPACINGS = ("PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing", "PixelAspectRatio")  # height, then width
PALETTE = [f"{c}PaletteColorLookupTable{part}" for c in ("Red", "Green", "Blue") for part in ("Descriptor", "Data")]
# The only texts among them: a code that is not here may be a name in the wrong place, and is left out.
CODES = {"CT", "MR", "CR", "DX", "US", "XA", "NM", "PT", "MG", "OT", "RF", "XC", "ES", "OP", "SM", "YES", "NO", "00",
         "01", "MONOCHROME1", "MONOCHROME2", "RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT", "PALETTE COLOR"}
# Centre and width, HU (stored values of an MR or an X-ray have no unit, so they have no window of their own).
WINDOWS = {"lung": (-600, 1500), "soft tissue": (40, 400), "bone": (400, 1800), "brain": (40, 80)}


@dataclass(frozen=True)
class Picture:
    """A picture in physical units, and nothing that tells whose.

    Attributes
    ----------
    values : float32 array of shape (height, width), (height, width, 3), or (frames or slices, height, width)
        A CT is in HU if `facts` tell how its values were rescaled.
    window : (centre, width), or None
        As the file suggests.
    facts : dict
        The technical tags alone.
    """

    values: np.ndarray
    window: tuple | None
    facts: dict


def read_dicom(path):
    """Read a DICOM picture: rescaled to physical units, dark and bright the usual way round, identity left behind.

    Raises
    ------
    MedkitError
        If the file is not DICOM, is truncated, holds no picture, or is compressed in a way that cannot be opened here.
    """
    return read_tagged(path)[0]


def read_tagged(path, *names):
    """Read a DICOM picture as `read_dicom` does, and beside it the tags named, as `tag` gives them."""
    with quiet(f"{Path(path).name} cannot be read as DICOM"):
        dataset = pydicom.dcmread(path)
        tags = {name: text(dataset, name) for name in names}
    if "PixelData" not in dataset:
        raise MedkitError(f"{Path(path).name} is DICOM, but holds no picture.")
    kind, facts = dataset.get("PhotometricInterpretation", ""), technical(dataset)
    with quiet(f"The picture of {Path(path).name} is damaged, truncated, or compressed in a way that cannot be opened here (save "
               "it uncompressed, with gdcmconv --raw, say)"):
        values = rescaled(dataset, kind)
    view = window_of(facts)
    if kind == "MONOCHROME1":  # a high value is dark: turned round, and the window with it
        ends = float(values.max() + values.min())
        values, view = ends - values, view and (ends - view[0], view[1])
    return Picture(values, view, facts), tags


def tag(path, name):
    """Give a DICOM file's PatientID, say, "" where it has none: to tell patients apart, never to be shown or kept."""
    with quiet(f"{Path(path).name} cannot be read as DICOM"):
        return text(pydicom.dcmread(path, stop_before_pixels=True, specific_tags=[name]), name)


def text(dataset, name):
    """Give a tag as text, "" where there is none."""
    return str(dataset.get(name) or "").strip()


def rescaled(dataset, kind):
    """Give the pixels in physical units, or in colour from 0 to 255 where the file holds a palette."""
    if kind == "PALETTE COLOR":
        values = apply_color_lut(dataset.pixel_array, dataset)
        return 255 * values.astype(np.float32) / np.iinfo(values.dtype).max
    return np.asarray(apply_modality_lut(dataset.pixel_array, dataset), np.float32)


@contextmanager
def quiet(what):
    """Make any failure one clear error, and silence warnings, which may quote the patient's data."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except Exception as error:
        why = "it does not begin as a DICOM file does" if isinstance(error, InvalidDicomError) else reason(error).rstrip(":")
        raise MedkitError(f"{what}: {why}.") from None


def technical(dataset):
    """Keep the technical facts of a DICOM data set: {keyword: number, list of numbers, or a code of `CODES`}."""
    found = {name: plain(dataset[name].value) for name in TECHNICAL if name in dataset}
    return {name: value for name, value in found.items() if value is not None}


def plain(value):
    """Bring a DICOM value to a number, a known code, or a list of these; None if it is anything else."""
    if isinstance(value, (MultiValue, list, tuple)):
        values = [plain(v) for v in value]
        return None if None in values else values
    try:
        number = float(value)
    except (TypeError, ValueError):
        return str(value) if str(value) in CODES else None
    return str(value) if isinstance(value, str) and value in CODES else int(number) if number.is_integer() else number


def without_identity(dataset):
    """Copy a DICOM data set with technical tags, palette and pixels alone, to store or share.

    Text burnt into the pixels stays: look at the picture before you share it.

    Raises
    ------
    MedkitError
        If the file itself says that text is burnt in (BurnedInAnnotation).
    """
    if dataset.get("BurnedInAnnotation") == "YES":
        raise MedkitError("The file says that text is burnt into its picture. Cover it, set BurnedInAnnotation to NO, then share.")
    kept = pydicom.Dataset()
    for name in (*technical(dataset), *PALETTE, "PixelData", "PlanarConfiguration"):
        if name in dataset:
            kept[name] = dataset[name]
    kept.SOPClassUID, kept.SOPInstanceUID = dataset.get("SOPClassUID", SecondaryCaptureImageStorage), generate_uid()
    kept.PatientIdentityRemoved = "YES"
    kept.file_meta = pydicom.dataset.FileMetaDataset()
    kept.file_meta.TransferSyntaxUID = dataset.file_meta.TransferSyntaxUID
    kept.file_meta.MediaStorageSOPClassUID = kept.SOPClassUID
    kept.file_meta.MediaStorageSOPInstanceUID = kept.SOPInstanceUID
    return kept


def tall(facts):
    """Give how many times as high as wide a pixel is; 1 where no tag says so, or what it says cannot be."""
    pairs = (np.ravel(facts.get(name, [])) for name in SPACINGS)
    height, width = next((p for p in pairs if len(p) == 2 and p.min() > 0), (1, 1))
    return round(float(height / width), 2) if 0.1 <= height / width <= 10 else 1.0


def window_of(facts):
    """Give the first window that the file suggests (centre, width), or None."""
    centre, width = (np.ravel(facts.get(name, [])) for name in ("WindowCenter", "WindowWidth"))
    return (float(centre[0]), float(width[0])) if len(centre) and len(width) and width[0] >= 1 else None


def read_nifti(path):
    """Read a NIfTI picture: scaled values, axes turned to (depth, height, width) from the patient's orientation.

    Seen slice by slice (axis 0, from the feet up) it looks as radiologists look: front up, the patient's right at the
    left. `facts` tell the mm from voxel to voxel, in the order of the axes; the header's free texts are not kept.
    """
    with explained(f"{Path(path).name} cannot be read as NIfTI"):
        loaded = nibabel.squeeze_image(nibabel.load(path))  # (x, y, z, 1) is one volume
        if len(loaded.shape) != 3:
            raise MedkitError(f"{Path(path).name} should hold one volume; its shape is {loaded.shape}.")
        turned = nibabel.as_closest_canonical(loaded)  # axes to the right, the front and the top
        values = np.asarray(turned.dataobj, np.float32)
    spacing = [float(mm) for mm in turned.header.get_zooms()[::-1]]
    return Picture(values[::-1, ::-1].transpose(2, 1, 0), None, {"Modality": "NIfTI", "VoxelSpacing": spacing})


def window(values, centre, width):
    """Bring values to 8 bits by a window: what lies below is black, above is white.

    It is LINEAR_EXACT of DICOM PS3.3, C.11.2.1.3.2; LINEAR, the usual one, differs by half a value.

    Returns
    -------
    uint8 array of the same shape
    """
    if not width >= 1:
        raise MedkitError(f"A window's width should be at least 1; got {width}.")
    return grey(values, centre - width / 2, centre + width / 2)


def grey(values, low=None, high=None):
    """Bring `low` to black and `high` to white (not given: the 0.5th and 99.5th percentile), as uint8; NaN is black."""
    if low is None:
        there = values[np.isfinite(values)]
        low, high = np.percentile(there, (0.5, 99.5)) if len(there) else (0, 1)
    share = (np.asarray(values, np.float32) - low) / max(high - low, 1e-9)
    return np.round(255 * np.clip(np.nan_to_num(share), 0, 1)).astype(np.uint8)


def as_8_bit(picture):
    """Make a picture fit to look at: by its own window, or its 0.5th and 99.5th percentile."""
    values, view = picture.values, picture.window
    if values.ndim == 3 and values.shape[-1] == 3:
        return grey(values, 0, max(255, values.max()))
    return window(values, *view) if view else grey(values)


def resized(image, size):
    """Bring a uint8 image (height, width[, 3]) to (size, size[, 3]): padded to a square, not stretched."""
    if image.dtype != np.uint8 or image.ndim not in (2, 3):
        raise MedkitError(f"An image to resize should be uint8 with 2 or 3 axes; got {image.dtype}, {image.ndim} axes.")
    return np.asarray(ImageOps.pad(Image.fromarray(image), (size, size), Image.Resampling.BILINEAR))
