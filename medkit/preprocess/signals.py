"""ECG and EEG: arrays X of shape (n, samples, channels), filtered without moving any wave in time.

Each is a function; scikit-learn's `FunctionTransformer(remove_hum, kw_args={"fs": 250})` makes it a step of a pipeline.
"""

from fractions import Fraction

import numpy as np
from scipy.signal import butter, iirnotch, resample_poly, sosfiltfilt, tf2sos

from ..errors import MedkitError


def checked(X, fs, highest=0):
    """Check shape, sampling rate and gaps; `highest` is the highest frequency that must be there, in Hz."""
    X = np.asarray(X)
    if X.ndim != 3:
        raise MedkitError(f"Signals have the shape (n, samples, channels); these have {X.ndim} axes.")
    if not np.isfinite(fs) or fs <= 0:
        raise MedkitError(f"The sampling rate should be a number above 0 Hz; got {fs}.")
    if highest >= fs / 2:
        raise MedkitError(f"At {fs:g} samples a second nothing above {fs / 2:g} Hz can be seen, so a filter at "
                          f"{highest:g} Hz makes no sense. Is the sampling rate right?")
    gaps = np.flatnonzero(~np.isfinite(X).all(axis=(1, 2)))
    if len(gaps):
        raise MedkitError(f"Signal {gaps[0]} has gaps (NaN): a filter would spread them. Fill or leave it out first.")
    return X


def filtered(sections, X, fs, cut):
    """Run second-order sections forward and backward along time, which shifts no wave."""
    if X.shape[1] < fs / cut:
        raise MedkitError(f"A filter at {cut:g} Hz needs at least {1 / cut:g} s of signal, not {X.shape[1] / fs:g} s.")
    beyond = min(X.shape[1] - 1, int(3 * fs / cut))  # mirrored at the ends: "odd" would pin the ends to 0
    return sosfiltfilt(sections, X, axis=1, padtype="even", padlen=beyond).astype(np.float32)


def remove_wander(X, fs, cut=0.5):
    """Remove baseline wander by a high-pass filter (Butterworth, second order, run both ways).

    Parameters
    ----------
    X : array of shape (n, samples, channels)
    fs : float
        Samples a second.
    cut : float
        In Hz. A cut-off up to 0.67 Hz, run without phase shift, leaves the ST segment in place (Kligfield et al. 2007,
        doi:10.1161/CIRCULATIONAHA.106.180200).

    Returns
    -------
    float32 array of the same shape
    """
    X = checked(X, fs, cut)
    return filtered(butter(2, cut, "highpass", fs=fs, output="sos"), X, fs, cut)


def remove_hum(X, fs, mains=50, quality=30):
    """Remove mains hum by a narrow notch at `mains` Hz (50 in most of the world, 60 in North America)."""
    X = checked(X, fs, mains)
    return filtered(tf2sos(*iirnotch(mains, quality, fs=fs)), X, fs, mains / quality)


def resample(X, fs, to):
    """Bring signals from `fs` to `to` samples a second; what the lower rate cannot hold is filtered away first.

    Raises
    ------
    MedkitError
        If the rates have no simple ratio (a numerator or denominator above 1,000).
    """
    X = checked(X, fs)
    if not np.isfinite(to) or to <= 0:
        raise MedkitError(f"The new sampling rate should be a number above 0 Hz; got {to}.")
    ratio = Fraction(float(to)).limit_denominator(10**6) / Fraction(float(fs)).limit_denominator(10**6)
    if max(ratio.numerator, ratio.denominator) > 1000:
        raise MedkitError(f"{fs:g} and {to:g} Hz have no simple ratio ({ratio}). Round the rates.")
    return resample_poly(X, ratio.numerator, ratio.denominator, axis=1, padtype="line").astype(np.float32)
