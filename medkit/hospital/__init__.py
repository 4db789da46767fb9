"""The virtual hospital: simulated patients whose truth is known.

One latent state of health per patient drives everything about them, so that the
modalities agree. Label whatever comes from here "simulated".

    >>> cohort = admit(100, seed=1)
    >>> cohort.patients.shape[0], cohort.genes.shape
    (100, (100, 200))
"""
from functools import cached_property

from . import ecg, eeg, genes, latent, outcome, stay, treatment, xray


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

    def treatment(self, assignment="confounded", arms=2):
        """Treat patients: see `medkit.hospital.treatment.assign`."""
        return treatment.assign(self, assignment, arms)

    def anticoagulant(self, weekly_mg=None):
        """Give warfarin: see `medkit.hospital.treatment.anticoagulate`."""
        return treatment.anticoagulate(self, weekly_mg)

    def outcome(self, assignment="confounded", arms=2):
        """Follow patients up for a year: see `medkit.hospital.outcome.follow_up`."""
        return outcome.follow_up(self, assignment, arms)

    def xray(self, size=64, **options):
        """Take chest X-rays: see `medkit.hospital.xray.take`."""
        return xray.take(self, size, **options)

    def ecg(self, **options):
        """Record ECGs: see `medkit.hospital.ecg.record`."""
        return ecg.record(self, **options)

    def eeg(self, **options):
        """Record EEGs: see `medkit.hospital.eeg.record`."""
        return eeg.record(self, **options)

    def stay(self, hours=48):
        """Follow vital signs and laboratory values: see `medkit.hospital.stay.follow`."""
        return stay.follow(self, hours)
