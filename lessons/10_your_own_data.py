# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
#   medkit:
#     title: Your own data
#     learn:
#       - bring a table, a folder of images or recordings to a checked data set, and read its data card
#       - find what would make a model look better than it is, before any model is trained
#       - choose a model against baselines on validation, save it without pickle, and report on one patient or many
#     read_minutes: 35
#     before: lessons 1 and 3; 4 for recordings.
#     data: three sets of simulated patients, written to files with flaws planted; or your own, by path.
#     claim: "\"The data are there, so train on them.\" Here: what does a model claim on files as they come, and what is left when their flaws are mended?"
# ---

# %% tags=["context"]
import medkit  # first, as it keeps a warning of fastai's import quiet

import tempfile
from pathlib import Path
from textwrap import shorten

import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression

from medkit import evaluate, plots
from medkit.datasets import audit, own, schema, split
from medkit.errors import MedkitError
from medkit.exercise import Exercise
from medkit.hospital import flawed
from medkit.models import own as models
from medkit.models import simple, store, treatment
from medkit.report import quote, record, say

plots.use_style()
pd.set_option("display.max_colwidth", None)  # findings are read to their end

# %% [markdown] tags=["simulated"]
# On your own data: `medkit new --from PATH` writes what was inferred about them, for you to correct. `medkit report
# PATH` then runs this notebook on them, and saves the model.

# %% tags=["parameters", "context"]
dataset: str = "virtual-hospital"  # simulated; or the path of a table (CSV, Parquet), or of a folder of images or recordings
effort: str = "demo"  # demo | full: the networks train longer, and intervals take more resamples
save_to: str = ""  # folder that gets the chosen model; empty: a temporary one
seed: int = 0  # 0 to 999999: simulated patients, split, starting weights

# %% [markdown] tags=["simulated"]
# ## A working result first
#
# By default we play an analyst who was handed three things: a table of patients (CSV), a folder of X-rays (PNG, with
# `labels.csv`), and a folder of ECGs (WFDB, EDF and CSV mixed). All patients are *simulated*, and flaws such as real
# files have were planted. We know where, so we can count how many are found.

# %%
simulated = dataset == "virtual-hospital"
kept = tempfile.TemporaryDirectory()
desk = Path(kept.name)
planted = {}
if simulated:
    planted = {desk / "ward.csv": flawed.table(desk / "ward.csv", seed=seed),
               desk / "films": flawed.images(desk / "films", seed=seed),
               desk / "ecg": flawed.recordings(desk / "ecg", seed=seed)}
paths = list(planted) or [Path(dataset)]
sets = {path.name: own.load(path, seed) for path in paths}
main = paths[0].name
title = f"{main} (simulated)" if simulated else main

# %% [markdown] tags=["simulated"]
# Two lines train a model on the first of them as it came, and test it on patients that it has not met. (On your own
# data nobody looks at test patients so early: this step is left out.)

# %% tags=["simulated"]
if simulated:
    first = models.fit(sets[main], "logistic regression")
    X_test, y_test = sets[main].take("test")
    came = evaluate.interval(evaluate.macro(evaluate.auroc), y_test, first.predict(X_test),
                             sets[main].patients[sets[main].parts["test"]])
    record("auroc_as_it_came", came)
    say(f"AUROC **{came}** on {quote(title)}. "
        + ("Splendid, and suspicious: few outcomes can be told that well." if came.value > 0.95 else "Not suspicious by itself."))

# %% [markdown]
# ## The schema
#
# Nothing can be checked until somebody says what the columns mean. `medkit new` infers it from names and values, and
# writes a small file with remarks. *You* correct it: what is the outcome, who is the patient, what was not known in
# time?

# %%
if simulated:
    print(schema.write(paths[0]).read_text(encoding="utf-8"))
else:
    display(pd.Series({k: str(v) for k, v in sets[main].schema.items() if k != "columns"}, name="schema").to_frame())
    say(f"To be found: **{quote(sets[main].classes[-1])}**, against {quote(', '.join(sets[main].classes[:-1]))}."
        if len(sets[main].classes) == 2 else f"To be told apart: {quote(', '.join(sets[main].classes))}.")

# %% [markdown]
# ## The data card
#
# Counts, variables, subgroups, and findings: what would make a model look better than it is, or leave it blind.
# Whatever looks at the outcome looks at *training* patients alone. *AUROC alone* is how well a small tree predicts from
# that one column, its gaps included.

# %%
cards = {name: audit.card(one) for name, one in sets.items()}
for name, card in cards.items():
    say(f"### {quote(name)}: {len(sets[name].y):,} rows, {len(np.unique(sets[name].patients)):,} patients"
        + (" (simulated)" if simulated else ""))
    for note in sets[name].notes:
        say(f"- {quote(note)}")
    for heading, table in card.items():
        say(f"**{heading}**")
        display(table)

# %% [markdown] tags=["simulated"]
# What do the images look like, and where is the lesion marked? Boxes are optional columns of `labels.csv`: `x`, `y`,
# `width`, `height`, in pixels of the file. Black bars are filling: *where only some films have them, ask why.*

# %%
for name, one in sets.items():
    if one.kind == "images":
        train = one.parts["train"]
        shown = train[:12] if simulated else train[np.linspace(0, len(train) - 1, min(12, len(train))).astype(int)]  # of all classes
        pictures = one.X[shown].copy()
        for picture, (x, y, width, height) in zip(pictures, np.nan_to_num(one.boxes[shown]).astype(int) if one.boxes is not None else []):
            picture[y:y + height, [x, x + width - 1] if width else []] = 255
            picture[[y, y + height - 1] if height else [], x:x + width] = 255
        plots.image_grid(pictures, [one.classes[k] for k in one.y[shown]], heading=f"{name}: training images" + " (simulated)" * simulated)
    if one.boxes is not None:
        area = one.boxes[:, 2] * one.boxes[:, 3] / one.X.shape[1] ** 2
        say(f"{np.isfinite(area).sum()} boxes, of {np.nanmedian(area):.1%} of the image in the middle case.")

# %% [markdown] tags=["simulated"]
# ### Was every planted flaw found?

# %% tags=["simulated"]
if simulated:
    found = {path: {(f.kind, f.where) for f in audit.findings(sets[path.name])} for path in paths}
    answers = pd.DataFrame([{"data": path.name, "flaw": kind, "where": where, "found": (kind, where) in found[path]}
                            for path in paths for kind, where in planted[path]])
    display(answers)
    beyond = sum(len(found[p] - set(planted[p])) for p in paths)
    say(f"Found: **{answers['found'].sum()} of {len(answers)}**. Findings that we did not plant: {beyond}.")
    record("flaws_planted", len(answers))
    record("flaws_found", int(answers["found"].sum()))

# %% [markdown] tags=["simulated"]
# Other flaws are no matter of opinion: such a file is refused, with a message that says where.

# %% tags=["simulated"]
def refusal(path, damage):
    """Damage a copy of a file, try to load its folder, and give the message."""
    whole = path.read_bytes()
    path.write_bytes(damage(whole))
    try:
        own.load(path if path.suffix == ".csv" and path.parent == desk else path.parents[path.parent.name == "films"], seed)
    except MedkitError as error:
        return str(error).replace(str(desk), "...")
    finally:
        path.write_bytes(whole)


if simulated:
    a_film = sorted((desk / "films" / "films").glob("*.png"))[0]
    for message in (refusal(desk / "ward.csv", lambda b: b.replace(b",0,2031", b",,2031", 1)),
                    refusal(a_film, lambda b: b[:len(b) // 2]), refusal(desk / "ecg" / "r0001.edf", lambda b: b[:-500])):
        say(f"- {quote(message)}")

# %% [markdown] tags=["simulated"]
# ## Mending
#
# An analyst would now ask the people who made the files. Here is what came of it: the code was written at discharge,
# and the numbers were given at the end of the year; one machine was used for the ill. So: the column goes, copies go,
# 999 becomes a gap, each category is written in one way, and the films are cut to the same square before they are used.

# %% tags=["simulated"]
def mended_table(path):
    """Write a corrected copy of the table, and its schema."""
    frame = pd.read_csv(path)
    frame["sex"], frame["bmi"] = frame["sex"].str.lower(), frame["bmi"].replace(999, np.nan)
    frame = frame[~frame.drop(columns="patient").duplicated()]
    target = path.with_name("ward_mended.csv")
    frame.to_csv(target, index=False)
    told = schema.write(target)
    told.write_text(told.read_text(encoding="utf-8").replace('"discharge_code" = "category"', '"discharge_code" = "ignore"'),
                    encoding="utf-8")
    return target


def mended_folder(path):
    """Take the copies off the labels, and bring films to one shape."""
    from PIL import Image

    labels = pd.read_csv(path / "labels.csv")
    labels = labels[labels["patient"].str.startswith("P")]
    for name in labels["file"] if path.name == "films" else []:
        with Image.open(path / name) as film:
            film.load()
        film.resize((64, 64)).save(path / name)
    if "x" in labels:
        labels[["x", "width"]] *= 64 / 80  # the boxes shrink with their films
    labels.to_csv(path / "labels.csv", index=False)
    return path


# %% tags=["simulated"]
if simulated:
    sets = {path.name: own.load(mended_table(path) if path.suffix else mended_folder(path), seed) for path in paths}
    for name, one in sets.items():
        left = {f"{f.kind} ({f.where})" for f in audit.findings(one)}
        say(f"- {quote(name)}: still to be looked at: {quote(', '.join(sorted(left)) or 'nothing')}")

# %% [markdown]
# ## A model, chosen against baselines
#
# For each kind of data the same four candidates: *prevalence* (says the same of everybody), *logistic regression* and
# *boosting* on simple features (a table's columns; a thumbnail of 16 by 16; the power of a signal in bands), and a
# *network* (a small multilayer network; a CNN whose weights come from simulated X-rays; a CNN with a recurrent layer).
# The lowest log-loss (cross-entropy) on *validation* patients wins. Test patients are not looked at.

# %%
def rounds(one):
    """Say how often the network sees the training rows: more often where there are few, less where there are many."""
    usual, most = {"table": (12, 5e5), "images": (6, 5e4), "recordings": (20, 5e7 / np.shape(one.X)[1])}[one.kind]
    n = len(one.parts["train"])
    return int(np.clip(most / n, 2, np.clip(2500 / n, usual, 100))) * (3 if effort == "full" else 1)


chosen, candidates = {}, {}
for name, one in sets.items():
    candidates[name] = {family: models.fit(one, family, rounds(one), seed) for family in models.FAMILIES}
    chosen[name], table = models.choose(one, candidates[name])
    say(f"**{quote(name)}**: {chosen[name]} is chosen. (Validation, {len(one.parts['valid']):,} rows. The network saw the "
        f"{len(one.parts['train']):,} training rows {rounds(one)} times.)")
    display(table.round(3))

# %% [markdown]
# ## The claim, measured
#
# Now the test patients, once. `baseline` is logistic regression.

# %%
resamples = 2000 if effort == "full" else 500


def rarest(one):
    """Count the test patients of the rarest class."""
    test = one.parts["test"]
    return min(len(np.unique(one.patients[test][one.y[test] == k])) for k in range(len(one.classes)))


for name, one in sets.items():
    if rarest(one) < 10:
        say(f"**{quote(name)}: a class has only {rarest(one)} of the test patients.** To resample so few does not show how "
            "much others would differ: the intervals below are narrower than they should be.")


# %%
def tested(name, family, metric):
    """Estimate a metric on the test patients of one data set."""
    one = sets[name]
    X, y = one.take("test")
    return evaluate.interval(evaluate.macro(metric), y, candidates[name][family].predict(X),
                             one.patients[one.parts["test"]], resamples)


results = {name: {"auroc": tested(name, chosen[name], evaluate.auroc), "ap": tested(name, chosen[name], evaluate.average_precision),
                  "ece": tested(name, chosen[name], evaluate.ece),
                  "baseline_auroc": tested(name, "logistic regression", evaluate.auroc)} for name in sets}
for key, estimate in results[main].items():
    record(key, estimate)
if simulated:
    record("price_of_flaws", came.value - results[main]["auroc"].value)
X_test, y_test = sets[main].take("test")
both = [candidates[main][family].predict(X_test) for family in (chosen[main], "logistic regression")]
gain = evaluate.compare(evaluate.macro(evaluate.auroc), y_test, *both, sets[main].patients[sets[main].parts["test"]], resamples)
record("gain_over_baseline", gain)

# %%
for name in sets:
    if name != main:
        record(f"{sets[name].kind}_auroc", results[name]["auroc"])
plots.estimates({f"{name}, {which}": r[key] for name, r in results.items() for which, key in
                 (("chosen", "auroc"), ("baseline", "baseline_auroc"))} | ({f"{main} as it came": came} if simulated else {}),
                "AUROC on test patients", "Chosen models and baselines" + (" (simulated patients)" if simulated else ""))
say(f"On {quote(title)} as it came the model claimed {came.value:.3f}. The mended data give **{results[main]['auroc']}**. "
    if simulated else f"{quote(title)}: AUROC **{results[main]['auroc']}** with {chosen[main]}, read from the data as they came.")
verdict = ("**too few test patients of a class to compare.**" if rarest(sets[main]) < 5 else
           "**better, beyond chance.**" if gain.low > 0 else "**worse, beyond chance.** The simpler model does better."
           if gain.high < 0 else "**not better beyond chance.** The simpler model would do.")
if chosen[main] == "logistic regression":
    say("Logistic regression itself was chosen: no other candidate beat it on validation.")
elif chosen[main] == "prevalence":
    say("**Prevalence was chosen: on validation no model did better than the same risk for everybody.** Prevalence "
        f"less logistic regression, in AUROC on the same test patients: {gain}.")
else:
    say(f"The chosen model ({chosen[main]}) less logistic regression, in AUROC on the same test patients: {gain}, "
        + verdict)

# %% [markdown]
# ### Calibration, threshold, subgroups
#
# The threshold is chosen on validation patients (highest sensitivity + specificity), and applied to the test patients.

# %%
one, model = sets[main], models.with_cohort(candidates[main][chosen[main]], sets[main])
X_test, y_test = one.take("test")
p_test, who = model.predict(X_test), one.patients[one.parts["test"]]
if len(one.classes) == 2:
    plots.discrimination(y_test, {chosen[main]: p_test[:, 1]}, f"{title}: test patients")
    plots.calibration(y_test, {chosen[main]: p_test[:, 1]}, f"{title}: calibration", bins=5)
    at = {"threshold": model.spec["threshold"]}
    record("sensitivity", evaluate.interval(evaluate.sensitivity, y_test, p_test[:, 1], who, resamples, **at))
    record("specificity", evaluate.interval(evaluate.specificity, y_test, p_test[:, 1], who, resamples, **at))

# %%
for group in one.schema.get("groups", []) if len(one.classes) == 2 else []:
    bands = audit.bands(one, group).to_numpy()[one.parts["test"]]
    table = evaluate.subgroups(evaluate.auroc, y_test, p_test[:, 1], bands, who, resamples)
    say(f"AUROC on test patients by **{quote(group)}**. With few positives the interval says little.")
    display(table.round(3).astype(object).where(table.notna(), ""))

# %% [markdown]
# ### A treatment column
#
# If the schema names one, each arm is compared with the commonest. The difference *as seen* mixes the treatment's
# effect with the reasons for giving it. The *adjusted* one is doubly robust (lesson 7): the rate if all of these
# patients had been given the one arm, less the rate if all had been given the other, by models of the outcome and of
# who was given what, each fitted to other patients. It means something only where each patient could have had either
# arm (*overlap*). It stays blind to reasons that nobody wrote down, and is wrong if a column was written after the
# treatment began: set such columns to "ignore". No advice follows from it. The model above takes the treatment as
# given: it does not say what another would do.

# %%
def foretold(X, y, fold, rows):
    """Predict y (n,) of 0/1 by logistic regressions, each fitted to those `rows` that lie in other folds."""
    p = np.zeros(len(y))
    for k in np.unique(fold):
        learn, asked = rows & (fold != k), fold == k
        plan = simple.plan_of(X[learn])
        fitted = LogisticRegression(C=0.1, max_iter=2000).fit(simple.encode(X[learn], plan), y[learn])
        p[asked] = fitted.predict_proba(simple.encode(X[asked], plan))[:, 1]
    return p


mean_of = evaluate.weighted(lambda y, p, w: evaluate.mean_of(w, p))
contrast = evaluate.weighted(lambda y, p, w: evaluate.mean_of(w * p, y) - evaluate.mean_of(w * (1 - p), y))


def compared(one, arm, usual, other):
    """Give the difference in rates as seen, adjusted, and the share of patients who could hardly have had either arm."""
    rows = arm.isin([usual, other]).to_numpy()
    y, who, given = one.y[rows], one.patients[rows], (arm[rows] == other).to_numpy().astype(int)
    X, fold = one.X[rows].drop(columns=arm.name, errors="ignore"), split.folds(who, 2 * given + y)
    chance = foretold(X, given, fold, given >= 0)
    rates = np.column_stack([foretold(X, y, fold, given == a) for a in (0, 1)])
    terms = [treatment.doubly_robust(y, given, np.full(len(y), a), np.clip(chance, 0.01, 0.99), rates) for a in (0, 1)]
    lone = ((chance < 0.05) | (chance > 0.95)).mean()
    return (evaluate.interval(contrast, y, given, who, resamples),
            evaluate.interval(mean_of, y, terms[1] - terms[0], who, resamples), lone)


# %%
def tell(other, usual, outcome, seen, adjusted, lone):
    """Say and record how two arms compare; the adjusted figure only where nearly all patients could have had either."""
    record(f"{other} against {usual}, as seen", seen)
    say(f"**{quote(other)}** against **{quote(usual)}**, difference in the rate of {quote(outcome)}: as seen {seen}.")
    if lone > 0.1:
        return say(f"No adjusted figure: {lone:.0%} of these patients had a chance below 5 % of one of the two. "
                   "They cannot be compared.")
    record(f"{other} against {usual}, adjusted", adjusted)
    beyond = adjusted.low > 0 or adjusted.high < 0
    say(f"Adjusted {adjusted}: " + ("a difference beyond chance, if nothing that mattered is missing from the table."
        if beyond else "**no difference beyond chance.**") + f" Without overlap: {lone:.1%}.")


# %%
if one.schema.get("treatment") and one.kind == "table" and len(one.classes) == 2:
    arm = one.facts[one.schema["treatment"]].map(str, na_action="ignore")
    apart = pd.DataFrame({"arm": arm.to_numpy(), "y": one.y, "who": one.patients}).drop_duplicates()
    counts = pd.crosstab(apart["arm"], apart["y"])  # patients, not rows
    usual, *others = counts[(counts >= 20).all(axis=1)].sum(axis=1).sort_values(ascending=False).index[:5].tolist() or [""]
    for other in others:
        tell(other, usual, one.classes[1], *compared(one, arm, usual, other))
    if not others:
        say("Fewer than two arms have 20 patients of each outcome: nothing is compared.")
else:
    say("The schema names no treatment column of a table with two classes.")

# %% [markdown]
# ## The model card, and a file without pickle
#
# Python's usual way to store a model, *pickle*, runs code when it is opened: never open one that you did not write. We
# store numbers (`safetensors`) and a description (JSON); boosted trees become arrays too, and predict the same to the
# last digit.

# %%
folder = store.save(model, save_to or desk / "model")
again = store.load(folder)
gap = np.abs(again.predict(X_test) - p_test).max()
card = {"what it predicts": f"{one.schema.get('outcome', 'label')}: {' or '.join(one.classes[::-1])}", "model": model.spec["family"],
        "chosen by": "log-loss on validation patients", "trained on": f"{model.spec['rows']:,} rows of {title}",
        "AUROC (test)": results[main]["auroc"], "average precision (test)": results[main]["ap"],
        "calibration error (test)": results[main]["ece"], "baseline AUROC (test)": results[main]["baseline_auroc"],
        "needs": ", ".join(e["name"] for e in model.spec["plan"][:20]) + ", ..." * (one.X.shape[1] > 20) if one.kind == "table" else
                 str({k: model.spec[k] for k in store.NEEDED[one.kind]}),
        "not for": "other hospitals before a trial there; decisions about a patient; advice on treatment"}
display(pd.Series({k: str(v) for k, v in card.items()}, name="").to_frame())
say(f"Saved as {', '.join(sorted(f.name for f in folder.iterdir()))}; read back, the largest difference of a prediction is {gap:.1g}.")

# %% [markdown]
# ## Where it fails
#
# **Data that do not fit** would get an answer from most models. A saved model refuses them.

# %% tags=["simulated"]
def attempt(what, change):
    """Change a patient's row, offer it to the saved model, and print what comes of it."""
    frame = pd.read_csv(desk / "ward_mended.csv").head(1)
    change(frame).to_csv(desk / "new.csv", index=False)
    try:
        store.read_new(again, desk / "new.csv", frame["patient"].iloc[0])
        print(f"{what}: taken")
    except MedkitError as error:
        print(f"{what}: {shorten(str(error).replace(str(desk), '...'), 150, placeholder=' ...')}")


if simulated:
    attempt("as it is", lambda f: f)
    attempt("a column lacks", lambda f: f.drop(columns="BUN"))
    attempt("text", lambda f: f.astype({"age": object}).assign(age="old"))
    attempt("a new category", lambda f: f.assign(sex="unknown"))
    attempt("another unit", lambda f: f.assign(height=f["height"] * 10))

# %% [markdown]
# **Flaws that no check can see.** A shortcut inside the picture (lesson 9), an outcome written down wrongly, patients
# who never came. **A small test part** gives wide intervals, and with a handful of a class intervals that are
# too narrow. **The card asks, you answer:** a column that
# predicts almost perfectly may be a leak, or the disease itself.

# %% [markdown]
# ## One patient, and many
#
# `medkit run patient -p model=MODEL -p data=ward.csv -p patient=P00012` gives a page about one patient: prediction with
# interval, what drove it, comparison with the cohort. The same for each row of a table of patients:
#
# `medkit run patient -p model=MODEL -p data=ward.csv --for-each patients.csv --jobs 2 --out pages`
#
# where `patients.csv` has one column, `patient`. Below is what such pages say first, for three test patients.

# %%
rows = one.parts["test"][np.unique(one.patients[one.parts["test"]], return_index=True)[1][:3]]
p_rows = again.predict(one.X.iloc[rows] if one.kind == "table" else one.X[rows])
ranks = (again.arrays["cohort_p"][:, -1] < p_rows[:, -1:]).mean(axis=1)
pd.DataFrame([{"patient": one.patients[r], f"predicted: {one.classes[-1]}": round(float(p[-1]), 3),
               "came true in similar": str(models.observed(again, p)[-1]), "higher than, of the cohort": f"{rank:.0%}"}
              for r, p, rank in zip(rows, p_rows, ranks)])

# %% [markdown] tags=["exercise"]
# ## Exercises
#
# Replace each `...` and run the cell.
#
# **Exercise 1.** Write a function that gives the patients who stand in both training and test rows, as a set.

# %% tags=["exercise", "context"]
exercise_1 = Exercise("10.1", hint="Sets have an operator for what they share: &.")


@exercise_1.check
def _(on_both_sides):
    patients = np.array(["a", "b", "a", "c", "b", "d"])
    found = set(on_both_sides(patients, np.array([0, 1, 3]), np.array([2, 5])))
    assert found != {0, 1, 2, 3, 5}, "Look up the patients of the rows first: rows are numbers of rows."
    assert "c" not in found and "d" not in found, "Patients c and d stand on one side only."
    assert found == {"a"}, "Patient a has row 0 in training and row 2 in test, and nobody else has both."
    assert not set(on_both_sides(patients, np.array([0, 2]), np.array([3]))), "Here nobody stands on both sides."

# %% tags=["exercise", "nbval-check-output"]
def on_both_sides(patients, train, test):
    ### BEGIN SOLUTION
    return set(patients[train]) & set(patients[test])
    ### END SOLUTION


exercise_1(on_both_sides)

# %% tags=["wrong"]
def on_both_sides(patients, train, test):
    return set(patients[train]) | set(patients[test])

# %% tags=["wrong"]
def on_both_sides(patients, train, test):
    return set(train) & set(test)

# %% [markdown] tags=["exercise"]
# **Exercise 2.** How much does the *gap* tell? Give the AUROC of "was not measured" for the outcome: 0.5 if it tells
# nothing, and above 0.5 in whichever direction it tells.

# %% tags=["exercise", "context"]
exercise_2 = Exercise("10.2", hint="evaluate.auroc(y, np.isnan(x)); if it is below 0.5, turn it round.")


@exercise_2.check
def _(gap_tells):
    y = np.array([0, 0, 0, 1, 1, 1])
    gone, there = np.nan, 1.0
    assert np.isclose(gap_tells(np.array([there] * 3 + [gone] * 3), y), 1), "All ill and no well patients have a gap: 1."
    assert np.isclose(gap_tells(np.array([gone] * 3 + [there] * 3), y), 1), "A gap in all who are well tells as much: 1, not 0."
    assert np.isclose(gap_tells(np.array([5.0, 6, 7, 1, 2, 3]), y), 0.5), "No gap at all tells nothing: look at gaps, not values."
    few = np.array([there] * 3 + [gone] * 3), np.array([0, 0, 0, 0, 1, 1])
    assert np.isclose(gap_tells(*few), 0.875), "The AUROC weighs the ill and the well alike; here it is 0.875."

# %% tags=["exercise", "nbval-check-output"]
def gap_tells(x, y):
    ### BEGIN SOLUTION
    area = evaluate.auroc(y, np.isnan(x))
    return max(area, 1 - area)
    ### END SOLUTION


exercise_2(gap_tells)

# %% tags=["wrong"]
def gap_tells(x, y):
    return evaluate.auroc(y, np.isnan(x))

# %% tags=["wrong"]
def gap_tells(x, y):
    return evaluate.auroc(y, np.nan_to_num(x))

# %% [markdown] tags=["exercise"]
# **Exercise 3.** A model was trained on ages from `low` to `high`. Refuse values that lie further outside than the
# width of that range: give True for those that fit. A gap (NaN) fits.

# %% tags=["exercise", "context"]
exercise_3 = Exercise("10.3", hint="width = high - low; from low - width to high + width; and np.isnan.")


@exercise_3.check
def _(fits):
    found = fits(np.array([50.0, 95.0, 600.0, np.nan, -80.0, 150.0]), 20, 90)
    assert np.shape(found) == (6,), "There should be one answer per value."
    assert found[0] and found[1], "50 lies inside, 95 a little outside: both fit."
    assert not found[2], "600 is an age in months: further outside than the range is wide."
    assert found[3], "A gap fits: the model was trained with gaps."
    assert not found[4], "-80 is too far below."
    assert found[5], "150 lies outside by 60; the range is 70 wide, so it fits."

# %% tags=["exercise", "nbval-check-output"]
def fits(values, low, high):
    ### BEGIN SOLUTION
    width = high - low
    return np.isnan(values) | ((values >= low - width) & (values <= high + width))
    ### END SOLUTION


exercise_3(fits)

# %% tags=["wrong"]
def fits(values, low, high):
    return (values >= low) & (values <= high)

# %% tags=["wrong"]
def fits(values, low, high):
    return (values >= 2 * low - high) & (values <= 2 * high - low)

# %% [markdown] tags=["exercise"]
# ## Questions to recall
#
# <details><summary>Why must a leak be looked for on training patients alone?</summary>Whoever looks at test outcomes to
# choose columns has used them.</details>
# <details><summary>A column predicts death with an AUROC of 0.99. Leak or not?</summary>Ask when it was written. If after
# the outcome, or because of it: a leak.</details>
# <details><summary>Why are numbers in patients' names suspicious?</summary>They may have been given by clinic, by year or by
# outcome, and then tell it.</details>
# <details><summary>What does one patient under two names do to a test?</summary>The model has seen the answer: the test is
# too kind.</details>
# <details><summary>Why no pickle?</summary>Opening one runs code that its writer chose.</details>
# <details><summary>Which part of the data may choose the model, and which the threshold?</summary>Validation, both
# times. Test patients only measure.</details>

# %% [markdown] tags=["simulated"]
# ## Take away
#
# - Data are read by a schema that a person has corrected; what does not fit is refused, with file, row and column.
# - A score that is too good is a finding about the data. Look before you train.
# - The model is chosen on validation against simple ones, saved as numbers, and refuses what it does not know.

# %% tags=["simulated"]
if simulated:
    say(f"{quote(title)}: as it came {came.value:.3f}, mended {results[main]['auroc'].value:.3f}; "
        f"chosen: {', '.join(f'{quote(n)}: {c}' for n, c in chosen.items())}.")
kept.cleanup()

# %% [markdown]
# **References**
#
# - Kapoor S, Narayanan A. Leakage and the reproducibility crisis in machine-learning-based science. Patterns
#   4:100804, 2023. [doi:10.1016/j.patter.2023.100804](https://doi.org/10.1016/j.patter.2023.100804)
# - Gebru T, et al. Datasheets for datasets. Commun ACM 64(12):86-92, 2021.
#   [doi:10.1145/3458723](https://doi.org/10.1145/3458723)
# - Mitchell M, et al. Model cards for model reporting. FAT* 2019:220-229.
#   [doi:10.1145/3287560.3287596](https://doi.org/10.1145/3287560.3287596)
# - Wilson EB. J Am Stat Assoc 22:209-212, 1927.
#   [doi:10.1080/01621459.1927.10502953](https://doi.org/10.1080/01621459.1927.10502953) (the interval of a share)
