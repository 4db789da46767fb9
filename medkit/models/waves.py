"""Nets for beats and longer signals: CNN encoder, attention over time, recurrence over beats. Explained in lesson 4.

Signals are float32 tensors of shape (n, channels, samples).
"""

import numpy as np
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from .attention import Attention


def stage(n_in, n_out, kernel):
    """Make a convolution that halves the sampling rate, batch normalisation and ReLU."""
    return nn.Sequential(nn.Conv1d(n_in, n_out, kernel, stride=2, padding=kernel // 2, bias=False),
                         nn.BatchNorm1d(n_out), nn.ReLU())


class WaveCNN(nn.Module):
    """Three convolutions over time, each halving the rate: (n, channels, samples) to (n, 2 * width, samples / 8)."""

    def __init__(self, channels, width=16):
        super().__init__()
        self.features = 2 * width
        self.body = nn.Sequential(stage(channels, width, 7), stage(width, 2 * width, 5), stage(2 * width, 2 * width, 3))

    def forward(self, x):
        """Give the features at each remaining step."""
        return self.body(x)


def beat_encoder(channels, samples, features=32, width=16, dropout=0.3):
    """Make a net that turns each beat into one vector: (n, channels, samples) to (n, features).

    Where in the beat a wave lies matters (a P wave stands before the QRS), so time is kept, not averaged.
    """
    cnn = WaveCNN(channels, width)
    return nn.Sequential(cnn, nn.Flatten(), nn.Dropout(dropout),
                         nn.Linear(cnn.features * -(-samples // 8), features), nn.ReLU())


class SignalNet(nn.Module):
    """One label for a signal: a CNN front end, a two-way GRU, attention over time.

    With `recurrent=False` the GRU is left out: a 1-D CNN with the same attention.
    """

    def __init__(self, channels, outputs, width=16, hidden=32, dropout=0.3, recurrent=True):
        super().__init__()
        self.cnn = WaveCNN(channels, width)
        self.gru = nn.GRU(self.cnn.features, hidden, batch_first=True, bidirectional=True) if recurrent else None
        n = 2 * hidden if recurrent else self.cnn.features
        self.attention, self.head = Attention(n), nn.Sequential(nn.Dropout(dropout), nn.Linear(n, outputs))

    def attend(self, x):
        """Give the summary (n, features) and the attention over time (n, samples / 8)."""
        steps = self.cnn(x).transpose(1, 2)
        return self.attention(steps if self.gru is None else self.gru(steps)[0])

    def forward(self, x):
        """Give logits (n, outputs)."""
        return self.head(self.attend(x)[0])


class RhythmNet(nn.Module):
    """One label for each beat of a run: beats encoded by a CNN, then a two-way GRU over consecutive beats.

    Parameters
    ----------
    channels, samples : int
        Of the cut of one beat.
    context : int
        Further numbers that come with each beat, such as RR intervals.
    outputs : int
        Number of classes.
    cell : class
        The recurrence: `nn.GRU`, `nn.LSTM` or `nn.RNN`; with `both_ways=False` it reads forwards alone.
    """

    def __init__(self, channels, samples, context, outputs, features=32, hidden=48, width=16, dropout=0.3,
                 cell=nn.GRU, both_ways=True):
        super().__init__()
        self.encoder = beat_encoder(channels, samples, features, width, dropout)
        self.scale = nn.BatchNorm1d(context)
        both = features + context
        self.gru = cell(both, hidden, batch_first=True, bidirectional=both_ways)
        self.drop, self.head = nn.Dropout(dropout), nn.Linear(hidden * (1 + both_ways) + both, outputs)

    def forward(self, beats, context, lengths):
        """Give logits (n, steps, outputs) for runs of beats of different length.

        Parameters
        ----------
        beats : Tensor of shape (n, steps, channels, samples)
        context : Tensor of shape (n, steps, context)
        lengths : Tensor of shape (n,)
            How many steps of each run are beats; what follows is filling.
        """
        n, steps = beats.shape[:2]
        # Filling is encoded too: batches of one shape keep memory flat.
        each = torch.cat([self.encoder(beats.flatten(0, 1)), self.scale(context.flatten(0, 1))], 1)
        x = each.unflatten(0, (n, steps))
        packed = pack_padded_sequence(self.drop(x), lengths.cpu(), batch_first=True, enforce_sorted=False)
        around = pad_packed_sequence(self.gru(packed)[0], batch_first=True, total_length=steps)[0]
        return self.head(self.drop(torch.cat([around, x], 2)))


def runs(record, length):
    """Cut the beats of each record, in true order, into runs of at most `length`.

    Parameters
    ----------
    record : array of shape (n,)
        The record of each beat; the beats of a record stand together.

    Returns
    -------
    rows, lengths : int64 arrays of shape (runs, length) and (runs,)
        Row numbers; a shorter run is filled up with its last row, which `lengths` tells apart.
    """
    record = np.asarray(record)
    edges = np.flatnonzero(np.append(True, record[1:] != record[:-1]))
    starts = np.concatenate([np.arange(a, b, length) for a, b in zip(edges, np.append(edges[1:], len(record)))])
    lengths = np.diff(np.append(starts, len(record)))
    return np.minimum(starts[:, None] + np.arange(length), (starts + lengths - 1)[:, None]), lengths
