"""The virtual hospital: simulated patients whose truth is known.

One latent state of health per patient drives everything about them, so that the
modalities agree. Label whatever comes from here "simulated".

    >>> cohort = admit(100, seed=1)
    >>> cohort.patients.shape[0], cohort.genes.shape
    (100, (100, 200))
"""
from functools import cached_property

from . import ecg, eeg, genes, latent
from .outcome import follow_up
from .stay import follow
from .treatment import anticoagulate, assign
from .xray import take


def admit(n, seed=0, start=0):
    """Admit simulated patients.

    Parameters
    ----------
    n : int
        Number of patients, at least 1.
    seed : int
        Seed of the hospital. The same seed gives the same patients.
    start : int
        Number of the first patient. Patient i does not depend on `n` or `start`.

    Returns
    -------
    Cohort

    Raises
    ------
    ValueError
        If `n` is below 1, or `seed` or `start` is negative.
    """
    if n < 1 or seed < 0 or start < 0:
        raise ValueError(f"admit needs n >= 1, seed >= 0, start >= 0; got {n}, {seed}, {start}")
    return Cohort(int(seed), int(start), int(start) + int(n))


class Cohort:
    """Simulated patients; each part is made when it is asked for.

    Attributes
    ----------
    seed, start, stop : int
        The patients are those numbered ``start`` to ``stop - 1`` of hospital `seed`.
    """

    def __init__(self, seed, start, stop):
        self.seed, self.start, self.stop = seed, start, stop

    def __len__(self):
        return self.stop - self.start

    def __repr__(self):
        return f"<Cohort of {len(self)} simulated patients, seed {self.seed}>"

    def batches(self, size=1024):
        """Yield the same patients as cohorts of at most `size`, to keep memory flat."""
        for start in range(self.start, self.stop, size):
            yield Cohort(self.seed, start, min(start + size, self.stop))

    @cached_property
    def latent(self):
        """The hidden truth, one row per patient: see `medkit.hospital.latent.draw`."""
        return latent.draw(self.seed, self.start, self.stop)

    @cached_property
    def patients(self):
        """What a clinician sees on admission: demographics, lifestyle and history."""
        seen = self.latent.loc[:, "hospital":"earlier_admissions"].rename(columns={"pack_years": "smoking_pack_years"})
        seen.insert(0, "patient_id", [f"VH{i:06d}" for i in range(self.start, self.stop)])
        sex = seen.pop("female").map({True: "female", False: "male"})
        seen.insert(3, "sex", sex)
        seen.attrs["source"] = "simulated"
        return seen

    @cached_property
    def genes(self):
        """Variants as 0, 1 or 2, one row per patient: see `medkit.hospital.genes.variants`."""
        return genes.variants(self.seed, self.start, self.stop)

    # Functions of their modules as methods: the cohort is their first argument.
    treatment, anticoagulant, outcome = assign, anticoagulate, follow_up
    xray, ecg, eeg, stay = take, ecg.record, eeg.record, follow
