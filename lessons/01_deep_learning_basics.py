# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
#   medkit:
#     title: Deep learning basics
#     learn:
#       - write a neural network in four ways, from plain arithmetic to fastai, and see that they are one
#       - train it, and tell learning from memorising
#       - judge it as a clinician would, against a strong simple model, with an interval
#     read_minutes: 35
#     before: a little Python and NumPy; no calculus beyond what a slope is.
#     data: Wisconsin diagnostic breast cancer (569 real patients, in scikit-learn).
#     claim: "\"A neural network finds patterns that simpler models miss.\" Here: does it beat logistic regression on patients that neither has seen?"
# ---

# %% tags=["context"]
import medkit  # first, as it keeps a warning of fastai's import quiet

import numpy as np
import pandas as pd
import torch
from fastai.optimizer import SGD
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from torch import nn

from medkit import evaluate, plots, training
from medkit.datasets import tables
from medkit.errors import MedkitError
from medkit.exercise import Exercise
from medkit.report import quote, record, say

plots.use_style()

# %% [markdown]
# The next cell holds the parameters. Change one and run the notebook again, or run it as a report
# with a value of your own: `medkit run 1 -p seed=1`.

# %% tags=["parameters", "context"]
dataset: str = "wisconsin-breast-cancer"  # a table by name, or the path of a CSV file
outcome: str = "outcome"  # for a CSV file: the column to predict (two values)
effort: str = "demo"  # demo | full: more splits and more draws
hidden: int = 16  # 1 to 4096: nodes in the hidden layer
seed: int = 0  # 0 to 999999: which split, which starting weights

# %% [markdown]
# ## A working result first
#
# By default: a needle takes cells from a lump in the breast. A microscope picture of them gives 30 measurements of
# their nuclei: size, texture, symmetry. Is the lump malignant? Each row is one patient. (A table of your own
# asks its own question, and a patient may have several rows.) Patients are split into three groups: we learn from the
# first (*training*), choose with the second (*validation*), and look at the third (*test*) once, at the end.

# %% tags=["context", "nbval-check-output"]
table = tables.load(dataset, outcome=outcome, seed=seed)
who = table.patients
if len(table.classes) != 2:
    raise MedkitError(f"This lesson needs an outcome of two values; '{outcome}' in {dataset} has {len(table.classes)}: "
                      f"{', '.join(table.classes[:5])}. Join some, or use medkit report, which takes up to 20.")
say(f"Class 1 of the table, *the ill* below: **{quote(table.classes[1])}**. Class 0: {quote(table.classes[0])}.")
for note in table.notes:
    say(note)
pd.DataFrame({part: np.bincount(y) for part, y in table.y.items()}, index=table.classes)

# %% [markdown]
# Measurements come in different units, so we bring each to mean 0 and standard deviation 1. The mean and
# the standard deviation come from the *training* patients alone: the others stand for patients whom we
# have not met.

# %% tags=["context"]
def scaled(frame, like):
    """Bring measurements to the units of the patients `like`; a missing one becomes their mean."""
    numbers = like.select_dtypes("number")
    units = (frame[numbers.columns] - numbers.mean()) / numbers.std().replace(0, 1)
    return units.fillna(0).to_numpy(np.float32)


def arrays(table):
    """Give inputs and outcomes of each part, scaled by the training part."""
    X = {part: scaled(frame, table.X["train"]) for part, frame in table.X.items()}
    return X, {part: codes.astype(np.float32) for part, codes in table.y.items()}


X, y = arrays(table)
numeric = list(table.X["train"].select_dtypes("number"))
left_out = [column for column in table.X["train"] if column not in numeric]
say(f"The network sees {len(numeric)} columns of numbers. "
    + (f"Left out, as they hold no numbers: {', '.join(map(quote, left_out))}." if left_out else ""))

# %% [markdown]
# Now the whole of deep learning in a few lines. We stack two layers of nodes, and a `Learner` trains them.

# %%
def make_net(n_in, n_hidden):
    """Make a network with one hidden layer and one output (the logit of the risk)."""
    return nn.Sequential(nn.Linear(n_in, n_hidden), nn.ReLU(), nn.Linear(n_hidden, 1), nn.Flatten(0))


def train(X_train, y_train, X_valid, y_valid, epochs=20, n_hidden=hidden, seed=seed, progress=False):
    """Train a network on some patients, watching others."""
    training.set_seed(seed)
    dls = training.array_loaders((X_train, y_train), (X_valid, y_valid), batch_size=32, seed=seed)
    learn = training.learner(dls, make_net(X_train.shape[1], n_hidden), nn.BCEWithLogitsLoss())
    return training.fit(learn, epochs, lr=0.01, progress=progress)


def risk(learn, X):
    """Predict the risk of each patient."""
    return torch.sigmoid(training.forward(learn.model, [torch.as_tensor(X)])).numpy()


# %%
learn = train(X["train"], y["train"], X["valid"], y["valid"], progress=True)
say(f"On validation patients the network's AUROC is "
    f"**{evaluate.interval(evaluate.auroc, y['valid'], risk(learn, X['valid']), who['valid'])}**.")

# %% [markdown]
# AUROC is the chance that a randomly chosen ill patient gets a higher risk than a randomly chosen well one:
# 0.5 is a coin, 1 is perfect. The interval says how far the figure would move with other patients.
#
# (In the table, `train_loss` is a running mean, so it lags behind; `valid_loss` is that of the moment.)
#
# The rest of the lesson takes this result apart: what is a node, how does it learn, does it beat something
# simpler, and when does it fail?

# %% [markdown]
# ## One node
#
# A node weighs its inputs, adds them up, and bends the sum. With weights $w$ and a bias $b$,
#
# $$z = w_1 x_1 + w_2 x_2 + \dots + b, \qquad p = \frac{1}{1 + e^{-z}}$$
#
# The bend here is the *sigmoid*, which turns any number into a probability. A single node with a sigmoid
# is logistic regression.

# %%
def sigmoid(z):
    """Turn a logit into a probability."""
    return 1 / (1 + np.exp(-z))


w, b = np.zeros(X["train"].shape[1]), 0.0
p = sigmoid(X["train"] @ w + b)
p[:5]

# %% [markdown]
# With all weights at zero the node knows nothing, and gives everybody even odds. How wrong is that? The
# *cross-entropy* is small when the ill get a high risk and the well a low one, and large when the node is
# sure and wrong. Its unit is the *nat* (the logarithm is the natural one).

# %%
def cross_entropy(y, p):
    """Mean negative log-likelihood of the true classes, in nats."""
    of_the_truth = np.where(y == 1, p, 1 - p)
    return -np.mean(np.log(of_the_truth))


cross_entropy(y["train"], p)

# %% [markdown]
# ### Learning is walking downhill
#
# The *gradient* says how the loss changes when a weight changes a little. For a sigmoid with cross-entropy
# it has a short form: the error $p - y$ of each patient, times the input. To learn, take a small step
# against the gradient, and repeat.

# %%
losses = []
for step in range(50):
    p = sigmoid(X["train"] @ w + b)
    losses.append(cross_entropy(y["train"], p))
    error = (p - y["train"]) / len(p)
    w, b = w - 0.5 * (X["train"].T @ error), b - 0.5 * error.sum()

# %%
plots.curves(range(50), {"one node": losses}, "step", "cross-entropy (nats)", "One node learns by gradient descent")

# %% [markdown]
# How do we know that the short form of the gradient is right? Nudge one weight and watch the loss.

# %%
def loss_at(w, b):
    """Give the loss on training patients for some weights."""
    return cross_entropy(y["train"], sigmoid(X["train"] @ w + b))


nudge = np.zeros_like(w)
nudge[0] = 1e-4
by_nudging = (loss_at(w + nudge, b) - loss_at(w - nudge, b)) / 2e-4
by_formula = X["train"][:, 0] @ ((sigmoid(X["train"] @ w + b) - y["train"]) / len(p))
print(f"by nudging {by_nudging:.6f}, by formula {by_formula:.6f}")

# %% [markdown]
# ## Layers: one model, four spellings
#
# One node draws one straight border between ill and well. A *hidden layer* of nodes draws many, and the
# output node combines them. Between the layers stands a bend, here $\max(0, z)$, called *ReLU*. Without
# it, two layers would be no more than one.
#
# We now write the same network four times, and train each from the same starting weights. First by hand.

# %%
rng = np.random.default_rng(seed)
n_in, steps, lr = X["train"].shape[1], 20, 0.5
start = [rng.normal(0, n_in**-0.5, (n_in, hidden)), np.zeros(hidden),
         rng.normal(0, hidden**-0.5, (hidden, 1)), np.zeros(1)]
start = [s.astype(np.float32) for s in start]


def gradients(W1, b1, W2, b2):
    """Pass forward through the layers, then backward through the chain rule."""
    h = np.maximum(X["train"] @ W1 + b1, 0)
    p = sigmoid(h @ W2 + b2)[:, 0]
    d_out = ((p - y["train"]) / len(p))[:, None]
    d_hidden = d_out @ W2.T * (h > 0)
    return p, [X["train"].T @ d_hidden, d_hidden.sum(0), h.T @ d_out, d_out.sum(0)]


# %%
losses = {"by hand": []}
weights = [s.copy() for s in start]
for step in range(steps):
    p, slopes = gradients(*weights)
    losses["by hand"].append(cross_entropy(y["train"], p))
    weights = [v - lr * g for v, g in zip(weights, slopes)]

# %% [markdown]
# Working out gradients by hand is slow and easy to get wrong. *Autograd* records each operation, and
# computes all gradients when asked. We write the forward pass alone.

# %%
loss_of = nn.BCEWithLogitsLoss()
X_t, y_t = torch.as_tensor(X["train"]), torch.as_tensor(y["train"])
losses["autograd"] = []
W1, b1, W2, b2 = weights = [torch.tensor(s, requires_grad=True) for s in start]
for step in range(steps):
    loss = loss_of((torch.relu(X_t @ W1 + b1) @ W2 + b2)[:, 0], y_t)
    losses["autograd"].append(loss.item())
    for v, g in zip(weights, torch.autograd.grad(loss, weights)):
        v.data -= lr * g

# %% [markdown]
# Next, let PyTorch hold the weights (`nn.Module`) and take the steps (an *optimiser*; plain *stochastic
# gradient descent* here).

# %%
def same_start():
    """Make the network with the starting weights of the other spellings."""
    net = make_net(n_in, hidden)
    for v, s in zip(net.parameters(), start):
        v.data = torch.tensor(s.T.copy())
    return net


losses["nn.Module"] = []
net = same_start()
optimiser = torch.optim.SGD(net.parameters(), lr=lr)
for step in range(steps):
    loss = loss_of(net(X_t), y_t)
    losses["nn.Module"].append(loss.item())
    loss.backward()
    optimiser.step()
    optimiser.zero_grad()

# %% [markdown]
# Last, let a fastai `Learner` run the loop too. From here on the suite always trains this way, whatever the
# data: the loop never changes, so we write it once and look at what does change.

# %%
everybody = (X_t, y_t)
dls = training.array_loaders(everybody, everybody, len(y_t), device=torch.device("cpu"))
learn_sgd = training.learner(dls, same_start(), loss_of, opt_func=SGD)
with learn_sgd.no_bar(), learn_sgd.no_logging():
    learn_sgd.fit(steps, lr, wd=0)
first = float(learn_sgd.recorder.losses[0])  # the later ones there are a running mean
after = [valid_loss for _, valid_loss in learn_sgd.recorder.values]  # after each step, on the same patients
losses["fastai"] = [first, *after[:-1]]

# %%
frame = pd.DataFrame(losses)
largest = (frame.max(axis=1) - frame.min(axis=1)).max()
say(f"The four spellings walk the same path: over {steps} steps their losses differ by at most **{largest:.0e}** nats.")
record("spellings_gap", largest, unit="nats")
frame.iloc[[0, 1, 5, 19]].round(6)

# %% [markdown]
# ## Learning or memorising?
#
# A large network can learn its training patients by heart. We give one with 256 hidden nodes only 40
# patients and let it train for long. The loss on these 40 goes on falling. Where the loss on others no longer falls
# with it, or rises, that is *overfitting*.

# %%
few = np.random.default_rng(seed).permutation(len(y["train"]))[:40]
crammed = train(X["train"][few], y["train"][few], X["valid"], y["valid"], epochs=60, n_hidden=256)
path = np.array(crammed.recorder.values)
plots.curves(range(1, 61), {f"the {len(few)} training patients (running mean)": path[:, 0], "validation patients": path[:, 1]},
             "epoch (pass over the training patients)", "cross-entropy (nats)", "A large network on few patients")

# %% [markdown]
# ### Do more patients help?
#
# The *learning curve* shows the same network trained on more and more patients. The gap between the two
# lines is what the network learned that holds only for the patients it met. Few draws make a bumpy line: look at its
# ends, and at the bands.

# %%
everybody_there = len(y["train"])
sizes = [n for n in (20, 50, 100, 200) if n < everybody_there] + [everybody_there]
draws = 3 if effort == "demo" else 20


def one_point(n, draw):
    """Train on n random training patients: AUROC on these, and on validation patients."""
    rows = np.random.default_rng(1000 * seed + draw).permutation(len(y["train"]))[:n]
    learn = train(X["train"][rows], y["train"][rows], X["valid"], y["valid"], seed=draw)
    return [evaluate.auroc(y["train"][rows], risk(learn, X["train"][rows])),
            evaluate.auroc(y["valid"], risk(learn, X["valid"]))]


points = np.array([[one_point(n, draw) for draw in range(draws)] for n in sizes])

# %%
class Spread(evaluate.Estimate):
    """A mean over draws, with the lowest and the highest of them: no interval."""

    def __str__(self):
        return f"{self.value:.3f} ({self.low:.3f} to {self.high:.3f} over draws)"


# %%
spread = np.stack([points.mean(axis=1), points.min(axis=1), points.max(axis=1)], axis=-1)
means = {name: [Spread(*three) for three in spread[:, j]]
         for j, name in enumerate(["training patients", "validation patients"])}
plots.curves(sizes, means, "training patients", "AUROC",
             f"Learning curve of the network (bands: all {draws} draws)", log_x=True)

# %%
on_valid = points[:, :, 1].mean(axis=1)
dips = [f"{n}" for n, step in zip(sizes[1:], np.diff(on_valid)) if step < 0]
say(f"Validation AUROC: {on_valid[0]:.3f} from {sizes[0]} patients, {on_valid[-1]:.3f} from all {sizes[-1]}. "
    + (f"It dips at {' and '.join(dips)}: with {draws} draws, chance moves the line too." if dips else
       "It never dips."))

# %% [markdown]
# ## The claim, measured
#
# Does the network beat logistic regression? The baseline gets the same care. *Regularisation* pulls weights towards
# 0; how hard it pulls is chosen on validation patients.

# %%
def best_logistic(X, y):
    """Fit logistic regressions of different strength; keep the one with the lowest validation loss."""
    strengths = (0.01, 0.03, 0.1, 0.3, 1, 3)
    models = [LogisticRegression(C=c, max_iter=5000).fit(X["train"], y["train"]) for c in strengths]

    def loss(model):
        return log_loss(y["valid"], model.predict_proba(X["valid"])[:, 1])

    return min(models, key=loss)


logistic = best_logistic(X, y)
predictions = {"network": risk(learn, X["test"]),
               "logistic regression": logistic.predict_proba(X["test"])[:, 1]}
plots.discrimination(y["test"], predictions, "Test patients")

# %%
found = {name: evaluate.interval(evaluate.auroc, y["test"], p, who["test"]) for name, p in predictions.items()}
gap = evaluate.compare(evaluate.auroc, y["test"], *predictions.values(), who["test"])
record("test_auroc", found["network"])
record("baseline_auroc", found["logistic regression"])
record("gap_to_baseline", gap)

# %% [markdown]
# The gap is *paired*: both models see the same resampled patients, so what is hard for both cancels out.

# %%
def verdict(gap):
    """Say in words what a difference with its interval allows us to say."""
    rarer = min((y["test"] == k).sum() for k in (0, 1))
    if rarer < 5:  # resampling a handful of patients cannot show how much others would differ
        return f"Here the rarer class has only {rarer} of the test patients: too few to compare"
    if gap.low > 0:
        return "Here the network is better, beyond chance"
    if gap.high < 0:
        return "Here the network is worse, beyond chance"
    return "Here the data cannot tell the two apart"


say(f"**{verdict(gap)}**: the network's AUROC less that of logistic regression is {gap}, "
    f"on {len(np.unique(who['test']))} test patients.")

# %% [markdown]
# One split is one roll of the dice. We split the patients anew several times, train both again, and look at
# the gaps.

# %%
def gap_on_split(s):
    """Split, scale, train both, and give the gap on test patients."""
    X, y = arrays(tables.load(dataset, outcome=outcome, seed=s))
    net = risk(train(X["train"], y["train"], X["valid"], y["valid"], seed=s), X["test"])
    logistic = best_logistic(X, y).predict_proba(X["test"])[:, 1]
    return evaluate.auroc(y["test"], net) - evaluate.auroc(y["test"], logistic)


gaps = [gap_on_split(seed + 1 + s) for s in range(5 if effort == "demo" else 30)]
record("gap_over_splits", evaluate.mean_interval(gaps))

# %% [markdown]
# The interval over splits is a little too narrow: the splits share patients. It is a hint, not a proof.
#
# ### At the bedside
#
# A clinic needs a yes or a no. We choose the threshold on *validation* patients so that at least 95 % of the
# ill (class 1 of the table) are found, and then look at what it does to test patients.

# %%
cut = evaluate.threshold_for(y["valid"], risk(learn, X["valid"]), sensitivity=0.95)
figures = evaluate.summary(y["test"], predictions["network"], cut, who["test"])
plots.estimates(figures, "value (no unit)", f"The network on test patients, threshold {cut:.2f}")

# %%
reached, ill = figures["sensitivity"], {part: int(codes.sum()) for part, codes in y.items()}
say(f"Asked for: 95 % of the ill. Found among test patients: **{reached}**. "
    + ("That is less than we asked for" if reached.value < 0.95 else "That is what we asked for")
    + (", but the interval holds 95 %" if reached.low <= 0.95 <= reached.high else "")
    + f". The threshold hangs on {ill['valid']} ill validation patients, the figure on {ill['test']} ill test "
    "patients: both can move by chance.")

# %%
plots.calibration(y["test"], predictions, "Does a risk of 30 % mean 30 in 100?", bins=5)

# %% [markdown]
# A risk is *calibrated* when, of all patients with a predicted risk of 30 %, about 30 in 100 are ill. The
# expected calibration error (ECE) is the mean gap. With few test patients the points scatter widely: look at
# their bars before you read a pattern into them.
#
# ### For whom does it work?
#
# A mean hides groups. A table with neither age nor sex still has measurements. We take the first that
# is no mere yes or no, by default the size of the nuclei, below and above the median of the training patients.

# %%
first = next((name for name in numeric if table.X["train"][name].nunique() > 10), numeric[0])
value, middle = table.X["test"][first], table.X["train"][first].median()
half = np.select([value.isna(), value < middle], [f"{first}: not known", f"{first}: lower half"], f"{first}: upper half")
evaluate.subgroups(evaluate.accuracy, y["test"], predictions["network"], half, who["test"], threshold=cut).round(3)

# %% [markdown]
# ## Where it fails
#
# A network knows only the world of its training patients. Suppose that a second clinic's software reports
# that measurement in a unit ten times smaller, and nobody tells the network. It does not object.
# It just answers.

# %%
other_unit = table.X["test"].assign(**{first: 10 * table.X["test"][first]})
p_other = risk(learn, scaled(other_unit, table.X["train"]))
found_units = {
    name: evaluate.interval(evaluate.specificity, y["test"], p, who["test"], threshold=cut)
    for name, p in {"right unit": predictions["network"], "wrong unit": p_other}.items()}
plots.estimates(found_units, "specificity", f"'{first}' in another unit")

# %% [markdown]
# Lesson 2 checks units and ranges before any network sees them.

# %% [markdown] tags=["exercise"]
# ## Exercises
#
# Replace each `...` and run the cell. You may try as often as you like.
#
# **Exercise 1.** Write ReLU: it keeps positive numbers and turns negative ones to 0.

# %% tags=["exercise", "context"]
exercise_1 = Exercise("1.1", hint="np.maximum compares element by element.")


@exercise_1.check
def _(relu):
    assert np.shape(relu(np.array([-1.0, 2.0]))) == (2,), "It should give an array back, as long as the one it got."
    assert np.allclose(relu(np.array([-1.0, -3.0])), 0), "A negative number should become 0."
    assert np.allclose(relu(np.array([0.5, 2.0])), [0.5, 2.0]), "A positive number should stay as it is."

# %% tags=["exercise", "nbval-check-output"]
def relu(z):
    ### BEGIN SOLUTION
    return np.maximum(z, 0)
    ### END SOLUTION


exercise_1(relu)

# %% tags=["wrong"]
def relu(z):
    return np.abs(z)

# %% tags=["wrong"]
def relu(z):
    return z.max()

# %% [markdown] tags=["exercise"]
# **Exercise 2.** A model gives a risk of 0.9 to a patient who turns out to be well. What is the cross-entropy
# for this one patient, in nats?

# %% tags=["exercise", "context"]
exercise_2 = Exercise("1.2", hint="The patient is well, so take the negative logarithm of 1 - 0.9.")


@exercise_2.check
def _(answer):
    assert not np.isclose(answer, -np.log(0.9)), "That is the loss if the patient were ill."
    assert answer > 0, "A loss is never negative."
    assert not np.isclose(answer, [1, np.log2(10)], atol=0.005).any(), "In nats the logarithm is the natural one, np.log."
    assert np.isclose(answer, -np.log(0.1), atol=0.005), "Which probability did the model give to what happened?"

# %% tags=["exercise", "nbval-check-output"]
### BEGIN SOLUTION
surprise = -np.log(1 - 0.9)
### END SOLUTION

exercise_2(surprise)

# %% tags=["wrong"]
surprise = -np.log(0.9)

# %% tags=["wrong"]
surprise = np.log(0.1)

# %% [markdown] tags=["exercise"]
# **Exercise 3.** Give the gradient of the cross-entropy with respect to the weights of one node: `X` has shape
# (n, d), `y` and `p` have shape (n,), the result has shape (d,).

# %% tags=["exercise", "context"]
exercise_3 = Exercise("1.3", hint="Each patient's error p - y, times the inputs, averaged over patients.")


@exercise_3.check
def _(gradient):
    inputs, truth, p = np.array([[1.0, 2.0], [0.0, 3.0]]), np.array([1.0, 0.0]), np.array([0.5, 0.25])
    found = gradient(inputs, truth, p)
    assert np.shape(found) == (2,), "The gradient should have one number per weight."
    assert not np.allclose(found, [0.25, 0.125]), "The sign is wrong: the error is p - y."
    assert not np.allclose(found, [-0.5, -0.25]), "Take the mean over patients, not the sum."
    assert not np.allclose(found, [0, 0.375]), "Rows of X are patients: each error weighs its own row, so turn X over (X.T)."
    assert np.allclose(found, [-0.25, -0.125]), "For two patients it should be [-0.25, -0.125]."

# %% tags=["exercise", "nbval-check-output"]
def gradient(X, y, p):
    ### BEGIN SOLUTION
    return X.T @ (p - y) / len(y)
    ### END SOLUTION


exercise_3(gradient)

# %% tags=["wrong"]
def gradient(X, y, p):
    return X.T @ (p - y)

# %% tags=["wrong"]
def gradient(X, y, p):
    return X.T @ (y - p) / len(y)

# %% [markdown] tags=["exercise"]
# **Exercise 4.** A colleague scales all patients with `(X - X.mean(axis=0)) / X.std(axis=0)` before splitting.
# Write it rightly: both results are scaled with the statistics of the training patients.

# %% tags=["exercise", "context"]
exercise_4 = Exercise("1.4", hint="Compute mean and standard deviation of X_train, and use them for both.")


@exercise_4.check
def _(scale):
    a = np.tile([[0.0, 0.0], [2.0, 20.0]], (100, 1))
    train_part, test_part = scale(a, np.array([[4.0, 0.0]]))
    assert np.allclose(train_part, a / [1, 10] - 1, atol=0.01), (
        "The training patients should have mean 0 and standard deviation 1, column by column.")
    assert np.allclose(test_part, [[3, -1]], atol=0.01), "A test patient is scaled by the training mean and standard deviation."

# %% tags=["exercise", "nbval-check-output"]
def scale(X_train, X_test):
    ### BEGIN SOLUTION
    mu, sigma = X_train.mean(axis=0), X_train.std(axis=0)
    return (X_train - mu) / sigma, (X_test - mu) / sigma
    ### END SOLUTION


exercise_4(scale)

# %% tags=["wrong"]
def scale(X_train, X_test):
    both = np.concatenate([X_train, X_test])
    return (X_train - both.mean(axis=0)) / both.std(axis=0), (X_test - both.mean(axis=0)) / both.std(axis=0)

# %% [markdown] tags=["exercise"]
# **Exercise 5.** Write the sensitivity at a threshold: the share of the ill (`y == 1`) whose risk reaches it.

# %% tags=["exercise", "context"]
exercise_5 = Exercise("1.5", hint="Look only at the patients with y == 1, and count those with p >= threshold.")


@exercise_5.check
def _(my_sensitivity):
    truth, p = np.array([1, 1, 1, 0, 0, 0]), np.array([0.9, 0.5, 0.1, 0.8, 0.7, 0.2])
    assert not np.isclose(my_sensitivity(truth, p, 0.5), 0.5), "Leave the well patients out of the count."
    assert np.isclose(my_sensitivity(truth, p, 0.5), 2 / 3), "Two of these three ill patients reach 0.5."
    assert np.isclose(my_sensitivity(truth, p, 0.95), 0), "Nobody reaches a threshold of 0.95."

# %% tags=["exercise", "nbval-check-output"]
def my_sensitivity(y, p, threshold):
    ### BEGIN SOLUTION
    return np.mean(p[y == 1] >= threshold)
    ### END SOLUTION


exercise_5(my_sensitivity)

# %% tags=["wrong"]
def my_sensitivity(y, p, threshold):
    return np.mean((p >= threshold) == y)

# %% tags=["wrong"]
def my_sensitivity(y, p, threshold):
    return np.mean(p[y == 1] > threshold)

# %% [markdown] tags=["exercise"]
# ## Questions to recall
#
# Answer aloud before you open an answer.
#
# <details><summary>What is a single node with a sigmoid otherwise called?</summary>Logistic regression.</details>
# <details><summary>Why does a network need a bend such as ReLU between layers?</summary>Without it, two layers of
# weighted sums are again one weighted sum: the network could draw only one straight border.</details>
# <details><summary>What do training, validation and test patients each serve?</summary>To learn; to choose (threshold,
# settings, when to stop); to measure once, at the end.</details>
# <details><summary>How does overfitting show?</summary>The training loss goes on falling while the validation loss
# stops or rises.</details>
# <details><summary>Why is the comparison of two models paired?</summary>Both are tried on the same patients, so the
# luck of the draw is shared and cancels out.</details>

# %% [markdown]
# ## Take away
#
# - Four spellings, one network: forward pass, loss, gradient, step. fastai runs the loop, nothing in it is magic.
# - Learning is what holds on patients whom the network has not met. Watch the validation loss, and gather more patients.
# - Judge with an interval and beside a simple model. The cell below says what came of it here.

# %%
say(f"On unseen patients: network {found['network']}, logistic regression {found['logistic regression']}. {verdict(gap)}.")

# %% [markdown]
# **References**
#
# - Street WN, Wolberg WH, Mangasarian OL. Nuclear feature extraction for breast tumor diagnosis. Proc SPIE
#   1905:861-870, 1993. [doi:10.1117/12.148698](https://doi.org/10.1117/12.148698) (the data)
# - Rumelhart DE, Hinton GE, Williams RJ. Learning representations by back-propagating errors. Nature 323:533-536,
#   1986. [doi:10.1038/323533a0](https://doi.org/10.1038/323533a0)
# - Howard J, Gugger S. fastai: a layered API for deep learning. Information 11(2):108, 2020.
#   [doi:10.3390/info11020108](https://doi.org/10.3390/info11020108)
