"""The published warfarin algorithm, on the patients of its own consortium: are its constants right?"""

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from medkit.hospital.treatment import iwpc_root_dose

TABLES = sorted(Path(os.environ.get("MEDKIT_DATA", "nowhere"), "iwpc-warfarin").glob("*.xls*"))
INDUCERS = ["Carbamazepine (Tegretol)", "Phenytoin (Dilantin)", "Rifampin or Rifampicin"]
NEIGHBOURS = {"1173": {"C/C": "G/G", "C/T": "A/G", "T/T": "A/A"}, "2255": {"C/C": "G/G", "C/T": "A/G", "T/T": "A/A"},
              "1542": {"G/G": "G/G", "C/G": "A/G", "C/C": "A/A"}}


def vkorc1(d):
    """Genotype at -1639 G>A; a missing one is read off its neighbours in linkage, as the consortium did."""
    found, linked = d["VKORC1 -1639 consensus"], d["Race (OMB)"].isin(["White", "Asian"])
    for place, same in NEIGHBOURS.items():
        other = d[f"VKORC1 {place} consensus"].map(same)
        found = found.fillna(other if place == "1173" else other.where(linked))
    return found


@pytest.mark.skipif(not TABLES, reason="needs iwpc-warfarin in MEDKIT_DATA")
def test_the_published_formula_has_its_published_error():
    d = pd.read_excel(TABLES[0], sheet_name="Subject Data")
    people = pd.DataFrame({
        "decade": pd.to_numeric(d["Age"].astype(str).str[0], errors="coerce"), "height": d["Height (cm)"],
        "weight": d["Weight (kg)"], "vkorc1": vkorc1(d), "cyp2c9": d["CYP2C9 consensus"], "race": d["Race (OMB)"],
        "inducer": d[INDUCERS].max(axis=1).fillna(0), "amiodarone": d["Amiodarone (Cordarone)"].fillna(0)})
    dose = d["Therapeutic Dose of Warfarin"]
    known = people[["decade", "height", "weight"]].notna().all(axis=1) & dose.notna()
    error = (iwpc_root_dose(people) ** 2 - dose)[known]
    assert len(error) == 4386
    assert error.abs().mean() == pytest.approx(8.35, abs=0.005)
    assert np.mean(error.abs() <= 0.2 * dose[known]) == pytest.approx(0.463, abs=0.0005)
