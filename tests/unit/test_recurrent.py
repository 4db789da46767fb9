"""Recurrent nets for series with gaps: the decays of GRU-D, masks, and hours that are not there."""

import numpy as np
import pytest
import torch

from medkit.datasets.stays import hours_since
from medkit.models.recurrent import GRUD, MaskedGRU, StayNet, carried

N, HOURS, VARIABLES, HIDDEN = 3, 7, 4, 5


@pytest.fixture
def series():
    rng = np.random.default_rng(0)
    mask = rng.random((N, HOURS, VARIABLES)) < 0.4
    x = np.where(mask, rng.normal(size=mask.shape), 0).astype(np.float32)
    return torch.as_tensor(x), torch.as_tensor(mask).float(), torch.as_tensor(hours_since(mask))


def still(body):
    """Take the decays away: no rate, no start."""
    for p in (body.value_rate, body.value_start, body.state_rate.weight, body.state_rate.bias):
        p.data.zero_()
    return body


def test_hours_since_counts_from_the_last_measurement_before():
    mask = np.array([True, False, False, True, False, True, True])[None, :, None]
    assert hours_since(mask)[0, :, 0].tolist() == [0, 1, 2, 3, 1, 2, 1]
    never = hours_since(np.zeros((1, 3, 1), bool))
    assert never[0, :, 0].tolist() == [0, 1, 2] and never.dtype == np.float32


def test_hours_since_follows_the_recursion_of_che(series):
    mask = series[1].numpy() > 0
    expected = np.zeros_like(mask, dtype=float)
    for t in range(1, HOURS):
        expected[:, t] = 1 + np.where(mask[:, t - 1], 0, expected[:, t - 1])
    assert np.array_equal(hours_since(mask), expected)


def test_carried_gives_the_last_value_and_the_mean_before_the_first():
    x, mask = torch.tensor([[[9.0], [2.0], [9.0], [3.0], [9.0]]]), torch.tensor([[[0.0], [1], [0], [1], [0]]])
    assert carried(x, mask)[0, :, 0].tolist() == [0, 2, 2, 3, 3]


def test_grud_without_decay_and_gaps_is_a_gru():
    body = still(GRUD(VARIABLES, HIDDEN))
    x, full = torch.randn(N, HOURS, VARIABLES), torch.ones(N, HOURS, VARIABLES)
    gru = torch.nn.GRU(2 * VARIABLES, HIDDEN, batch_first=True)
    gru.load_state_dict({"weight_ih_l0": body.inward.weight, "weight_hh_l0": body.across.weight,
                         "bias_ih_l0": body.inward.bias, "bias_hh_l0": body.across.bias})
    expected = gru(torch.cat([x, full], dim=2))[0]
    assert torch.allclose(body(x, full, torch.rand(N, HOURS, VARIABLES)), expected, atol=1e-6)


def test_values_fade_to_the_mean_by_the_formula(series):
    x, mask, since = series
    body = GRUD(VARIABLES, HIDDEN)
    body.value_rate.data = torch.tensor([0.0, 0.1, 1.0, -3.0])  # a negative rate counts as none
    faded, last = body.decayed(x, mask, since), carried(x, mask)
    there = mask > 0
    assert torch.equal(faded[there], x[there])
    expected = last * torch.exp(-torch.tensor([0.0, 0.1, 1.0, 0.0]) * since)
    assert torch.allclose(faded[~there], expected[~there], atol=1e-6)


def test_the_state_is_forgotten_when_its_rate_is_large():
    body = still(GRUD(VARIABLES, HIDDEN))
    body.state_rate.bias.data.fill_(100)
    same = torch.randn(1, 1, VARIABLES).expand(1, HOURS, VARIABLES)
    states = body(same, torch.ones_like(same), torch.zeros_like(same))
    assert torch.allclose(states, states[:, :1].expand_as(states), atol=1e-6)


@pytest.mark.parametrize("body", [MaskedGRU, GRUD])
def test_what_stands_where_nothing_was_measured_does_not_matter(body, series):
    x, mask, since = series
    net = body(VARIABLES, HIDDEN)
    assert torch.allclose(net(x, mask, since), net(torch.where(mask > 0, x, 7.0), mask, since))


@pytest.mark.parametrize("body", [MaskedGRU, GRUD])
def test_padded_hours_do_not_matter(body, series):
    x, mask, since = series
    net, static = StayNet(body(VARIABLES, HIDDEN), HIDDEN, 2).eval(), torch.randn(N, 2)
    hours = torch.tensor([3, 5, HOURS])
    before = net(x, mask, since, static, hours)
    beyond = torch.arange(HOURS)[None, :, None] >= hours[:, None, None]
    x, mask, since = (torch.where(beyond, torch.full_like(t, v), t) for t, v in ((x, 4.0), (mask, 1.0), (since, 9.0)))
    assert before.shape == (N, 1) and torch.allclose(before, net(x, mask, since, static, hours))
    assert not torch.allclose(before, net(x, mask, since, static, torch.full((N,), HOURS)))


@pytest.mark.parametrize("body", [MaskedGRU, GRUD])
def test_every_weight_learns_and_gaps_are_hidden_in_training_alone(body, series):
    torch.manual_seed(0)
    net = StayNet(body(VARIABLES, HIDDEN), HIDDEN, 2, dropout=0.0, hidden_share=0.9)
    inputs = (*series, torch.randn(N, 2), torch.full((N,), HOURS))
    assert not torch.allclose(net(*inputs), net(*inputs))
    net.eval()
    out = net(*inputs)
    assert torch.equal(out, net(*inputs))
    out.sum().backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in net.parameters())
