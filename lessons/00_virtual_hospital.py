# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
#   medkit:
#     title: The virtual hospital
#     learn:
#       - read simulated X-rays, ECGs, EEGs and intensive-care stays beside real ones
#       - see how one hidden state of health drives all that can be measured of a patient, and measure how well the parts agree
#       - judge how far a result on simulated patients carries to real ones
#     read_minutes: 25
#     before: nothing.
#     data: simulated patients; real ones beside them by name (PneumoniaMNIST, MIT-BIH, EEGMAT, PhysioNet 2012).
#     claim: "\"Simulated patients can stand in for real ones.\" Here: in which modality, how far, and where not?"
# ---

# %% tags=["context"]
import medkit  # first, as it keeps a warning of fastai's import quiet

import tarfile

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from scipy.stats import pearsonr, rankdata
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from medkit import evaluate, fetch, lessons, plots
from medkit.datasets import images
from medkit.evaluate import Estimate
from medkit.exercise import Exercise
from medkit.hospital import admit, physique, xray
from medkit.report import record, say

plots.use_style()

# %% [markdown]
# The other lessons use simulated patients by default, so that they run without a network and the truth is known. This
# page lets you look at these patients, and says how far to trust them. To put real ones beside them: `medkit run 0 -p
# dataset=pneumoniamnist,mitdb,eegmat,challenge-2012` (any of the four; what is missing is fetched).

# %% tags=["parameters", "context"]
dataset: str = "virtual-hospital"  # or real sets beside it, with commas: pneumoniamnist, mitdb, eegmat, challenge-2012
effort: str = "demo"  # demo | full: four times as many patients in what is measured
seed: int = 0  # 0 to 999999: which simulated patients

# %%
shown, counted = 24, 1500 if effort == "demo" else 6000
beside = [name.strip() for name in dataset.split(",") if name.strip() != "virtual-hospital"]
known = ["pneumoniamnist", "mitdb", "eegmat", "challenge-2012"]
unknown = sorted(set(beside) - set(known))
if unknown:
    raise medkit.errors.MedkitError(f"This lesson cannot show {', '.join(unknown)}. It knows {', '.join(known)}.")

# %% [markdown]
# ## A working result first
#
# `admit` gives a cohort. Each part is made when it is asked for. Below are 24 simulated chest X-rays (front view: the
# heart's tip points to the right edge of the picture). We picked patients who have each finding, and some who have
# none. A coloured line goes round what is there: the simulator knows where it drew it.

# %%
cohort = admit(600, seed)
truth = cohort.xray(28).labels
rare = truth.columns[::-1]
chosen = [i for name in rare for i in np.flatnonzero(truth[name])[:4]]
chosen += list(np.flatnonzero(~truth.any(axis=1))[:shown])
chosen = list(dict.fromkeys(chosen))[:shown]
films = [admit(1, seed, start=int(i)).xray(224) for i in chosen]

# %%
COLOURS = dict(zip(truth.columns, [plots.VERMILION, plots.SKY, plots.ORANGE, plots.GREEN, plots.PURPLE]))


def outlined(ax, film):
    """Show one film, with a line round each finding."""
    ax.imshow(film.images[0], vmin=0, vmax=255)
    there = [name for name in film.findings if film.labels[name][0]]
    for name, mask in zip(film.findings, film.masks[0]):
        if mask.any() and name in there:
            ax.contour(mask, [0.5], colors=COLOURS[name], linewidths=1.2)
    ax.set_title("\n".join(there) or "no finding", fontsize=8, loc="center")


def gallery(draw, items, heading, columns=6, height=1.95):
    """Draw each item into its own axes: `draw(ax, item)`."""
    rows = -(-len(items) // columns)
    fig, axes = plt.subplots(rows, columns, figsize=(10, height * rows), squeeze=False)
    for ax in axes.flat:
        ax.axis("off")
    for ax, item in zip(axes.flat, items):
        draw(ax, item)
    fig.suptitle(heading, x=0.01, ha="left", fontsize=12)
    return fig


# %%
fig = gallery(outlined, films, "Simulated chest X-rays", height=2.1)
handles = [plt.Line2D([], [], color=c, label=name) for name, c in COLOURS.items()]
fig.legend(handles=handles, loc="outside lower center", ncols=5, fontsize=10)
named = "; ".join(" and ".join(n for n in f.findings if f.labels[n][0]) or "no finding" for f in films)
plots.show(fig, f"24 simulated chest X-rays with outlines of their findings: {named}.")


# %% [markdown]
# A nodule is a few millimetres to three centimetres wide, a pneumothorax (air between lung and chest wall) a thin
# edge at the top. On 28 pixels a side both are all but lost; they need more pixels, as in practice.

# %%
def real_note(name, what):
    """Say how to get real data of this kind, where the reader has not asked for it."""
    say(f"*Real {what} beside these:* run this lesson with `dataset={name}`.")


if "pneumoniamnist" in beside:
    real = images.load("pneumoniamnist")
    pick = real.take("train", shown, seed=seed)
    plots.image_grid(real.X["train"][pick], [real.classes[c] for c in real.y["train"][pick]],
                     heading="Real chest X-rays of children (PneumoniaMNIST, 28 pixels a side)")
    small = admit(shown, seed).xray(28, view="child", marker=False)
    plots.image_grid(small.images, np.where(small.labels["pneumonia"], "pneumonia", "no pneumonia"),
                     heading="Simulated children, as small")
else:
    real_note("pneumoniamnist", "chest X-rays")

# %% [markdown]
# ## Twenty-four hearts
#
# Ten seconds of lead II each. A dot marks a beat that does not start in the sinus node alone: S from the atria, V from
# a ventricle, F where a V and a normal beat meet. The classes are those of the AAMI (the association that sets this
# standard).

# %%
SYMBOLS = {"S": plots.ORANGE, "V": plots.VERMILION, "F": plots.PURPLE}


def strip(ax, item):
    """Draw one strip: (title, seconds, signal, {class: seconds of its beats})."""
    title, t, signal, marks = item
    ax.plot(t, signal, color=plots.BLUE, lw=0.6)
    for name, at in marks.items():
        ax.plot(at, np.full(len(at), signal.max()), "o", ms=4, color=SYMBOLS[name])
    ax.set_title(title, fontsize=9)


def marked(at, classes, fs):
    """Give the times of the beats of each class that is marked."""
    return {c: at[classes == c] / fs for c in SYMBOLS}


def show_strips(items, heading, unit):
    """Show strips in three columns, with the scale and the legend in words."""
    high = np.median([np.ptp(signal) for _, _, signal, _ in items])
    fig = gallery(strip, items, f"{heading}, about {high:.3g} {unit} from lowest to highest", columns=3, height=0.95)
    used = [c for c in SYMBOLS if any(len(marks.get(c, ())) for _, _, _, marks in items)]
    if used:
        dots = [plt.Line2D([], [], marker="o", ls="", color=SYMBOLS[c], label=f"{c} beat") for c in used]
        fig.legend(handles=dots, loc="outside lower center", ncols=3, fontsize=10)
    plots.show(fig, f"{heading}. {len(items)} strips, typically {high:.3g} {unit} from lowest to highest: "
                    + ", ".join(title for title, *_ in items) + ".")


# %%
ecg = admit(600, seed).ecg()
kinds = pd.Series([next((c for c in "FSV" if c in beats), "") for beats in ecg.classes]) + " " + ecg.rhythm
picked = kinds.groupby(kinds).head(3).index[:shown]
items = [(ecg.rhythm[i], np.arange(ecg.signal.shape[2]) / ecg.fs, ecg.signal[i, 1],
          marked(ecg.beats[i], ecg.classes[i], ecg.fs)) for i in picked]
show_strips(items, "Simulated ECGs, lead II, 10 seconds each", "mV")


# %%
AAMI = {**dict.fromkeys("AaJS", "S"), **dict.fromkeys("VE", "V"), "F": "F"}


def real_heart(number):
    """Read ten seconds of one MIT-BIH record, from the fifth minute on."""
    import wfdb

    for ending in ("dat", "atr", "hea"):
        path = fetch.path("mitdb", f"{number}.{ending}")
    span = dict(sampfrom=300 * 360, sampto=310 * 360)
    record_, beats = wfdb.rdrecord(str(path)[:-4], **span), wfdb.rdann(str(path)[:-4], "atr", **span)
    classes = np.array([AAMI.get(s, "") for s in beats.symbol])
    signal = record_.p_signal[:, 0]
    return number, np.arange(len(signal)) / 360, signal, marked(beats.sample - 300 * 360, classes, 360)


if "mitdb" in beside:
    numbers = sorted(n[:-4] for n in fetch.names("mitdb") if n.endswith(".hea"))[:2 * shown:2]
    show_strips([real_heart(n) for n in numbers], "Real ECGs (MIT-BIH), first lead, 10 seconds each", "mV")
else:
    real_note("mitdb", "ECGs")

# %% [markdown]
# ## Twenty-four brains
#
# The electrode O1 lies at the back of the head on the left. At rest the alpha rhythm (8 to 13 waves a second) is
# strong there; a task such as mental arithmetic weakens it. Each strip is ten seconds: five before the patient's
# state changes, five after.

# %%
def brain(i):
    """Record one patient's EEG and cut out the change between rest and task."""
    e = admit(1, seed, start=i).eeg(seconds=20, fs=200, channels=("O1",))
    first = e.events.query("kind in ['rest', 'task']").sort_values("start")["kind"].tolist()
    signal = e.signal[0, 0, 1000:3000]
    return " to ".join(first), np.arange(len(signal)) / 200, signal, {}


show_strips([brain(i) for i in range(shown)], "Simulated EEGs, electrode O1, 10 seconds each", "microvolt")


# %%
def real_brain(name, start):
    """Read ten seconds of O1 from one EEGMAT recording (_1 rest, _2 mental arithmetic)."""
    import pyedflib

    with pyedflib.EdfReader(str(fetch.path("eegmat", name))) as file:
        fs = file.getSampleFrequency(0)
        row = next(k for k, label in enumerate(file.getSignalLabels()) if "O1" in label)
        signal = file.readSignal(row, int(start * fs), int(10 * fs))
    return "rest" if "_1" in name else "task", np.arange(len(signal)) / fs, signal - signal.mean(), {}


if "eegmat" in beside:
    names = [f"Subject{k:02d}_{state}.edf" for k in range(36) for state in (1, 2)]
    here = [n for n in names if (fetch.root() / "eegmat" / n).exists()]  # before any that must be fetched
    names = list(dict.fromkeys(here + names))[:shown // 2]
    show_strips([real_brain(n, start) for n in names for start in (10, 30)],
                "Real EEGs (EEGMAT), electrode O1, 10 seconds each", "microvolt")
else:
    real_note("eegmat", "EEGs")

# %% [markdown]
# ## Twenty-four stays
#
# Two days in intensive care, hour by hour. Most cells are empty, as on a real ward: how often something is measured
# depends on how ill the patient is. Points are what was measured; there is no line where nothing was.

# %%
WARD = {"HR": plots.BLUE, "MAP": plots.VERMILION, "Lactate": plots.GREEN}


def ward_chart(ax, item):
    """Draw one stay: title and {variable: 48 hourly values, NaN where nothing was measured}."""
    title, values = item
    for name, colour in WARD.items():
        ax.plot(10 * values[name] if name == "Lactate" else values[name], ".-", ms=3, lw=0.6, color=colour)
    ax.set_ylim(0, 180)
    ax.set_title(title, fontsize=9)


def show_stays(items, heading):
    """Show stays in six columns, all on one scale."""
    fig = gallery(ward_chart, items, heading, height=1.5)
    for ax in fig.axes:
        ax.axis("on")
        ax.tick_params(labelsize=8)
    labels = ["heart rate (1/min)", "mean arterial pressure (mmHg)", "lactate (0.1 mmol/L)"]
    lines = [plt.Line2D([], [], color=c, label=label) for c, label in zip(WARD.values(), labels)]
    fig.legend(handles=lines, loc="outside lower center", ncols=3, fontsize=10)
    middle = {name: np.nanmedian([v[name] for _, v in items]) for name in WARD}
    plots.show(fig, f"{heading}, over 48 hours. Medians: heart rate {middle['HR']:.0f} per minute, mean pressure "
                    f"{middle['MAP']:.0f} mmHg, lactate {middle['Lactate']:.1f} mmol/L.")


# %%
ward = admit(shown, seed)
stay, fate = ward.stay(), ward.outcome()
rows = {name: stay.values[:, :, stay.variables.index(name)] for name in WARD}
show_stays([("died" if fate["died"][i] else "lived", {name: v[i] for name, v in rows.items()}) for i in range(shown)],
           "Simulated stays (hours on the x-axis)")


# %%
def real_stay(table):
    """Bring one patient's file (Time, Parameter, Value) to hourly means."""
    hour = table["Time"].str[:2].astype(int).clip(upper=47)
    grid = table.groupby([hour, "Parameter"])["Value"].mean().unstack().reindex(range(48))
    return {name: grid[name].to_numpy() if name in grid else np.full(48, np.nan) for name in WARD}


if "challenge-2012" in beside:
    died = pd.read_csv(fetch.path("challenge-2012", "Outcomes-a.txt")).set_index("RecordID")["In-hospital_death"]
    with tarfile.open(fetch.path("challenge-2012", "set-a.tar.gz")) as tar:
        files = [m for m in tar if m.name.endswith(".txt")][:shown]
        tables = {int(m.name.split("/")[-1][:-4]): pd.read_csv(tar.extractfile(m)) for m in files}
    show_stays([("died" if died[k] else "lived", real_stay(t)) for k, t in tables.items()],
               "Real stays (PhysioNet 2012, hours on the x-axis)")
else:
    real_note("challenge-2012", "stays")

# %% [markdown]
# ## One hidden state drives everything
#
# Genes, age and habits come first, then history, then how ill each of six organs is, from 0 (healthy) to 1. These
# severities are the *latent* state: no doctor sees them. X-ray, ECG, EEG, laboratory and fate are read off them. So
# the parts of one patient should agree. Take the heart. A heart that fails grows, sends out BNP (a hormone that the
# laboratory measures), conducts its beat more slowly, and shortens life.

# %%
many = admit(counted, seed + 1)
latent = many.latent
traits = dict(zip(xray.NAMES, xray.draw(latent).T))
labs = many.stay(12)
beats = many.ecg(seconds=3, noise=False)
signs = {"wider heart shadow (X-ray)": physique.cardiothoracic_ratio(physique.body(latent, traits, "adult")),
         "BNP (laboratory)": labs.truth[:, :, labs.variables.index("BNP")].mean(axis=1),
         "slower QRS upstroke (ECG)": -np.abs(np.diff(beats.signal[:, 1])).max(axis=1),
         "shorter life under usual care": -many.outcome()["survival_if_0"].to_numpy()}


# %%
def agreement(a, b):
    """Spearman's rank correlation with its 95 % interval (Fisher's transformation)."""
    found = pearsonr(rankdata(a), rankdata(b))
    return Estimate(found.statistic, *found.confidence_interval(0.95))


agree = {name: agreement(latent["heart"], values) for name, values in signs.items()}
plots.estimates(agree, "rank correlation with the severity of the heart (no unit)",
                f"Do the parts of a simulated patient agree? {counted:,} patients", reference=0)

# %%
for name, key in zip(signs, ("heart_shadow", "heart_bnp", "heart_qrs", "heart_life")):
    record(key, agree[name])

# %% [markdown]
# None of these is 1. Other organs, chance and the patient's own build have their say, as they do in people. What
# agrees without any hidden knowledge? Two things that a doctor can measure: the shadow and the BNP.

# %%
seen = agreement(signs["wider heart shadow (X-ray)"], signs["BNP (laboratory)"])
record("shadow_bnp", seen)
say(f"Shadow and BNP of the same patient: rank correlation **{seen}**.")

# %% [markdown]
# ## The claim, measured
#
# That the parts agree makes the hospital *coherent*. Whether it is *like reality* can only be asked of reality. So
# models were trained on simulated patients alone, and then tested on real ones. The commands `benchmarks/realism_*.py`
# did that, over three seeds, and wrote down what came out.
#
# One caution: the models had not seen these patients, but the makers of the simulator had seen some of their kind. How
# ill children's films look was set by the training images of PneumoniaMNIST, levels of the stays by the same 4,000
# patients, rhythms by other records of MIT-BIH, and its test records were looked at four times. So the figures are on
# the kind side. `benchmarks/NOTES.md` lists each look.

# %%
found = lessons.measured("realism")
table = pd.DataFrame(found)
aims = table["aim"].notna()
table["aim reached"] = np.select([~aims, table["value"] >= table["aim"]], ["no aim was set", "yes"], "no")
seen = table[["figure", "data", "value", "low", "high", "aim", "aim reached", "trained on real", "told apart"]]
seen.map(lambda v: f"{v:.3f}" if isinstance(v, float) else v).replace("nan", "")

# %% [markdown]
# *value* is the mean over three seeds of a model that learned from simulated patients; *low* and *high* are its 95 %
# interval over real patients. *trained on real* is the same model, trained on real patients. *told apart* is the
# AUROC of another model that tries to tell simulated from real: 0.5 would mean that it cannot. F1 weighs missed beats
# and false alarms alike.

# %%
reached = int((table["value"] >= table["aim"]).sum())
bars = {f"{r['figure']} ({r['data']})": Estimate(r["value"], r["low"], r["high"]) for r in found}
plots.estimates(bars, "score on real patients (no unit)", "Trained on simulated patients, tested on real ones")
record("aims_reached", reached)
better, apart = (table["trained on real"] > table["value"]).sum(), table["told apart"]
sure = int((table["low"] >= table["aim"]).sum())
say(f"**{reached} of {aims.sum()}** aims were reached by the mean over seeds, {sure} by the whole interval. The same "
    f"model, trained on real patients, is better in {better} of {len(table)} figures. And a model tells simulated from "
    f"real with an AUROC of {apart.min():.2f} to {apart.max():.2f}.")

# %% [markdown]
# So the claim holds in part. Models *transfer*: much of what they learn here is true of people. But the patients are
# not *alike*: given enough of them, a machine sees the difference. Use simulated patients to learn a method, to test
# a program, and to ask questions whose answer must be known. Do not use them to say how well a method works in
# people.

# %% [markdown]
# ## Where it fails
#
# People who are ill cannot stand straight, hold their breath or keep still. Their films are crooked and blurred. The
# simulator copies that, since real films show it. But then a model can learn "blurred, so ill" and never look at the
# lung: a *hidden shortcut*. Here we can cut the link, which nobody can do with real patients: the same patients, the
# same illness, but every film taken as if its patient were well.

# %%
few = 3 * counted // 4


def question(start, **options):
    """Take simulated children's X-rays: pixels (n, 784) and whether there is pneumonia (n,)."""
    taken = admit(few, seed + 2, start).xray(28, view="child", marker=False, **options)
    return taken.images.reshape(len(taken.images), -1) / 255, taken.labels["pneumonia"].to_numpy().astype(int)


X, y = question(0)
model = make_pipeline(PCA(50, random_state=0), LogisticRegression(C=0.1, max_iter=1000)).fit(X, y)
(X_linked, y_test), (X_cut, _) = question(few), question(few, quality_follows_illness=False)
linked, cut = (model.predict_proba(X_new)[:, 1] for X_new in (X_linked, X_cut))

# %%
both = {"films as they are": evaluate.interval(evaluate.auroc, y_test, linked),
        "the link is cut": evaluate.interval(evaluate.auroc, y_test, cut)}
plots.estimates(both, "AUROC for pneumonia on new simulated children", "How much did the model owe to the shortcut?",
                reference=0.5)
cost = evaluate.compare(evaluate.auroc, y_test, linked, cut)
record("shortcut_cost", cost)
say(f"The same model, the same children, better films: the AUROC falls by **{cost}**. " +
    ("Part of what it had learned was how the film was taken." if cost.low > 0 else
     "That it had learned how films are taken cannot be shown here."))

# %% [markdown]
# Expect shortcuts in models of real films as well: there, too, the ill are photographed in another way. Did it hold on
# real films?

# %%
asked = [row["validation"] for row in found if "validation" in row]
say("; ".join(f"A network trained on the hospital's films had an AUROC of {v['linked']:.2f} on real validation images "
              f"with the link, and of {v['cut']:.2f} without it" for v in asked) + ".")

# %% [markdown]
# The second figure is what is left when the network cannot learn the shortcut.
#
# Other limits: effects have plausible sizes, not estimated ones; genes act as they should, but the sizes are made up;
# and whatever nobody thought of is missing. A simulator can only surprise you with what was put in.

# %% [markdown] tags=["exercise"]
# ## Exercises
#
# **Exercise 1.** The *cardiothoracic ratio* is the width of the heart over the inner width of the chest. Compute it
# from two masks (arrays of 0 and 1, same shape): the width of a mask is the number of columns that hold at least one
# 1.

# %% tags=["exercise", "context"]
exercise_1 = Exercise("0.1", hint="mask.any(axis=0) tells for each column whether it holds a 1.")


@exercise_1.check
def _(ratio):
    heart, chest = np.zeros((6, 10), int), np.zeros((6, 10), int)
    heart[2:4, 4:8], chest[0:6, 1:9] = 1, 1
    assert not np.isclose(ratio(heart, chest), 8 / 48), "That is the ratio of the areas; compare the widths."
    assert not np.isclose(ratio(heart, chest), 2 / 6), "That is the ratio of the heights; widths run along axis 1."
    assert np.isclose(ratio(heart, chest), 0.5), "A heart of 4 columns in a chest of 8 has a ratio of 0.5."
    chest[0, 0] = 1
    assert np.isclose(ratio(heart, chest), 4 / 9), "Count every column with at least one 1: here 4 of 9."

# %% tags=["exercise", "nbval-check-output"]
def ratio(heart, chest):
    ### BEGIN SOLUTION
    return heart.any(axis=0).sum() / chest.any(axis=0).sum()
    ### END SOLUTION


exercise_1(ratio)

# %% tags=["wrong"]
def ratio(heart, chest):
    return heart.sum() / chest.sum()

# %% tags=["wrong"]
def ratio(heart, chest):
    return heart.any(axis=1).sum() / chest.any(axis=1).sum()

# %% [markdown] tags=["exercise"]
# **Exercise 2.** Only here is it known what would have become of each patient under *both* treatments. Given two
# arrays (1 died, 0 lived), under treatment and without, how many patients must be treated for one death to be avoided
# (the *number needed to treat*: one over the fall in the share of deaths)?

# %% tags=["exercise", "context"]
exercise_2 = Exercise("0.2", hint="The fall is the mean of (died if untreated - died if treated).")


@exercise_2.check
def _(needed):
    treated, untreated = np.array([0, 0, 1, 0, 1]), np.array([1, 0, 1, 0, 1])
    assert not np.isclose(needed(treated, untreated), 0.2), "0.2 is the fall itself; give one over it."
    assert not np.isclose(needed(treated, untreated), -5), "The sign is turned: untreated less treated."
    assert np.isclose(needed(treated, untreated), 5), "Deaths fall from 3 of 5 to 2 of 5: five must be treated."
    assert np.isclose(needed(np.zeros(4, int), np.array([1, 1, 0, 0])), 2), "From 2 deaths in 4 to none: two must be treated."

# %% tags=["exercise", "nbval-check-output"]
def needed(treated, untreated):
    ### BEGIN SOLUTION
    return 1 / np.mean(untreated - treated)
    ### END SOLUTION


exercise_2(needed)

# %% tags=["wrong"]
def needed(treated, untreated):
    return np.mean(untreated - treated)

# %% tags=["wrong"]
def needed(treated, untreated):
    return 1 / np.mean(treated - untreated)

# %% [markdown] tags=["exercise"]
# **Exercise 3.** Give the heart rate (beats a minute) of one ECG: from the samples `at` of its beats, at `fs` samples
# a second, as 60 over the *median* interval between beats in seconds. (The median, since one early beat should not
# change it.)

# %% tags=["exercise", "context"]
exercise_3 = Exercise("0.3", hint="np.diff(at) / fs gives the intervals in seconds.")


@exercise_3.check
def _(rate):
    steady = np.array([0, 200, 400, 600])
    assert np.isclose(rate(steady, 250), 75), "Beats 200 samples apart at 250 Hz are 0.8 s apart: 75 a minute."
    assert not np.isclose(rate(np.array([0, 100, 400, 500]), 250), 90), "That is the mean interval; take the median."
    assert np.isclose(rate(np.array([0, 100, 400, 500]), 250), 150), "Intervals 100, 300, 100: the median is 100."
    assert np.isclose(rate(np.array([0, 200, 300, 500]), 250), 75), "Intervals 200, 100, 200: the median is 200."

# %% tags=["exercise", "nbval-check-output"]
def rate(at, fs):
    ### BEGIN SOLUTION
    return 60 / np.median(np.diff(at) / fs)
    ### END SOLUTION


exercise_3(rate)

# %% tags=["wrong"]
def rate(at, fs):
    return 60 / np.mean(np.diff(at) / fs)

# %% tags=["wrong"]
def rate(at, fs):
    return 60 / np.median(np.diff(at))

# %% [markdown]
# ## Questions to recall
#
# <details><summary>What is the latent state, and who sees it?</summary>How ill each of six organ systems is. Only the
# simulator sees it; a model sees what follows from it.</details>
# <details><summary>What does a simulated patient have that a real one never has?</summary>The outcome under the
# treatment that was not given, the outline of every lesion, and the reason for every gap.</details>
# <details><summary>A classifier tells simulated from real films with an AUROC near 1. Are the films
# useless?</summary>No. They differ in something, perhaps in the noise. Whether a diagnosis learned here holds there
# is another question, and is measured apart.</details>
# <details><summary>Why do ill patients have worse films, and why is that a trap?</summary>They cannot stand straight
# or hold their breath. A model can then recognise the bad film instead of the illness.</details>
# <details><summary>May a score on simulated patients be quoted as the score of a method?</summary>Only as "on
# simulated patients". It is not a score in people.</details>

# %% [markdown]
# ## Take away
#
# - Simulated X-rays, ECGs, EEGs and stays show the anatomy, beats, rhythms and gaps that real ones have. You have
#   looked at 24 of each.
# - One latent state drives all parts of a patient, so they agree, but loosely, as in people.
# - Models trained on simulated patients transfer to real ones in part. How far is a number, measured on real
#   patients, with its interval, and shortcuts may be a part of it.

# %% [markdown]
# **References**
#
# - McSharry PE, Clifford GD, Tarassenko L, Smith LA. A dynamical model for generating synthetic electrocardiogram
#   signals. IEEE Trans Biomed Eng 50:289-294, 2003.
#   [doi:10.1109/TBME.2003.808805](https://doi.org/10.1109/TBME.2003.808805)
# - Moody GB, Mark RG. The impact of the MIT-BIH Arrhythmia Database. IEEE Eng Med Biol 20(3):45-50, 2001.
#   [doi:10.1109/51.932724](https://doi.org/10.1109/51.932724)
# - Zyma I, Tukaev S, Seleznov I et al. Electroencephalograms during mental arithmetic task performance. Data 4(1):14,
#   2019. [doi:10.3390/data4010014](https://doi.org/10.3390/data4010014)
# - Yang J, Shi R, Wei D et al. MedMNIST v2. Sci Data 10:41, 2023.
#   [doi:10.1038/s41597-022-01721-8](https://doi.org/10.1038/s41597-022-01721-8)
# - Geirhos R, Jacobsen JH, Michaelis C et al. Shortcut learning in deep neural networks. Nat Mach Intell 2:665-673,
#   2020. [doi:10.1038/s42256-020-00257-z](https://doi.org/10.1038/s42256-020-00257-z)
