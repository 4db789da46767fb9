"""The variables of a simulated stay: level, spread, limits, and what moves each.

Names and units are those of the PhysioNet/CinC challenge 2012 (Silva et al. 2012,
Computing in Cardiology 39:245-248), with BNP (pg/mL) added. Centres, spreads and
rates of measurement were set to the marginal figures of its set a. How variables
depend on organs is clinical knowledge, not a fit.
"""
from typing import NamedTuple

import numpy as np


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
    loads: dict  # effect of each organ, in spreads
    follows: dict  # effect of other variables, in spreads
    acts: tuple  # effect of ventilation, vasopressor, antibiotics, in spreads

    def scaled(self, z):
        """Turn standard scores into units, within the range that is possible."""
        values = np.float32(self.centre) + np.float32(self.spread) * z
        if self.scale == "log":
            values = np.float32(self.centre) * np.exp(np.float32(self.spread) * z)
        return np.clip(values, np.float32(self.low), np.float32(self.high)).round(self.digits)


# name, scale, centre, spread, low, high, digits, between, keep, panel, loads
_TABLE = """
HR         linear   86    17    25   210   0 .68 .85 HR      infection .35 heart .15 lung .10 age -.15
SysABP     linear  119    22    40   250   0 .58 .55 line    heart -.25 infection -.25 age .10
DiasABP    linear   58.5  12.5  15   150   0 .58 .55 line    infection -.15 age -.25
MAP        linear   79    15    25   190   0 .55 .50 line
NISysABP   linear  119    21    40   250   0 .58 .50 cuff
NIDiasABP  linear   58    14    15   150   0 .55 .40 cuff
NIMAP      linear   77    14    25   190   1 .55 .40 cuff
Temp       linear   37.1   .85  32    42   1 .35 .90 Temp    infection .35 kidney -.10 age -.10
RespRate   log      19     .27   4    60   0 .50 .40 breath  lung .40 infection .25
GCS        linear   12.3  6.0    3    15   0 .68 .85 GCS     brain -.75 metabolic -.10 age -.05
Urine      log      70     .90   0  2000   0 .45 .40 Urine   kidney -.45 heart -.15 infection -.10
Weight     log      80     .03  30   300   1 .50 .97 Weight  heart .30 kidney .30
FiO2       log        .52  .30  .21    1   2 .45 .80 FiO2    lung .45
PaCO2      log      39     .20  12   120   0 .65 .60 gas     lung .30 metabolic -.15
PaO2       log     122     .48  35   500   0 .45 .50 gas     lung -.40
SaO2       linear   97.0  2.4   60   100   0 .55 .30 SaO2    lung -.40
HCO3       linear   23    4.4    5    50   0 .80 .90 chem    metabolic -.35 kidney -.35 lung .15
pH         linear    7.38  .075  6.8  7.8  2 .60 .60 gas     infection -.15
BUN        log      20     .69   2   210   0 .95 .95 chem    kidney .65 heart .20 age .25
Creatinine log       1.05  .58  .2    20   1 .95 .95 chem    kidney .75 heart .15
Na         linear  139    5    110   170   0 .75 .85 chem    heart -.15 brain .15
K          linear    4.15  .65 1.8     9   1 .50 .60 chem    kidney .35 metabolic .10
Mg         log       2.0   .19  .6     6   1 .55 .80 chem    kidney .30
Glucose    log     127     .35  20   900   0 .40 .60 chem    metabolic .45 infection .10
HCT        linear   30.7  5.0   12    60   1 .72 .85 HCT     kidney -.20 age -.10
WBC        log      11.4   .48  .1   200   1 .80 .90 blood   infection .40
Platelets  log     175     .55   5  1500   0 .90 .95 blood   metabolic -.30 infection -.20
Lactate    log       2.0   .58  .3    30   1 .60 .85 Lactate infection .35 metabolic .35 heart .25
ALT        log      45    1.40   2 10000   0 .95 .95 liver   metabolic .35 heart .15
AST        log      68    1.45   5 15000   0 .95 .95 liver   heart .10
ALP        log      85     .60  10  2000   0 .95 .95 liver   metabolic .30
Bilirubin  log        .95 1.05  .1    60   1 .95 .95 liver   metabolic .45 infection .20
Albumin    linear    2.92  .64   1   5.5   1 .92 .95 albumin infection -.30 metabolic -.25 age -.15
Cholesterol linear 152   45     30   400   0 .97 .95 lipids  infection -.25
TroponinI  log       2.6  1.40  .1   100   1 .85 .95 tropI   heart .40 kidney .10
TroponinT  log        .2  1.50 .01    30   2 .85 .95 tropT   heart .40 kidney .15
BNP        log     300    1.20   5 20000   0 .95 .95 BNP     heart .70 kidney .25 age .20
"""
_FOLLOWS = {
    "DiasABP": {"SysABP": .55}, "MAP": {"SysABP": .55, "DiasABP": .5}, "NISysABP": {"SysABP": .85},
    "NIDiasABP": {"DiasABP": .80}, "NIMAP": {"NISysABP": .5, "NIDiasABP": .55}, "SaO2": {"PaO2": .35},
    "HCO3": {"PaCO2": .35}, "pH": {"HCO3": .65, "PaCO2": -.65}, "Creatinine": {"BUN": .35},
    "AST": {"ALT": .9}, "ALP": {"ALT": .25}, "Bilirubin": {"ALT": .25}, "TroponinT": {"TroponinI": .8}}
_ACTS = {"GCS": (-.7, 0, 0), "PaO2": (.5, 0, 0), "SysABP": (-.1, .3, 0), "HR": (0, .2, 0), "Temp": (0, 0, -.1)}
# panel: share of patients with an order, effect of severity on the order,
# measurements due in an hour, effect of severity on doing one that is due
PANELS = {
    "HR": (1, 0, .93, 0), "line": (.70, .1, .80, 0), "cuff": (.88, 0, .50, 0), "Temp": (1, 0, .60, .1),
    "breath": (.28, -.5, .87, 0), "SaO2": (.45, 0, .15, .1), "GCS": (1, 0, .50, .1), "Urine": (.97, 0, .73, 0),
    "Weight": (.68, 0, .78, 0), "FiO2": (1, 0, .5, 0), "gas": (.76, .4, .24, .3), "chem": (1, 0, .11, .3),
    "HCT": (1, 0, .145, .2), "blood": (1, 0, .105, .3), "Lactate": (.54, .5, .11, .4), "liver": (.42, .5, .06, .3),
    "albumin": (.40, .4, .045, .2), "lipids": (.08, 0, .04, 0), "tropI": (.06, .3, .06, .2),
    "tropT": (.22, .4, .075, .2), "BNP": (.20, .4, .03, .2), "vent": (1, 0, .45, 0)}


def _variable(name, scale, *rest):
    """Read one line of the table."""
    loads = dict(zip(rest[8::2], map(float, rest[9::2])))
    return Variable(scale, *map(float, rest[:4]), int(rest[4]), *map(float, rest[5:7]), rest[7],
                    loads, _FOLLOWS.get(name, {}), _ACTS.get(name, (0, 0, 0)))


SPEC = {line.split()[0]: _variable(*line.split()) for line in _TABLE.strip().splitlines()}
NAMES = (*SPEC, "MechVent")
"""Names of all variables, in the order of the last axis of a stay's values."""
