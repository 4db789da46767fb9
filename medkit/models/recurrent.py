"""Recurrent nets for series with gaps: a GRU that sees masks, and GRU-D. Explained in lesson 6.

All take three float tensors of shape (patients, hours, variables): `x`, standardised values (anything where
nothing was measured), `mask`, 1 where a value was measured, and `since`, hours since the variable was last
measured before that hour (`hours_since`). They give states of shape (patients, hours, hidden).
"""

import numpy as np
import torch
from torch import nn

from .attention import Attention


def hours_since(mask):
    """Count the hours since each variable was last measured, before the hour itself.

    Parameters
    ----------
    mask : array of bool, shape (patients, hours, variables)

    Returns
    -------
    array of float32, same shape
        0 in the first hour; where nothing was measured yet, the hours since the start (Che et al. 2018).
    """
    hour = np.arange(mask.shape[1])[None, :, None]
    last = np.maximum.accumulate(np.where(mask, hour, 0), axis=1)
    return (hour - np.concatenate([np.zeros_like(last[:, :1]), last[:, :-1]], axis=1)).astype(np.float32)


def carried(x, mask):
    """Carry the last measured value forward; before the first one stands 0, the mean."""
    hour = torch.arange(x.shape[1], device=x.device)[None, :, None]
    last = torch.where(mask > 0, hour, -1).cummax(dim=1).values
    return x.gather(1, last.clamp(min=0)) * (last >= 0)


class MaskedGRU(nn.Module):
    """A GRU (Cho et al. 2014, doi:10.3115/v1/D14-1179) over values carried forward, masks and times since.

    Parameters
    ----------
    variables, hidden : int
        How many variables come in, how many states go out.
    """

    def __init__(self, variables, hidden):
        super().__init__()
        self.gru = nn.GRU(3 * variables, hidden, batch_first=True)

    def forward(self, x, mask, since):
        """Give the state of each hour."""
        return self.gru(torch.cat([carried(x, mask), mask, torch.log1p(since) / 4], dim=2))[0]


class GRUD(nn.Module):
    """GRU-D: values decay to the mean and the state to zero while nothing is measured.

    Che et al. 2018, doi:10.1038/s41598-018-24271-9. The inputs of all hours are decayed and weighed at
    once; only the state walks hour by hour.

    Parameters
    ----------
    variables, hidden : int
        How many variables come in, how many states go out.
    """

    def __init__(self, variables, hidden):
        super().__init__()
        self.value_rate = nn.Parameter(torch.full((variables,), 0.05))
        self.value_start = nn.Parameter(torch.zeros(variables))
        self.state_rate = nn.Linear(variables, hidden)
        self.inward = nn.Linear(2 * variables, 3 * hidden)
        self.across = nn.Linear(hidden, 3 * hidden)
        nn.init.uniform_(self.state_rate.weight, 0, 0.1 / variables)  # a short memory is learnt if it serves

    def decayed(self, x, mask, since):
        """Replace what was not measured by the last value, drawn to the mean (0) as time goes by."""
        fade = torch.exp(-torch.relu(self.value_rate * since + self.value_start))
        before = carried(x, mask)  # equals the last value wherever nothing was measured
        return torch.where(mask > 0, x, fade * before)

    def forward(self, x, mask, since):
        """Give the state of each hour."""
        pushed = self.inward(torch.cat([self.decayed(x, mask, since), mask], dim=2)).unbind(dim=1)
        keep = torch.exp(-torch.relu(self.state_rate(since))).unbind(dim=1)
        state, states = x.new_zeros(len(x), self.across.in_features), []
        for into, faded in zip(pushed, keep):
            state = self.step(into, faded * state)
            states.append(state)
        return torch.stack(states, dim=1)

    def step(self, into, state):
        """Walk one hour, as `torch.nn.GRUCell` does, from inputs that are already weighed."""
        reset, update, new = into.chunk(3, dim=1)
        reset_of, update_of, new_of = self.across(state).chunk(3, dim=1)
        new = torch.tanh(new + torch.sigmoid(reset + reset_of) * new_of)
        update = torch.sigmoid(update + update_of)
        return new + update * (state - new)


class StayNet(nn.Module):
    """Predict one logit for each stay from its series and what was known at admission.

    Parameters
    ----------
    body : nn.Module
        `MaskedGRU` or `GRUD`.
    hidden, static : int
        Widths of the body's states and of the values known at admission.
    dropout : float
        The share of summarised states dropped in training.
    hidden_share : float
        The mean share of measurements hidden in training, drawn anew for each stay and batch.
    """

    def __init__(self, body, hidden, static, dropout=0.3, hidden_share=0.2):
        super().__init__()
        self.hidden_share = hidden_share
        self.body, self.attention = body, Attention(hidden, hidden)
        self.head = nn.Sequential(nn.Dropout(dropout), nn.Linear(2 * hidden + static, hidden), nn.ReLU(),
                                  nn.Dropout(dropout), nn.Linear(hidden, 1))

    def forward(self, x, mask, since, static, hours):
        """Give logits (patients, 1); `hours` (patients,) says how long each stay is: what follows does not count."""
        there = torch.arange(x.shape[1], device=x.device) < hours[:, None]
        if self.training:
            share = 2 * self.hidden_share * torch.rand(len(x), 1, 1, device=x.device)
            mask = mask * (torch.rand(mask.shape, device=x.device) >= share)
        states = self.body(x, mask, since)
        last = states[torch.arange(len(x), device=x.device), hours - 1]
        mean = torch.einsum("nt,nth->nh", self.attention.weights(states, there), states)
        return self.head(torch.cat([last, mean, static], dim=1))
