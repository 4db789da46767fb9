"""Restricted Boltzmann machines against what can be counted out, and learning that raises the likelihood."""

import itertools

import numpy as np
import pytest
import torch

from medkit.errors import MedkitError
from medkit.models import dbn


def machine(gaussian=False, visible=5, hidden=3):
    torch.manual_seed(0)
    rbm = dbn.RBM(visible, hidden, gaussian)
    for p in rbm.parameters():
        p.data = 0.8 * torch.randn(p.shape)
    return rbm


def test_probabilities_of_all_visible_states_sum_to_one():
    rows = torch.tensor(list(itertools.product((0.0, 1.0), repeat=5)))
    assert float(machine().log_likelihood(rows).exp().sum().detach()) == pytest.approx(1, abs=1e-5)


def test_the_gaussian_density_integrates_to_one():
    grid = torch.linspace(-12, 12, 4001)[:, None]
    density = machine(True, visible=1).log_likelihood(grid).exp().detach().numpy()
    assert np.trapezoid(density, grid[:, 0].numpy()) == pytest.approx(1, abs=1e-3)


def test_free_energy_is_the_sum_over_hidden_states():
    rbm, v = machine(), torch.tensor([[1.0, 0, 1, 1, 0]])
    h = torch.tensor(list(itertools.product((0.0, 1.0), repeat=3)))
    joint = (v @ rbm.W * h).sum(1) + v @ rbm.b + h @ rbm.c
    assert float(rbm.free_energy(v).detach()) == pytest.approx(-float(torch.logsumexp(joint, 0).detach()), abs=1e-5)


def test_long_gibbs_chains_visit_states_as_often_as_the_exact_probabilities_say():
    rbm, draw = machine(), torch.Generator().manual_seed(1)
    v = rbm.gibbs(torch.zeros(20_000, 5), 60, draw)
    rows = torch.tensor(list(itertools.product((0.0, 1.0), repeat=5)))
    seen = np.bincount((v @ 2.0 ** torch.arange(4, -1, -1)).long().numpy(), minlength=32) / len(v)
    assert np.abs(seen - rbm.log_likelihood(rows).exp().detach().numpy()).max() < 0.015


@pytest.mark.parametrize("options", [{"k": 1}, {"k": 3}, {"persistent": True}])
def test_contrastive_divergence_raises_the_exact_likelihood(options):
    """Six copies of one coin, each flipped in 1 of 10: the best that can be is about -2.6 nats, knowing nothing -4.16.

    On copies without flips CD-1 and CD-3 (not persistent chains) lose likelihood again after a while: no chain ever
    crosses between the two states (Fischer & Igel, 2010, doi:10.1007/978-3-642-15825-4_26).
    """
    draw = torch.Generator().manual_seed(0)
    coin = torch.bernoulli(torch.full((400, 1), 0.5), generator=draw)
    v = (coin - (torch.rand(400, 6, generator=draw) < 0.1).float()).abs()
    torch.manual_seed(0)
    rbm = dbn.RBM(6, 4)
    before = float(rbm.log_likelihood(v).mean().detach())
    dbn.train_rbm(rbm, v, epochs=60, lr=0.1, **options)
    assert before == pytest.approx(-6 * np.log(2), abs=0.1)
    assert -3.1 < float(rbm.log_likelihood(v).mean().detach()) < -2.2


def test_a_machine_too_large_to_count_is_refused():
    with pytest.raises(MedkitError, match="at most 20"):
        dbn.RBM(3, 21).log_partition()


def test_the_network_starts_as_the_stack():
    v = torch.randn(50, 8, generator=torch.Generator().manual_seed(0))
    machines = dbn.stack(v, [6, 4], epochs=2)
    net = dbn.as_network(machines)
    assert net(v).shape == (50, 1)
    assert torch.allclose(net[:4](v), machines[1].hidden(machines[0].hidden(v)), atol=1e-6)
