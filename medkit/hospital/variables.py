"""The variables of a simulated stay: level, spread, limits, and what moves each.

Names and units are those of the PhysioNet/CinC challenge 2012 (Silva et al. 2012,
Computing in Cardiology 39:245-248), with BNP (pg/mL) added. Centres, spreads and
rates of measurement were set to the marginal figures of its set a. How variables
depend on organs is clinical knowledge, adjusted once by hand after a look at the
correlations of set a; nothing is fitted.
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
    acts: tuple  # effect of each intervention and of arrival, in spreads

    def scaled(self, z):
        """Turn standard scores into units, within the range that is possible."""
        values = np.float32(self.centre) + np.float32(self.spread) * z
        if self.scale == "log":
            values = np.float32(self.centre) * np.exp(np.float32(self.spread) * z)
        return np.clip(values, np.float32(self.low), np.float32(self.high)).round(self.digits)


# name, scale, centre, spread, low, high, digits, between, keep, panel, loads
_TABLE = """
HR         linear   86    17.5  25   210   0 .55 .80 HR      infection .35 heart .10 lung .10 age -.20
SysABP     linear  119    23.5  40   250   0 .45 .50 line    heart -.20 infection -.25 age .10
DiasABP    linear   58.5  12.8  15   150   0 .45 .50 line    infection -.20 age -.25
MAP        linear   79    15    25   190   0 .50 .50 line
NISysABP   linear  118    22    40   250   0 .50 .50 cuff
NIDiasABP  linear   58    15    15   150   0 .50 .40 cuff
NIMAP      linear   76    15    25   190   1 .50 .40 cuff
Temp       linear   37.1   .90  32    42   1 .30 .90 Temp    infection .30 kidney -.10 age -.10
RespRate   log      20     .27   4    60   0 .45 .40 breath  lung .40 infection .25
GCS        linear   13.8  6.0    3    15   0 .60 .85 GCS     brain -.70 metabolic -.10 age -.05
Urine      log      74     .90   0  2000   0 .35 .40 Urine   kidney -.40 heart -.10 infection -.05
Weight     log      81     .04  30   300   1 .50 .97 Weight  heart .30 kidney .30
FiO2       log        .47  .30  .21    1   2 .40 .80 FiO2    lung .40
PaCO2      log      39.5   .22  12   120   0 .55 .60 gas     lung .30 metabolic -.10
PaO2       log     115     .48  35   500   0 .35 .50 gas     lung -.35
SaO2       linear   97.0  2.6   60   100   0 .55 .30 SaO2    lung -.35
HCO3       linear   23    4.5    5    50   0 .75 .90 chem    metabolic -.25 kidney -.30
pH         linear    7.385 .072 6.8  7.8   2 .50 .60 gas
BUN        log      18     .66   2   210   0 .94 .95 chem    kidney .60 heart .20 age .25
Creatinine log        .98  .60  .2    20   1 .95 .95 chem    kidney .65
Na         linear  139    5.0  110   170   0 .70 .85 chem    heart -.10 brain .10
K          linear    4.12  .68 1.8     9   1 .35 .50 chem    kidney .30
Mg         log       2.0   .19  .6     6   1 .50 .80 chem    kidney .25
Glucose    log     124     .37  20   900   0 .25 .50 chem    metabolic .35
HCT        linear   30.7  5.2   12    60   1 .65 .85 HCT     kidney -.15 age -.05
WBC        log      11.3   .50  .1   200   1 .75 .90 blood   infection .30
Platelets  log     175     .55   5  1500   0 .85 .95 blood   metabolic -.25
Lactate    log       1.9   .60  .3    30   1 .50 .85 Lactate infection .25 metabolic .30 heart .15
ALT        log      33    1.55   5 10000   0 .85 .95 liver   metabolic .25 heart .10
AST        log      50    1.55   8 15000   0 .80 .95 liver   heart .10
ALP        log      75     .62  10  2000   0 .85 .95 liver   metabolic .15 infection .15
Bilirubin  log        .75 1.10  .1    60   1 .95 .95 liver   metabolic .35 infection .10
Albumin    linear    3.00  .64   1   5.5   1 .90 .95 albumin infection -.25 metabolic -.20 age -.15
Cholesterol linear 148   45     30   400   0 .97 .95 lipids  infection -.15
TroponinI  log       2.6  1.40  .1   100   1 .85 .95 tropI   heart .25
TroponinT  log        .18 1.55 .01    30   2 .90 .95 tropT   heart .10 kidney .05
BNP        log     300    1.20   5 20000   0 .95 .95 BNP     heart .70 kidney .20 age .20
"""
_FOLLOWS = {
    "SysABP": {"HR": -.05}, "DiasABP": {"SysABP": .50, "HR": .25}, "MAP": {"SysABP": .55, "DiasABP": .5},
    "NISysABP": {"SysABP": .85}, "NIDiasABP": {"DiasABP": .65, "NISysABP": .3},
    "NIMAP": {"NISysABP": .45, "NIDiasABP": .65},
    "PaCO2": {"RespRate": -.25}, "SaO2": {"PaO2": .35}, "HCO3": {"PaCO2": .50}, "pH": {"HCO3": .60, "PaCO2": -.65},
    "Creatinine": {"BUN": .45}, "Platelets": {"WBC": .25}, "AST": {"ALT": .88}, "ALP": {"ALT": .20},
    "Bilirubin": {"ALT": .20}, "HCT": {"HCO3": .05}, "Cholesterol": {"Albumin": .35, "HCT": .2},
    "TroponinT": {"TroponinI": .8}}
# Effect of ventilation, vasopressor, antibiotics, and of just having arrived.
_ACTS = {"GCS": (-.70, 0, 0, 0), "PaO2": (.35, 0, 0, .5), "SysABP": (-.1, .3, 0, .1), "HR": (0, .2, 0, .1),
         "Temp": (0, 0, 0, -.9), "Urine": (0, 0, 0, .8), "FiO2": (0, 0, 0, .9), "Lactate": (0, 0, 0, .2)}
# panel: share of patients with an order, effect of severity on the order,
# measurements due in an hour, effect of severity on doing one that is due
PANELS = {
    "HR": (1, 0, .985, 0), "line": (.64, .3, .84, 0), "cuff": (.88, 0, .56, 0), "Temp": (1, 0, .60, .1),
    "breath": (.38, -.7, .90, 0), "SaO2": (.38, 0, .15, .1), "GCS": (1, 0, .50, .1), "Urine": (.97, 0, .73, 0),
    "Weight": (.68, 0, .78, 0), "FiO2": (1, 0, .42, 0), "gas": (.64, .3, .23, .3), "chem": (1, 0, .105, .3),
    "HCT": (1, 0, .135, .2), "blood": (1, 0, .100, .3), "Lactate": (.47, .4, .115, .4), "liver": (.34, .4, .06, .3),
    "albumin": (.34, .4, .045, .2), "lipids": (.08, 0, .04, 0), "tropI": (.06, .3, .06, .2),
    "tropT": (.20, .3, .08, .2), "BNP": (.15, .4, .04, .2), "vent": (1, 0, .40, 0)}
SHARED = {"gas": "line", "SaO2": "line", "albumin": "liver"}
"""Panels that go with another: who has an arterial line has blood gases too."""


def _variable(name, scale, *rest):
    """Read one line of the table."""
    loads = dict(zip(rest[8::2], map(float, rest[9::2])))
    return Variable(scale, *map(float, rest[:4]), int(rest[4]), *map(float, rest[5:7]), rest[7],
                    loads, _FOLLOWS.get(name, {}), _ACTS.get(name, (0, 0, 0, 0)))


SPEC = {line.split()[0]: _variable(*line.split()) for line in _TABLE.strip().splitlines()}
NAMES = (*SPEC, "MechVent")
"""Names of all variables, in the order of the last axis of a stay's values."""
