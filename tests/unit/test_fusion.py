"""Nets that join modalities: shares of attention, missing modalities, modality dropout."""

import numpy as np
import pytest
import torch
from torch import nn

from medkit.datasets import paired
from medkit.errors import MedkitError
from medkit.models.fusion import Fusion, parameters


class Plain(nn.Module):
    """An encoder that gives back what it gets."""

    features = 3

    def forward(self, x):
        return x


def net(how, drop=0.0):
    torch.manual_seed(0)
    return Fusion({"image": Plain(), "values": Plain()}, how=how, drop=drop).eval()


X = torch.randn(6, 3), torch.randn(6, 3)
BOTH = torch.ones(6, 2, dtype=torch.bool)
FIRST = torch.tensor([[True, False]] * 6)


@pytest.mark.parametrize("how", ["early", "attention"])
def test_a_missing_modality_has_no_influence(how):
    one = net(how)
    assert one(*X, BOTH).shape == (6, 1)
    assert torch.equal(one(X[0], X[1], FIRST), one(X[0], X[1] + 5, FIRST))
    assert not torch.allclose(one(X[0], X[1], BOTH), one(X[0], X[1] + 5, BOTH))


def test_attention_sums_to_one_over_what_is_there():
    weights = net("attention").attend(*X, BOTH)
    assert torch.allclose(weights.sum(1), torch.ones(6)) and (weights > 0).all()
    assert torch.allclose(net("attention").attend(*X, FIRST), FIRST.float())


def test_modality_dropout_hides_but_never_everything():
    one = net("attention", drop=0.9)
    assert torch.equal(one.encode(X, BOTH)[1], BOTH), "nothing is hidden outside training"
    one.train()
    there = torch.stack([one.encode(X, BOTH)[1] for _ in range(50)])
    assert there.any(2).all() and 0.5 < there.float().mean() < 0.95
    assert not one.encode(X, FIRST)[1][:, 1].any(), "a modality that is missing stays so"


def test_parameters_are_counted():
    assert parameters(net("early")) == 2 * (3 * 32 + 32) + 64 + 1


def test_simulated_patients_have_all_modalities_and_a_known_finding():
    data = paired.load(admitted=60, seed=2)
    assert {k: v.shape[0] for k, v in data.inputs.items()} == {"image": 60, "signal": 60, "values": 60}
    assert np.array_equal(data.y, data.findings.any(axis=1)) and list(data.findings) == list(data.inputs)
    assert sorted(np.concatenate(list(data.parts.values()))) == list(range(60))
    with pytest.raises(MedkitError, match="Did you mean 'mitdb'"):
        paired.load("mitbd")


def test_rows_that_are_drawn_keep_what_belongs_to_them():
    data = paired.load(admitted=60, seed=2)
    some = paired.thin(data, 10, seed=0)
    assert max(map(len, some.parts.values())) == 10 and len(some.y) == sum(map(len, some.parts.values()))
    of = np.array([np.flatnonzero(data.patients == patient)[0] for patient in some.patients])
    assert all(np.array_equal(some.inputs[m], data.inputs[m][of], equal_nan=m != "image") for m in data.inputs)
    assert np.array_equal(some.findings.any(axis=1), some.y) and len(some.groups) == len(some.y)
    for part, rows in some.parts.items():
        assert set(of[rows]) <= set(data.parts[part]), part
    assert paired.thin(data, 60, seed=0) is data
