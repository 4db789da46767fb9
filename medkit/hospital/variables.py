"""The variables of a simulated stay: level, spread, limits, and what moves each.

Names and units are those of the PhysioNet/CinC challenge 2012 (Silva et al. 2012,
Computing in Cardiology 39:245-248), with BNP (pg/mL) added. Centres, spreads and
rates of measurement were set to the marginal figures of its set a. How variables
depend on organs is clinical knowledge, adjusted once by hand after a look at the
correlations of set a; nothing is fitted. The numbers stand in `variables.toml`.
"""
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..files import read_toml


class Variable(NamedTuple):
    """How one variable is made: a standard score, read off the organs, then scaled."""

    scale: str  # "linear" or "log"
    centre: float
    spread: float  # standard deviation, of the logarithm where the scale is "log"
    low: float
    high: float
    digits: int
    between: float  # share of the unexplained variance that lies between patients
    keep: float  # correlation of the rest from one hour to the next
    panel: str  # what is measured together
    loads: dict = {}  # effect of each organ, in spreads
    follows: dict = {}  # effect of other variables, in spreads
    acts: tuple = (0, 0, 0, 0)  # effect of ventilation, vasopressor, antibiotics, and of just having arrived

    def scaled(self, z):
        """Turn standard scores into units, within the range that is possible."""
        values = np.float32(self.centre) + np.float32(self.spread) * z
        if self.scale == "log":
            values = np.float32(self.centre) * np.exp(np.float32(self.spread) * z)
        return np.clip(values, np.float32(self.low), np.float32(self.high)).round(self.digits)


_READ = read_toml(Path(__file__).with_suffix(".toml"))
SPEC = {name: Variable(**facts) for name, facts in _READ["variables"].items()}
NAMES = (*SPEC, "MechVent")  # all variables, in the order of the last axis of a stay's values
PANELS, SHARED = _READ["panels"], _READ["shared"]
