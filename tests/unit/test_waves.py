"""Nets for signals: shapes, packed runs, attention, and that order matters."""

import numpy as np
import pytest
import torch
from torch import nn

from medkit import training
from medkit.models.attention import Attention
from medkit.models.waves import RhythmNet, SignalNet, beat_encoder, runs


@pytest.mark.parametrize("samples", [5, 96, 101, 130])
def test_a_beat_of_any_length_becomes_one_vector(samples):
    assert beat_encoder(2, samples, features=12)(torch.randn(3, 2, samples)).shape == (3, 12)


def test_attention_sums_to_one_and_leaves_out_what_is_masked():
    x, there = torch.randn(2, 5, 4), torch.tensor([[True] * 5, [True, True, False, False, False]])
    assert Attention(4)(x)[0].shape == (2, 4)
    weights = Attention(4).weights(x, there)
    assert torch.allclose(weights.sum(1), torch.ones(2))
    assert (weights[1, 2:] == 0).all() and (weights[0] > 0).all()


@pytest.mark.parametrize("recurrent", [True, False])
def test_a_signal_gets_logits_and_attention(recurrent):
    net = SignalNet(3, 2, width=4, hidden=6, recurrent=recurrent)
    assert net(torch.randn(4, 3, 128)).shape == (4, 2)
    assert net.attend(torch.randn(4, 3, 128))[1].shape == (4, 16)


def test_runs_keep_order_cover_all_beats_and_never_cross_records():
    record = np.repeat([7, 3, 7], [5, 4, 1])
    rows, lengths = runs(record, 4)
    kept = np.concatenate([r[:k] for r, k in zip(rows, lengths)])
    assert np.array_equal(kept, np.arange(10)) and list(lengths) == [4, 1, 4, 1]
    assert all(len(set(record[r])) == 1 for r in rows)


def test_filling_changes_nothing_but_a_neighbour_does():
    training.set_seed(0)
    net = RhythmNet(2, 40, 3, 4, features=8, hidden=6, width=4).eval()
    beats, context = torch.randn(2, 6, 2, 40), torch.randn(2, 6, 3)
    lengths = torch.tensor([6, 4])
    out = net(beats, context, lengths)
    assert out.shape == (2, 6, 4)
    refilled = beats.clone()
    refilled[1, 4:] = 100.0
    assert torch.equal(net(refilled, context, lengths)[1, :4], out[1, :4])
    assert torch.allclose(net(beats[1:, :4], context[1:, :4], lengths[1:]), out[1:, :4], atol=1e-5)
    other = context.clone()
    other[0, 5] += 3
    assert not torch.allclose(net(beats, other, lengths)[0, 4], out[0, 4])


@pytest.mark.parametrize("cell", [nn.GRU, nn.LSTM, nn.RNN])
def test_read_forwards_alone_a_beat_knows_its_past_and_not_its_future(cell):
    training.set_seed(0)
    net = RhythmNet(2, 40, 3, 4, features=8, hidden=6, width=4, cell=cell, both_ways=False).eval()
    beats, context, lengths = torch.randn(1, 6, 2, 40), torch.randn(1, 6, 3), torch.tensor([6])
    changed = context.clone()
    changed[0, 3] += 3
    out, other = net(beats, context, lengths), net(beats, changed, lengths)
    assert torch.allclose(out[0, :3], other[0, :3], atol=1e-6)
    assert not torch.allclose(out[0, 4], other[0, 4])
