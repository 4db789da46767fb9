"""The one way to a Learner."""

import numpy as np
import pytest
import torch
from torch import nn

from medkit import training
from medkit.errors import MedkitError


@pytest.fixture
def arrays():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(300, 4)).astype(np.float32)
    return X, (X[:, 0] + X[:, 1] > 0).astype(np.int64)


def trained(X, y, seed=0):
    training.set_seed(seed)
    dls = training.array_loaders((X[:200], y[:200]), (X[200:], y[200:]), batch_size=32, seed=seed)
    learn = training.learner(dls, nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2)), nn.CrossEntropyLoss())
    return training.fit(learn, 8, lr=0.02)


def test_it_learns_and_the_same_seed_gives_the_same_numbers(arrays, capsys):
    X, y = arrays
    p = training.probabilities(trained(X, y), X[200:])
    assert p.shape == (100, 2) and np.allclose(p.sum(1), 1, atol=1e-5)
    assert (p.argmax(1) == y[200:]).mean() > 0.9
    assert np.array_equal(p, training.probabilities(trained(X, y), X[200:]))
    assert not np.array_equal(p, training.probabilities(trained(X, y, seed=1), X[200:]))
    assert capsys.readouterr().out == ""


def test_fastais_own_tools_work_on_it(arrays):
    learn = trained(*arrays)
    with learn.no_bar():
        predictions, targets = learn.get_preds(ds_idx=1)
    assert predictions.shape == (100, 2) and np.array_equal(targets.numpy(), arrays[1][200:])


def test_every_row_comes_once_an_epoch_and_augmentation_touches_training_alone(arrays):
    X = torch.arange(10.0)[:, None]
    loader = training.ArrayLoader((X, X), batch_size=3, shuffle=True, augment=lambda b: b + 100)
    seen = torch.cat([target for _, target in loader])
    assert len(seen) == 9 and len(set(seen.flatten().tolist())) == 9 and len(loader) == 3
    assert all((x == target + 100).all() for x, target in loader)
    in_order = list(loader.new())
    assert torch.equal(torch.cat([x for x, _ in in_order]), X) and len(in_order) == 4


def test_lengths_must_agree(arrays):
    X, y = arrays
    with pytest.raises(MedkitError, match="differ in length"):
        training.array_loaders((X, y[:-1]), (X, y))


def test_the_device_is_one_that_exists():
    torch.zeros(1, device=training.best_device())
