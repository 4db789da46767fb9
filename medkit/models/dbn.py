"""Deep belief networks: restricted Boltzmann machines, stacked. Explained in lesson 7.

Hinton GE, Osindero S, Teh YW, 2006, doi:10.1162/neco.2006.18.7.1527 (the stack); Hinton GE, 2012,
doi:10.1007/978-3-642-35289-8_32 (how to train one).
"""

import itertools

import numpy as np
import torch
from torch import nn

from ..errors import MedkitError


class RBM(nn.Module):
    """A restricted Boltzmann machine with Bernoulli hidden units.

    Parameters
    ----------
    visible, hidden : int
        Numbers of units.
    gaussian : bool
        Whether visible units are Gaussian with variance 1 (bring inputs to mean 0, deviation 1) or Bernoulli.
    """

    def __init__(self, visible, hidden, gaussian=False):
        super().__init__()
        self.W = nn.Parameter(0.01 * torch.randn(visible, hidden))
        self.b, self.c, self.gaussian = nn.Parameter(torch.zeros(visible)), nn.Parameter(torch.zeros(hidden)), gaussian

    def hidden(self, v):
        """Give the chance of each hidden unit to be on, (n, hidden)."""
        return torch.sigmoid(v @ self.W + self.c)

    def visible(self, h):
        """Give the mean of each visible unit, (n, visible)."""
        mean = h @ self.W.T + self.b
        return mean if self.gaussian else torch.sigmoid(mean)

    def free_energy(self, v):
        """Give the free energy, (n,): minus the logarithm of the probability, up to a constant."""
        at_rest = ((v - self.b) ** 2).sum(1) / 2 if self.gaussian else -(v @ self.b)
        return at_rest - nn.functional.softplus(v @ self.W + self.c).sum(1)

    @torch.no_grad()
    def gibbs(self, v, steps=1, generator=None):
        """Go back and forth between the layers `steps` times; give a sample of the visible units."""
        for _ in range(steps):
            h = torch.bernoulli(self.hidden(v), generator=generator)
            mean, chance = self.visible(h), {"generator": generator}
            v = torch.normal(mean, 1.0, **chance) if self.gaussian else torch.bernoulli(mean, **chance)
        return v

    @torch.no_grad()
    def log_partition(self):
        """Give the exact logarithm of the sum over all hidden states; for at most 20 hidden units."""
        if len(self.c) > 20:
            raise MedkitError(f"{len(self.c)} hidden units have too many states to count; at most 20 do.")
        h = torch.tensor(list(itertools.product((0.0, 1.0), repeat=len(self.c))))
        inside = h @ self.W.T
        each = inside * self.b + inside**2 / 2 + 0.5 * np.log(2 * np.pi) if self.gaussian else \
            nn.functional.softplus(inside + self.b)
        return torch.logsumexp(each.sum(1) + h @ self.c, 0)

    def log_likelihood(self, v):
        """Give the exact log-likelihood of each row, (n,); for at most 20 hidden units."""
        return -self.free_energy(v) - self.log_partition()


def train_rbm(rbm, v, epochs=20, lr=0.05, batch=64, k=1, persistent=False, seed=0):
    """Train by contrastive divergence (CD-k), or by persistent chains (PCD-k; Tieleman, 2008).

    Returns
    -------
    list of float
        The mean squared error of reconstruction after each epoch.
    """
    draw, errors = torch.Generator().manual_seed(seed), []
    chain = v[torch.randperm(len(v), generator=draw)[:batch]]
    optimiser = torch.optim.SGD(rbm.parameters(), lr=lr, momentum=0.5, weight_decay=1e-4)
    for _ in range(epochs):
        for rows in torch.randperm(len(v), generator=draw).split(batch):
            chain = rbm.gibbs(chain if persistent else v[rows], k, draw)
            optimiser.zero_grad()
            (rbm.free_energy(v[rows]).mean() - rbm.free_energy(chain).mean()).backward()
            optimiser.step()
        errors.append(float(((rbm.visible(rbm.hidden(v)) - v) ** 2).mean().detach()))
    return errors


def stack(v, sizes, epochs=20, lr=0.02, seed=0):
    """Train a stack of machines greedily, each on the hidden units of the one below; the lowest has Gaussian inputs.

    Returns
    -------
    list of RBM
    """
    torch.manual_seed(seed)
    machines = []
    for level, size in enumerate(sizes):
        machines.append(RBM(v.shape[1], size, gaussian=level == 0))
        train_rbm(machines[-1], v, epochs, lr, seed=seed)
        v = machines[-1].hidden(v).detach()
    return machines


def as_network(machines):
    """Turn a stack into a network with a linear head, to be fine-tuned end to end; gives (n, 1)."""
    layers = []
    for rbm in machines:
        linear = nn.Linear(*rbm.W.shape)
        linear.weight.data, linear.bias.data = rbm.W.data.T.clone(), rbm.c.data.clone()
        layers += [linear, nn.Sigmoid()]
    return nn.Sequential(*layers, nn.Linear(len(machines[-1].c), 1))
