"""Attention over the steps of a series (lesson 4) or the places of an image (lesson 9): it says where it looked."""

import torch
from torch import nn

from .cnn import Pixels, block


class Attention(nn.Module):
    """Weigh the steps of a series and average them (Bahdanau et al., 2015; Yang et al., 2016).

    Takes (n, steps, features) and gives the average (n, features) and the weights (n, steps), which sum to 1.
    """

    def __init__(self, features, hidden=32):
        super().__init__()
        self.score = nn.Sequential(nn.Linear(features, hidden), nn.Tanh(), nn.Linear(hidden, 1))

    def weights(self, x, there=None):
        """Give each step's weight, (n, steps); a step that is not `there` (n, steps) gets none."""
        score = self.score(x).squeeze(-1)
        return (score if there is None else score.masked_fill(~there, -torch.inf)).softmax(1)

    def forward(self, x):
        """Average over the steps."""
        weights = self.weights(x)
        return (weights[..., None] * x).sum(1), weights


class AttentionCNN(nn.Module):
    """Four convolutions, then the mean of the places, weighted by an attention that is learned with them.

    The attention is that of Ilse et al. (2018, arXiv:1802.04712) over the places of the last map, a quarter of the
    image's height and width. One convolution sees single places only, so that a place answers for 19 pixels a side.

    Parameters
    ----------
    channels : int
        1 for grey images, 3 for colour.
    outputs : int
        One logit per class.
    width : int
        Features of the first convolution; the next have twice and four times as many.
    pixels : tuple of float
        Mean and standard deviation of the training pixels, in 0..1.
    """

    def __init__(self, channels, outputs, width=12, pixels=(0.5, 0.25), dropout=0.1):
        super().__init__()
        w = width
        self.pixels = Pixels(*pixels)
        self.body = nn.Sequential(block(channels, w, 5, 2), block(w, 2 * w), nn.MaxPool2d(2), block(2 * w, 4 * w, 1),
                                  block(4 * w, 4 * w))
        self.attention = Attention(4 * w, 2 * w)
        self.head = nn.Sequential(nn.Dropout(dropout), nn.Linear(4 * w, outputs))
        self.to(memory_format=torch.channels_last)

    def attend(self, x):
        """Give the summary (n, features) and the attention (n, height / 4, width / 4), which sums to 1."""
        features = self.body(self.pixels(x).contiguous(memory_format=torch.channels_last))
        summary, weights = self.attention(features.flatten(2).transpose(1, 2))
        return summary, weights.unflatten(1, features.shape[2:])

    def forward(self, x):
        """Give logits of shape (n, outputs)."""
        return self.head(self.attend(x)[0])
