"""The published warfarin algorithm, on the patients of its own consortium: are its constants right?"""

import os
from pathlib import Path

import numpy as np
import pytest

from medkit.datasets import trials
from medkit.hospital.treatment import iwpc_root_dose

TABLES = sorted(Path(os.environ.get("MEDKIT_DATA", "nowhere"), "iwpc-warfarin").glob("*.xls*"))


@pytest.mark.skipif(not TABLES, reason="needs iwpc-warfarin in MEDKIT_DATA")
def test_the_published_formula_has_its_published_error():
    found = trials.doses("iwpc-warfarin")
    error = (iwpc_root_dose(found.people) ** 2 - found.dose).abs()
    assert len(error) == 4386
    assert error.mean() == pytest.approx(8.35, abs=0.005)
    assert np.mean(error <= 0.2 * found.dose) == pytest.approx(0.463, abs=0.0005)
