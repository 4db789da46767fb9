# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
# ---

# %% [markdown]
# # Report on one patient
#
# From a model that `medkit report` saved. Not for use at the bedside.

# %%
import medkit  # first, as it keeps a warning of fastai's import quiet

import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from medkit import plots
from medkit.datasets import own
from medkit.errors import MedkitError
from medkit.hospital import flawed
from medkit.models import own as own_models
from medkit.models import store
from medkit.report import provenance, quote, record, say

plots.use_style()

# %% tags=["parameters"]
model: str = ""  # folder of a saved model; empty: one of simulated patients, made now
data: str = ""  # the table, or the folder of images or recordings, that holds the patient
patient: str = ""  # the patient, as the data name it; or the name of a file in the folder
seed: int = 0  # 0 to 999999: which simulated patients

# %%
lacking = [name for name, value in (("model", model), ("data", data), ("patient", patient)) if not value]
if 0 < len(lacking) < 3:
    raise MedkitError(f"Also give {' and '.join(lacking)}: this page needs model, data and patient. Example: "
                      "-p model=ward-report/model -p data=ward.csv -p patient=P00012. With none of the three it shows "
                      "a simulated patient.")
kept = tempfile.TemporaryDirectory()
if not model:
    data = Path(kept.name) / "simulated.csv"
    flawed.table(data, n=500, seed=seed)
    pd.read_csv(data).drop(columns="discharge_code").to_csv(data, index=False)  # it is a leak: see lesson 10
    simulated = own.load(data, seed)
    patient = simulated.patients[simulated.parts["test"][0]]
    fitted = own_models.with_cohort(own_models.fit(simulated, "logistic regression"), simulated)
    model = store.save(fitted, Path(kept.name) / "model")
saved = store.load(model)
X = store.read_new(saved, data, patient)

# %% [markdown]
# ## Prediction
#
# The interval says how often it came true for those patients of the validation part whose prediction was most like
# this one (95 %, Wilson). It is no promise about this patient.

# %%
classes, k = saved.spec["classes"], len(saved.spec["classes"]) - 1
p = saved.predict(X).mean(axis=0)  # over the patient's rows, images or windows
k = k if len(classes) == 2 else int(p.argmax())
around = own_models.observed(saved, p)[k]
what = f"{saved.spec['outcome']} = {classes[k]}" if saved.spec.get("outcome") else classes[k]  # folders name none
say(f"Patient **{quote(patient)}**, {len(X)} row(s), model '{saved.spec['family']}' of {quote(saved.spec['name'])} "
    f"({saved.spec['rows']:,} training rows): **predicted probability of {quote(what)}: {p[k]:.1%}**. Among similar "
    f"predictions it came true in {around.value:.0%} ({around.low:.0%} to {around.high:.0%}).")
if "threshold" in saved.spec:
    say(f"{'Above' if p[k] >= saved.spec['threshold'] else 'Below'} the alarm threshold of {saved.spec['threshold']:.1%}.")
record("risk", float(p[k]))
record("observed_among_similar", around)

# %% [markdown]
# ## Comparison with the cohort

# %%
cohort = saved.arrays["cohort_p"][:, k]
rank = (cohort < p[k]).mean()
fig, ax = plt.subplots(figsize=(6.8, 3))
ax.hist([cohort[saved.arrays["cohort_y"] != k], cohort[saved.arrays["cohort_y"] == k]], bins=20, stacked=True,
        label=["others", "had it"], color=[plots.SKY, plots.VERMILION])
ax.axvline(p[k], color="black", lw=2, label="this patient")
ax.set(xlabel="predicted probability", ylabel="validation patients", title="This patient among the validation patients")
fig.legend(loc="outside lower center", ncols=3)
plots.show(fig, f"This patient's prediction, {p[k]:.2f}, is higher than that of {rank:.0%} of the validation patients.")
record("rank_in_cohort", float(rank))

# %% [markdown]
# ## What drove the prediction
#
# In a table: each value in turn is replaced by the cohort's typical one. In an image or a recording: each part in turn is
# covered. The bar or colour shows by how much the log-odds fall. This explains the *model*, not the illness.

# %%
def log_odds(X):
    """Give the mean log-odds of the class in question."""
    q = np.clip(saved.predict(X).mean(axis=0)[k], 1e-6, 1 - 1e-6)
    return np.log(q / (1 - q))


def typical(entry):
    """Give the cohort's middle or commonest value."""
    return entry["quantiles"][10] if entry["type"] == "number" else entry["values"][0]


def covered(X, axis, cells=8):
    """Give the fall of the log-odds when a cell is covered by the mean: over time, or over a grid of the image."""
    whole, edges = log_odds(X), np.linspace(0, X.shape[1], cells + 1).astype(int)
    places = [(slice(None), slice(a, b)) for a, b in zip(edges, edges[1:])]
    if axis == 2:
        places = [(*one, slice(a, b)) for one in places for a, b in zip(edges, edges[1:])]
    falls = []
    for place in places:
        hidden = X.copy()
        hidden[place] = X.mean(axis=(1, 2) if axis == 2 else 1, keepdims=True)
        falls.append(whole - log_odds(hidden))
    return np.reshape(falls, [cells] * axis)


# %%
if saved.spec["kind"] == "table":
    falls = {e["name"]: log_odds(X) - log_odds(X.assign(**{e["name"]: typical(e)})) for e in saved.spec["plan"]}
    top = sorted(falls, key=lambda name: -abs(falls[name]))[:8]
    shares = {e["name"]: np.mean(np.array(e["quantiles"]) < X[e["name"]].iloc[-1]) for e in saved.spec["plan"]
              if e["type"] == "number"}
    display(pd.DataFrame([{"variable": name, "value": X[name].iloc[-1] if pd.notna(X[name].iloc[-1]) else "missing",
                           "typical": typical(next(e for e in saved.spec["plan"] if e["name"] == name)),
                           "higher than, of the cohort": f"{shares[name]:.0%}" if name in shares and pd.notna(X[name].iloc[-1]) else "",
                           "log-odds": round(falls[name], 2)} for name in top]))
    heights, labels = [falls[name] for name in top], top
    xlabel, title = "contribution to the log-odds", "What drove the prediction"
elif saved.spec["kind"] == "recordings":
    heights = covered(X, 1).tolist()
    labels = [f"part {i + 1} of 8" for i in range(8)]
    xlabel, title = "fall of the log-odds when covered", "Which part of the recording drove the prediction"

# %%
if saved.spec["kind"] == "images":
    falls, shown_is = covered(X[:1], 2), "the image" if len(X) == 1 else f"the first of {len(X)} images"
    fig, (left, right) = plt.subplots(1, 2, figsize=(7.5, 3.6))
    for ax, title in ((left, shown_is), (right, "fall of the log-odds when covered")):
        ax.imshow(X[0].squeeze(), vmin=0, vmax=255)
        ax.set(title=title)
        ax.axis("off")
    reach = float(np.abs(falls).max())
    side = X.shape[1] - 0.5
    shown = right.imshow(falls, cmap="PuOr_r", alpha=0.5, vmin=-(reach or 1), vmax=reach or 1, extent=(-0.5, side, side, -0.5))
    fig.colorbar(shown, ax=right)
    row, column = np.unravel_index(np.abs(falls).argmax(), falls.shape)
    found = (f"most in row {row + 1} and column {column + 1} of an 8 by 8 grid, where covering makes the log-odds fall by "
             f"{falls[row, column]:.2f}" if reach >= 0.005 else "no part of an 8 by 8 grid by itself")
    plots.show(fig, f"{shown_is.capitalize()}, and what drove the prediction: {found}.")
else:
    fig, ax = plt.subplots(figsize=(6.8, 0.9 + 0.35 * len(heights)))
    ax.barh(range(len(heights)), heights, color=plots.BLUE)
    ax.axvline(0, color=plots.GREY, lw=1)
    ax.set(yticks=range(len(heights)), xlabel=xlabel, title=title)
    ax.set_yticklabels(labels, parse_math=False)
    ax.invert_yaxis()
    plots.show(fig, f"{title}: " + "; ".join(f"{n}: {h:+.2f}" for n, h in zip(labels, heights)) + ".")

# %% [markdown]
# ## Reasons to distrust it
#
# The model knows what its columns, pixels or samples told it, in one cohort. It was not tried in practice. A value that
# the data lack may be the one that matters. For a patient from whom the model has learned, the prediction is too good.

# %%
provenance(seed)
kept.cleanup()
