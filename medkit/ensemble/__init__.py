"""Several models, one answer: combine what members predict, and make members cheaply. Explained in lesson 8.

`combine` works on predictions of any model of the suite: arrays of shape (members, n, classes), or (members, n) for
a yes-no question. `members` makes such predictions from nets. With several labels an image, flatten them into
(members, n * labels): each is a yes-no question.
"""

from .combine import (Stack, average, average_logits, bma_weights, cool, disagreement, log_likelihood, nll,
                      pseudo_bma_weights, refusal_curve, spread, temperature, vote, vote_share)
from .members import collect, mc_dropout, predictions, snapshots, swa, swag
from .side_by_side import SideBySide

__all__ = ["SideBySide", "Stack", "average", "average_logits", "bma_weights", "collect", "cool", "disagreement", "log_likelihood",
           "mc_dropout", "nll", "predictions", "pseudo_bma_weights", "refusal_curve", "snapshots", "spread", "swa",
           "swag", "temperature", "vote", "vote_share"]
