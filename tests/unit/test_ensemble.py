"""Combining members, and making them."""

import numpy as np
import pytest
import torch
from scipy.special import softmax
from sklearn.linear_model import LogisticRegression
from torch import nn

from medkit import ensemble, training
from medkit.errors import MedkitError
from medkit.models.cnn import Pixels, SmallCNN


def yes(*risks):
    """Make a member of risks of "yes"."""
    return np.array(risks, dtype=float)


def test_votes_and_ties_by_hand():
    p = [yes(0.9, 0.6, 0.2, 0.9), yes(0.6, 0.1, 0.3, 0.4), yes(0.1, 0.4, 0.9, 0.4)]
    assert ensemble.vote(p).tolist() == [1, 0, 0, 0]
    assert np.allclose(ensemble.vote_share(p), [2 / 3, 1 / 3, 1 / 3, 1 / 3])
    two = [yes(0.9, 0.6, 0.7), yes(0.4, 0.1, 0.3)]  # one vote each: mean risks 0.65, 0.35, 0.5
    assert ensemble.vote(two).tolist() == [1, 0, 0]
    # A vote each; class 1 has the highest mean.
    three = np.array([[[0.5, 0.3, 0.2]], [[0.1, 0.6, 0.3]], [[0.1, 0.35, 0.55]]])
    assert ensemble.vote(three).tolist() == [1]


def test_averages_by_hand():
    p = [yes(0.9, 0.5), yes(0.1, 0.5), yes(0.9, 0.5)]
    assert np.allclose(ensemble.average(p), [1.9 / 3, 0.5])
    assert np.allclose(ensemble.average(p, [0, 1, 1]), [0.5, 0.5])
    assert np.allclose(ensemble.average_logits(p), [1 / (1 + 9 ** (-1 / 3)), 0.5])
    both = np.stack([1 - np.array(p), np.array(p)], axis=2)
    assert np.allclose(ensemble.average(both)[:, 1], ensemble.average(p))
    assert np.allclose(ensemble.average_logits(both)[:, 1], ensemble.average_logits(p))


def test_bayesian_weights_by_hand_and_their_collapse():
    p, y = [yes(0.8, 0.5), yes(0.4, 0.5)], [1, 0]
    assert np.allclose(ensemble.bma_weights(p, y), [2 / 3, 1 / 3])  # likelihoods 0.4 and 0.2
    assert np.allclose(ensemble.bma_weights(p, y, power=0), [0.5, 0.5])
    rng = np.random.default_rng(0)
    risk = rng.uniform(0.05, 0.95, 2000)
    y = (rng.random(2000) < risk).astype(int)
    near = [risk, np.clip(risk + rng.normal(0, 0.1, 2000), 0.01, 0.99)]
    assert ensemble.bma_weights(near, y)[0] > 0.999
    assert 0.5 < ensemble.bma_weights(near, y, power=1 / 2000)[0] < 0.6
    few = ensemble.pseudo_bma_weights([m[:60] for m in near], y[:60])
    assert np.isclose(few.sum(), 1) and np.all(few > 0) and few[0] < 0.999
    assert np.array_equal(few, ensemble.pseudo_bma_weights([m[:60] for m in near], y[:60]))


def test_temperature_recovers_the_one_that_was_applied():
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(20_000, 3)) * 1.5
    y = np.array([rng.choice(3, p=q) for q in softmax(logits, axis=1)])
    too_sure = softmax(2.5 * logits, axis=1)
    assert ensemble.temperature(too_sure, y) == pytest.approx(2.5, rel=0.05)
    right = ensemble.cool(too_sure, 2.5)
    assert np.allclose(right, softmax(logits, axis=1), atol=5e-3)
    assert ensemble.nll(y, right) < ensemble.nll(y, too_sure)
    w = rng.integers(0, 3, (4, len(y)))
    assert np.allclose(ensemble.nll(y, right, w)[0], np.average(-np.log(right[np.arange(len(y)), y]), weights=w[0]))


def test_a_stack_finds_the_member_that_knows_and_never_sees_its_own_rows():
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 600)
    knows = np.clip(0.5 + 0.3 * (2 * y - 1) + rng.normal(0, 0.25, 600), 0.02, 0.98)
    guesses = rng.uniform(0.02, 0.98, 600)
    stack = ensemble.Stack().fit([knows[:300], guesses[:300]], y[:300])
    mixed = stack.predict([knows[300:], guesses[300:]])
    assert mixed.shape == (300,) and ((mixed > 0.5) == y[300:]).mean() > 0.8
    coin = [rng.uniform(0.02, 0.98, 200) for _ in range(30)]
    labels = rng.integers(0, 2, 200)
    fitted = ensemble.Stack(C=100.0).fit(coin, labels).predict(coin)
    honest = ensemble.Stack(C=100.0).cross_fitted(coin, labels)
    assert ((fitted > 0.5) == labels).mean() > 0.6 > ((honest > 0.5) == labels).mean()
    few = np.array([0, 1, 0, 1, 1])  # two patients of a class serve, one does not
    assert ensemble.Stack().cross_fitted([knows[:5], guesses[:5]], few).shape == (5,)
    with pytest.raises(MedkitError, match="two patients of each class"):
        ensemble.Stack().cross_fitted([knows[:5], guesses[:5]], few, groups=np.array([0, 1, 0, 2, 3]))


def test_disagreement_spread_and_refusal():
    p = [yes(0.9, 0.9, 0.1), yes(0.9, 0.2, 0.1)]
    assert np.allclose(ensemble.disagreement(p), [[0, 1 / 3], [1 / 3, 0]])
    assert ensemble.spread(p)[[0, 2]] == pytest.approx([0, 0]) and ensemble.spread(p)[1] > 0.2
    error = ensemble.refusal_curve([0, 1, 0, 1], np.array([0.1, 0.9, 0.2, 0.8]), [0, 0.25, 0.5])
    assert np.allclose(error, [0.5, 1 / 3, 0])


@pytest.mark.parametrize("p, message", [
    ([yes(0.5, 0.5)], "at least 2 members"), ([yes(0.5), yes(0.5, 0.5)], r"differ in shape: \(1,\), \(2,\)"),
    ([yes(0.5, 0.5), yes(0.5, 1.5)], "Member 1 lies outside 0 to 1 in row 1"),
    ([yes(0.5, -0.1), yes(0.5, 0.5)], "Member 0 lies outside 0 to 1 in row 1"),
    ([yes(0.5, np.nan), yes(0.5, 0.5)], r"Member 0 is missing \(NaN\) in row 1"),
    ([np.ones((2, 2)), np.ones((2, 2))], "add up to 2.000"), ([[], []], "shape")])
def test_bad_members_get_a_clear_error(p, message):
    for combine in (ensemble.average, ensemble.average_logits, ensemble.vote, ensemble.vote_share, ensemble.spread):
        with pytest.raises(MedkitError, match=message):
            combine(p)


def test_bad_weights_and_labels_get_a_clear_error():
    p = [yes(0.5, 0.5), yes(0.5, 0.5)]
    for weights in ([1], [1, -1], [0, 0], [np.nan, 1]):
        with pytest.raises(MedkitError, match="need 2 weights"):
            ensemble.average(p, weights)
    with pytest.raises(MedkitError, match="labels but 2 predicted rows"):
        ensemble.bma_weights(p, [1, 0, 1])


@pytest.fixture
def pictures():
    g = torch.Generator().manual_seed(0)
    X = torch.randn(96, 1, 6, 6, generator=g)
    return X, (X[:, 0, 2:4, 2:4].mean((1, 2)) > 0).long()


def picture_net(seed):
    """Make a CNN with everything that a member side by side may have."""
    torch.manual_seed(seed)
    first = nn.Sequential(nn.Conv2d(1, 3, 3, bias=False), nn.BatchNorm2d(3, affine=seed < 100), nn.ReLU(), nn.MaxPool2d(2))
    head = nn.Sequential(nn.Flatten(), nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 2, bias=seed < 100))
    return nn.Sequential(Pixels(0.5, 0.2), first, nn.Conv2d(3, 4, 2), nn.ReLU(), head)


def table_net(seed):
    """Make a net on a table."""
    torch.manual_seed(seed)
    return nn.Sequential(nn.Flatten(), nn.Linear(36, 5, bias=False), nn.BatchNorm1d(5), nn.ReLU(), nn.Linear(5, 2))


@pytest.mark.parametrize("make, seed", [(picture_net, 0), (picture_net, 100), (table_net, 0)])
def test_members_side_by_side_equal_members_trained_alone_on_the_same_batches(pictures, make, seed):
    X, y = pictures
    nets, expected = ([make(seed + k) for k in range(3)] for _ in range(2))

    def trained(net, loss):
        torch.manual_seed(9)
        optimiser = torch.optim.AdamW(net.train().parameters(), 0.01)
        for rows in torch.randperm(len(X)).split(32) * 4:
            optimiser.zero_grad()
            loss(net(X[rows]), y[rows]).backward()
            optimiser.step()
        return net

    wide = ensemble.SideBySide(nets)
    with torch.no_grad():
        assert torch.allclose(wide.eval()(X), torch.stack([n.eval()(X) for n in nets], dim=1), atol=1e-5)
    trained(wide, wide.loss)
    for net, alone in zip(wide.separate(), expected):
        trained(alone, nn.functional.cross_entropy)
        for name, value in alone.state_dict().items():
            assert torch.allclose(value.float(), net.state_dict()[name].float(), atol=1e-4), name


@pytest.mark.parametrize("nets, match", [
    ([nn.Sequential(nn.BatchNorm1d(4), nn.Linear(4, 2))], "linear layer comes first"),
    ([nn.Sequential(nn.Conv2d(1, 2, 3), nn.GroupNorm(1, 2))], "Train other nets one by one"),
    ([nn.Sequential(nn.Conv2d(2, 2, 3, groups=2))], "ungrouped convolution"),
    ([nn.ReLU()], "Train other nets one by one"),
    ([], "same layers of the same sizes"),
    ([nn.Sequential(nn.Conv2d(1, n, 3)) for n in (2, 3)], "same layers of the same sizes"),
])
def test_nets_that_cannot_stand_side_by_side_are_refused(nets, match):
    with pytest.raises(MedkitError, match=match):
        ensemble.SideBySide(nets)


def learner(X, y, dropout=0.3):
    training.set_seed(0)
    dls = training.array_loaders((X, y), (X, y), 32)
    model = nn.Sequential(nn.Flatten(), nn.Linear(36, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(dropout),
                          nn.Linear(16, 2))
    return training.learner(dls, model, nn.CrossEntropyLoss())


def test_members_from_one_training(pictures):
    X, y = pictures
    learn = learner(X, y)
    shots = ensemble.snapshots(learn, cycles=2, epochs=3, lr=0.01)
    kept = ensemble.collect(learn, epochs=4, lr=0.01, per_epoch=1)
    assert len(shots) == 2 and len(kept) == 4 and not torch.equal(kept[0], kept[-1])
    averaged = ensemble.swa(learn.model, kept, learn.dls.train)
    flat = nn.utils.parameters_to_vector(averaged.parameters())
    assert torch.allclose(flat, kept.mean(0), atol=1e-6)
    drawn = ensemble.swag(learn.model, kept, learn.dls.train, count=300)
    weights = torch.stack([nn.utils.parameters_to_vector(n.parameters()).detach() for n in drawn])
    assert torch.allclose(weights.mean(0), kept.mean(0), atol=float(5 * kept.std(0).max() / 300 ** 0.5))
    expected = (kept.var(0, unbiased=False) + kept.var(0)) / 2  # the diagonal half and the low-rank half
    assert float(weights.var(0).mean() / expected.mean()) == pytest.approx(1, abs=0.15)
    own = nn.utils.parameters_to_vector(learn.model.parameters())
    assert own.equal(kept[-1])  # the Learner's net is left alone
    p = ensemble.predictions([learn, *shots, averaged, *drawn[:2]], X)
    assert p.shape == (6, 96, 2) and ((ensemble.average(p)[:, 1] > 0.5) == y.numpy()).mean() > 0.8


def test_dropout_left_on_gives_different_answers_and_is_put_back(pictures):
    X, y = pictures
    learn = learner(X, y)
    p = ensemble.mc_dropout(learn.model, X, passes=4)
    assert p.shape == (4, 96, 2) and not np.allclose(p[0], p[1])
    assert np.array_equal(p, ensemble.mc_dropout(learn.model, X, passes=4))
    assert not any(m.training for m in learn.model.modules())
    with pytest.raises(MedkitError, match="no dropout"):
        ensemble.mc_dropout(nn.Linear(2, 2), X)


def test_it_takes_any_model_of_the_suite():
    X = np.random.default_rng(0).normal(size=(50, 4)).astype(np.float32)
    logistic = LogisticRegression().fit(X, X[:, 0] > 0)
    assert ensemble.predictions([logistic, nn.Linear(4, 2)], X).shape == (2, 50, 2)
    assert ensemble.predictions([nn.Linear(4, 1)], X).shape == (1, 50)
    films = torch.zeros(3, 1, 28, 28, dtype=torch.uint8)
    assert ensemble.predictions([SmallCNN(1, 2, 4), SmallCNN(1, 2, 8)], films).shape == (2, 3, 2)
    signals = nn.GRU(2, 3)

    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.gru, self.head = signals, nn.Linear(7, 2)

        def forward(self, series, age):
            return self.head(torch.cat([self.gru(series.transpose(0, 1))[0][-1], age], 1))

    assert ensemble.predictions([Two()], torch.zeros(5, 9, 2), torch.zeros(5, 4)).shape == (1, 5, 2)
