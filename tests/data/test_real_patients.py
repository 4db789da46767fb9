"""On real patients, where their files are at hand: set MEDKIT_DATA to a folder that has them."""

import os

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from medkit import evaluate, fetch, training
from medkit.augment import Augment
from medkit.datasets import images, paired, stays, waveforms
from medkit.models.cnn import SmallCNN, pixel_scale, to_tensor
from medkit.models.waves import runs

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


@pytest.mark.skipif(not all((fetch.root() / "mitdb" / f"{r}.dat").exists() for r in (100, 114, 234)),
                    reason="needs mitdb in MEDKIT_DATA")
def test_mitdb_has_the_beats_that_the_literature_counts():
    """About 51,020 beats in DS1 and 49,710 in DS2 (de Chazal et al., 2004); those at either end have no window."""
    data = waveforms.beats("mitdb")
    learned, tested = len(data.parts["train"]) + len(data.parts["valid"]), len(data.parts["test"])
    assert abs(learned - 51020) < 60 and abs(tested - 49711) < 60
    counts = np.bincount(data.y[data.parts["test"]])
    assert abs(counts[2] - 3221) < 10 and abs(counts[3] - 388) < 5 and 1800 < counts[1] < 2060
    assert waveforms.mlii_first(fetch.path("mitdb", "114.hea")) == ["MLII", "V5"], "swapped in the file"
    assert len(set(data.patients)) == 43, "201 and 202 are one patient"


BEATS = bool(os.environ.get("MEDKIT_DATA")) and (fetch.root() / "mitdb" / "100.hea").exists()


@pytest.mark.skipif(not BEATS, reason="needs mitdb in MEDKIT_DATA")
def test_runs_of_real_beats_keep_their_true_order():
    """Lesson 4's runs of MIT-BIH: every beat once, in time, never across records; DS1 and DS2 apart."""
    data = waveforms.beats("mitdb")
    place, lengths = runs(data.record, 32)
    rows = np.concatenate([r[:k] for r, k in zip(place, lengths)])
    assert np.array_equal(rows, np.arange(len(data.y)))
    same = data.record[place[:, :-1]] == data.record[place[:, 1:]]
    assert same.all() and (np.diff(data.at[place], axis=1) >= 0).all()
    assert not set(data.record[data.parts["test"]]) & set(data.record[data.parts["train"]])
    assert np.bincount(data.y[data.parts["test"]], minlength=5)[1] > 1800


@pytest.mark.skipif(not BEATS, reason="needs mitdb in MEDKIT_DATA")
def test_simulated_beats_are_training_rows_alone():
    """Lesson 5's beats of MIT-BIH: described record by record; nobody simulated is validated or tested on."""
    data = paired.load("mitdb", describe=lambda windows, at: (windows, pd.DataFrame({"many": np.full(len(at), len(at))})))
    simulated = np.char.startswith(data.patients.astype(str), "VH")
    assert simulated[data.parts["train"]].any() and (~simulated)[data.parts["train"]].any()
    assert not simulated[data.parts["valid"]].any() and not simulated[data.parts["test"]].any()
    first = data.patients == "100"
    assert (data.inputs["values"][first] == first.sum()).all() and data.variables == ["many"]
    bare, real = paired.load("mitdb"), waveforms.beats("mitdb")
    assert bare.variables == list(waveforms.RR) and np.array_equal(bare.inputs["values"][:len(real.y), 0], real.rr)


PTBXL = bool(os.environ.get("MEDKIT_DATA")) and (fetch.root() / "ptbxl" / "scp_statements.csv").exists()


@pytest.mark.skipif(not PTBXL, reason="needs ptbxl in MEDKIT_DATA")
def test_ptbxl_keeps_its_folds_and_superclasses():
    """Official folds hold no patient twice; ECGs in mV; nearly every record has one of the five superclasses."""
    data = waveforms.recordings("ptbxl")
    assert data.X.shape[1:] == (1000, 12) and data.fs == 100 and 0.05 < data.X.std() < 1
    assert sorted(np.concatenate(list(data.parts.values()))) == list(range(len(data.y)))
    held = [set(data.patients[rows]) for rows in data.parts.values()]
    assert not held[0] & held[1] and not held[0] & held[2] and not held[1] & held[2]
    assert (data.y.sum(axis=1) > 0).mean() > 0.95 and (data.y.sum(axis=0) > 10).all() and data.y[:, 0].mean() > 0.3


@pytest.mark.skipif(not PTBXL, reason="needs ptbxl in MEDKIT_DATA")
def test_ptbxl_can_ask_for_any_finding():
    """The yes-no question keeps the folds, leaves out records without a superclass, and calls findings 1."""
    whole, data = waveforms.recordings("ptbxl"), waveforms.recordings("ptbxl-normal")
    kept = whole.y.any(axis=1)
    assert len(data.y) == kept.sum() and np.array_equal(data.y, whole.y[kept, 1:].max(axis=1))
    for part, rows in data.parts.items():
        assert np.array_equal(data.patients[rows], whole.patients[whole.parts[part]][kept[whole.parts[part]]])
