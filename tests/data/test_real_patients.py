"""On real patients, where their files are at hand: set MEDKIT_DATA to a folder that has them."""

import os

import numpy as np
import pytest
import torch
from torch import nn

from medkit import evaluate, fetch, training
from medkit.augment import Augment
from medkit.datasets import images, stays
from medkit.models.cnn import SmallCNN, pixel_scale, to_tensor

HERE = bool(os.environ.get("MEDKIT_DATA")) and (fetch.root() / "pneumoniamnist" / "pneumoniamnist.npz").exists()


@pytest.mark.skipif(not HERE, reason="needs pneumoniamnist in MEDKIT_DATA")
def test_the_small_network_diagnoses_real_pneumonia():
    """A few epochs of lesson 3's recipe must beat its simple baseline (0.941) on real children, with room."""
    data = images.load("pneumoniamnist")
    X = {part: to_tensor(stack) for part, stack in data.X.items()}
    training.set_seed(0)
    dls = training.array_loaders((X["train"], data.y["train"]), (X["valid"], data.y["valid"]), 128, augment=Augment())
    net = SmallCNN(1, 2, 16, pixel_scale(data.X["train"]))
    learn = training.learner(dls, net, nn.CrossEntropyLoss(label_smoothing=0.05), cbs=training.averaging())
    training.fit(learn, 6, lr=0.01, wd=0.3)
    p = torch.cat([training.forward(net, [b]) for b in X["test"].split(512)]).softmax(1)[:, 1].numpy()
    assert evaluate.auroc(data.y["test"], p) > 0.955


@pytest.mark.skipif(not HERE, reason="needs pneumoniamnist in MEDKIT_DATA")
def test_the_official_file_is_recognised():
    assert fetch.status("pneumoniamnist", "pneumoniamnist.npz") == "right"


SET_A = bool(os.environ.get("MEDKIT_DATA")) and (fetch.root() / "challenge-2012" / "set-a.tar.gz").exists()


@pytest.mark.skipif(not SET_A, reason="needs challenge-2012 in MEDKIT_DATA")
def test_set_a_is_read_whole_and_mended():
    """4,000 stays, 554 deaths (Silva et al. 2012); nothing impossible is left."""
    data = stays.load("challenge-2012")
    assert data.values.shape == (4000, 48, 37) and data.y.sum() == 554
    assert 0.18 < data.mask.mean() < 0.22 and data.static["Height"].notna().sum() > 2000
    ph, heart = (data.values[:, :, data.variables.index(name)] for name in ("pH", "HR"))
    assert 6.6 <= np.nanmin(ph) and np.nanmax(ph) <= 8 and np.nanmin(heart) >= 10
