# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
#   medkit:
#     title: Explaining a prediction
#     learn:
#       - draw what a network looked at, by attention, activation maps, integrated gradients and occlusion
#       - grade such pictures against the truth and against pictures that know nothing of the network
#       - find a shortcut that accuracy hid, and mend it
#     read_minutes: 35
#     before: lessons 3 and 4.
#     data: simulated X-rays, ECGs and patients by default; real X-rays by name (PneumoniaMNIST), or a folder with boxes.
#     claim: "\"Attention highlights the regions that led to the diagnosis.\" Here: how often does its peak lie on the lesion, and does a picture that never saw the network do as well?"
# ---

# %% tags=["context"]
import medkit  # first, as it keeps a warning of fastai's import quiet

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from scipy.ndimage import gaussian_filter
from scipy.stats import binomtest
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from torch import nn

from medkit import evaluate, explain, plots, training
from medkit.augment import Augment
from medkit.datasets import boxes as drawn_boxes
from medkit.datasets import images, schema
from medkit.datasets.own import size_of
from medkit.errors import MedkitError
from medkit.exercise import Exercise
from medkit.hospital import admit, ecg, xray
from medkit.hospital.latent import standardised
from medkit.hospital.outcome import HAZARD as TRUE_WEIGHTS
from medkit.models.attention import AttentionCNN
from medkit.models.cnn import pixel_scale, to_tensor
from medkit.models.waves import SignalNet
from medkit.report import quote, record, say

plots.use_style()

# %% [markdown]
# As a report on real patients: `medkit run 9 -p dataset=pneumoniamnist`. There nobody has drawn the lesions, so only
# the grades that need no truth are given. On your own folder with boxes: `-p dataset=FOLDER -p boxes=boxes.csv`.

# %% tags=["parameters", "context"]
dataset: str = "virtual-hospital"  # simulated; or a MedMNIST name such as pneumoniamnist; or a folder
boxes: str = ""  # for a folder: a CSV (file, xmin, ymin, xmax, ymax) or a folder of Pascal VOC files
effort: str = "demo"  # demo | full: more films and epochs
tolerance: int = 1  # 0 to 28: pixels by which a peak may miss the lesion and still count
seed: int = 0  # 0 to 999999: patients and starting weights

# %% [markdown]
# ## A working result first
#
# In the virtual hospital (simulated) we know which pixels are the lesion. The question is pneumonia that can be *seen*:
# films whose consolidation (filled air spaces) covers less than a twentieth of the picture are left out here, and come
# back under "Where it fails". Each film is taken twice, without and with the hospital's lead marker in a corner; the
# second is for later.

# %%
simulated = dataset == "virtual-hospital"
many, epochs, members = (2400, 8, 2) if effort == "demo" else (16000, 16, 3)


def hospital_films(n, seed):
    """Take films of n simulated adults, half with pneumonia: plain, with marker, label, true region."""
    cohort = admit(8 * n, seed)
    ill = cohort.latent["pneumonia"].to_numpy()
    rows = np.concatenate([np.flatnonzero(ill)[:n // 2], np.flatnonzero(~ill)[:n // 2]])
    cohort.latent = cohort.latent.iloc[np.random.default_rng(seed).permutation(rows)]
    plain, lettered = (xray.take(cohort, 64, marker=m, quality_follows_illness=False) for m in (False, True))
    return plain.images, lettered.images, plain.labels["pneumonia"].to_numpy().astype(int), plain.masks[:, 0]

# %%
def box_masks(data, part):
    """Draw the boxes of a folder's images as masks; images without a box have an empty one."""
    found, side = drawn_boxes.read_boxes(boxes), data.X[part].shape[1]
    made = np.zeros((len(data.X[part]), side, side), bool)
    for mask, file in zip(made, data.files.get(part, [])):
        if file in found:
            mask[:] = drawn_boxes.to_mask(found[file], *size_of(Path(dataset).expanduser() / file), side)
    if not made[y[part] == 1].any():
        raise MedkitError(f"No image of the ill in the {part} part has a box. {boxes} names '{next(iter(found), '')}'; "
                          f"the folder has {', '.join(data.files.get(part, ['no files'])[:2])}.")
    return made


# %%
def well_class(data):
    """Give the code of the class that counts as not ill: of several the one with such a name, else the first."""
    named = [k for k, c in enumerate(data.classes) if c.lower() in schema.NEGATIVE]
    return named[0] if named and len(data.classes) > 2 else 0


# %%
if simulated:
    plain, lettered, y_all, regions = hospital_films(many, seed)
    seen = (y_all == 0) | (regions.mean((1, 2)) >= 0.05)
    cuts = np.split(np.arange(many), [int(0.65 * many), int(0.78 * many)])
    rows = {part: r[seen[r]] for part, r in zip(("train", "valid", "test"), cuts)}
    X = {part: to_tensor(plain[r][..., None]) for part, r in rows.items()}
    y, masks = ({part: a[r] for part, r in rows.items()} for a in (y_all, regions))
else:
    data = images.load(dataset, size=28 if dataset.endswith("mnist") else 64, seed=seed)
    X, well = {p: to_tensor(a) for p, a in data.X.items()}, well_class(data)
    y = {p: (c.any(axis=1) if data.multi_label else c != well).astype(int) for p, c in data.y.items()}
    say("Counted as ill: " + ("any finding." if data.multi_label else f"all but {quote(data.classes[well])}."))
    masks = {p: box_masks(data, p) for p in X} if boxes else None
name = "virtual hospital (simulated)" if simulated else data.name
pd.DataFrame({p: np.bincount(c, minlength=2) for p, c in y.items()}, index=["not ill", "ill"])

# %% [markdown]
# The network has *attention*: for every place of its last map it computes a weight, the weights add up to 1, and the
# answer is made from the weighted mean. So the weights say which places the answer was made from.

# %%
def train(films, codes, seed, epochs=epochs):
    """Train an attention network on uint8 films (n, channels, height, width)."""
    training.set_seed(seed)
    batch_size, unread = int(np.clip(len(films) // 8, 8, 64)), (films[:64], codes[:64])
    dls = training.array_loaders((films, codes), unread, batch_size, Augment(erase=0, seed=seed), seed=seed)
    net = AttentionCNN(films.shape[1], 2, 12, pixel_scale(films.numpy()))
    learn = training.learner(dls, net, nn.CrossEntropyLoss(), cbs=training.averaging())
    rounds = int(np.clip(8000 // len(films), epochs, 200))  # few films: more rounds, smaller batches
    return training.fit(learn, rounds, lr=0.01, wd=0.1).model


def probabilities(net, films):
    """Give the probability that each film's patient is ill, shape (n,)."""
    return torch.cat([training.forward(net, [b]) for b in films.split(256)]).softmax(1)[:, 1].numpy()


# %% [markdown]
# One network may learn to look beside the lesion and still be right. So we train several that differ in their starting
# weights only, and let them answer together, as in lesson 8.

# %%
class Team(nn.Module):
    """Several attention networks: the mean of their log-odds, and of their attention."""

    def __init__(self, members):
        super().__init__()
        self.members = nn.ModuleList(members)

    def forward(self, x):
        return torch.stack([m(x) for m in self.members]).mean(0)

    def attend(self, x):
        summaries, weights = zip(*(m.attend(x) for m in self.members))
        return torch.cat(summaries, 1), torch.stack(weights).mean(0)


net = Team([train(X["train"], y["train"], seed + k) for k in range(members)])
p = {part: probabilities(net, X[part]) for part in ("valid", "test")}
whose = None if simulated or not data.files else data.patients["test"]  # of a folder a patient can have several images
found_auroc = evaluate.interval(evaluate.auroc, y["test"], p["test"], whose)
record("auroc", found_auroc)
record("ap", evaluate.interval(evaluate.average_precision, y["test"], p["test"], whose))
if not found_auroc.low > 0.5:
    say("**On test images this network cannot be told from chance**: its maps may say nothing of the illness.")

# %%
level = float(X["train"].float().mean() / 255)
side = X["test"].shape[-1]


def by_member(method, **options):
    """Draw a map of each network of a team, and take the mean."""
    return lambda model, films: np.mean(
        [method(m, films, **options) for m in getattr(model, "members", [model])], axis=0)


METHODS = {"attention": explain.attention,
           **{kind: by_member(explain.cam, kind=kind) for kind in explain.CAMS},
           "integrated gradients": by_member(explain.integrated_gradients, baseline=level, batch_size=8),
           "occlusion": by_member(explain.occlusion, window=side // 4, stride=side // 8, baseline=level)}

# %%
def smooth(maps, width=side / 8, mode="constant"):
    """Blur maps, so that the peak is the middle of what lights up; "constant" darkens the rim, "nearest" does not."""
    return np.stack([gaussian_filter(m, width, mode=mode) for m in maps])


def show_overlays(films, overlays, titles, heading, truth=None):
    """Show films with a map laid over each; the outline is the true region, where it is known."""
    fig, axes = plt.subplots(1, len(films), figsize=(9.4, 9.4 / len(films) + 0.6), squeeze=False)
    for k, ax in enumerate(axes[0]):
        ax.imshow(films[k, 0], vmin=0, vmax=255)
        ax.imshow(overlays[k], cmap="inferno", alpha=0.45)
        if truth is not None and truth[k].any():
            ax.contour(truth[k], [0.5], colors=plots.SKY, linewidths=1.5)
        ax.set_title(titles[k], fontsize=9, loc="center")
        ax.axis("off")
    fig.suptitle(heading, x=0.01, ha="left", fontsize=12)
    plots.show(fig, f"{heading}. {len(films)} films with an overlay: {', '.join(titles)}.")

# %%
def explained(part, limit=100 if effort == "demo" else 300):
    """Choose ill patients of a part to be explained, an image each; with a known region, where regions are known."""
    good = np.flatnonzero((y[part] == 1) & (masks[part].any((1, 2)) if masks else True))
    owner = good if simulated else data.patients[part][good]
    return np.sort(good[np.unique(owner, return_index=True)[1]])[:limit]


chosen = {part: explained(part) for part in ("valid", "test")}
first = chosen["test"][:6]
show_overlays(X["test"][first], explain.attention(net, X["test"][first]),
              [f"probability {v:.2f}" for v in p["test"][first]], f"Attention on {len(first)} ill patients: {name}",
              masks["test"][first] if masks else None)

# %% [markdown]
# The picture is convincing. Is it true?
#
# ## Ways to ask
#
# - **Attention**: the network's own weights (Ilse et al., 2018).
# - **Class activation maps** (CAM) add up the last feature maps. How much each counts is read from its *slopes*: how
#   much the log-odds of "ill" rise when the feature rises in a place. Four kinds differ in this:
#   - **Grad-CAM** gives each feature one weight, the mean of its slopes (Selvaraju et al., 2017).
#   - **Grad-CAM++** gives it a weighted sum of its rising slopes instead, so that a feature in few places is not
#     drowned by the many where it is absent (Chattopadhay et al., 2018).
#   - **HiResCAM** multiplies feature and slope place by place, so that a slope in one place cannot light up another
#     (Draelos and Carin, 2020).
#   - **LayerCAM** does so with rising slopes alone (Jiang et al., 2021).
# - **Integrated gradients**: the slope of the log-odds along the way from a grey picture to the film (Sundararajan et
#   al., 2017). The values add up to the difference (*completeness*), nearly, as we walk in steps.
# - **Occlusion**: cover a window, and see what the log-odds lose (Zeiler and Fergus, 2014).

# %%
four = X["test"][chosen["test"][:1]]
pictures = {m: smooth(f(net, four)) for m, f in METHODS.items()}
outline = np.repeat(masks["test"][chosen["test"][:1]], len(pictures), 0) if masks else None
show_overlays(four.repeat(len(pictures), 1, 1, 1), [m[0] for m in pictures.values()],
              [m.replace(" ", "\n") for m in METHODS], f"One patient, all methods: {name}", outline)

# %% [markdown]
# ## The claim, measured
#
# *Pointing game* (Zhang et al., 2018): does the map's peak lie on the lesion? (Give or take `tolerance` pixels: by
# default one, as a lesion's border is known to a pixel. Its authors allow 15 in photographs some 500 wide. Maps are
# blurred first, so that the peak is the middle of what lights up.) *IoU*: overlap of the lesion and the highest tenth
# of the map. Beside them stand maps that know nothing of the network, the *nulls*: noise, the middle of the film, its
# edges, and, the hardest, *the usual place*: the mean lesion of the training patients, the same for everybody. The
# method is chosen on validation patients.

# %%
def maps_of(part):
    """Blur the maps of all methods on the ill patients of a part, and add the nulls."""
    films = X[part][chosen[part]]
    made = {m: smooth(v) for m, v in sharp[part].items()} | explain.nulls(films, seed)
    if masks:
        made["usual place"] = np.repeat(masks["train"][y["train"] == 1].mean(0)[None], len(films), 0)
    return made


NULLS = ("random", "centre", "edges")
sharp = {part: {m: f(net, X[part][chosen[part]]) for m, f in METHODS.items()} for part in ("valid", "test")}
maps = {part: maps_of(part) for part in ("valid", "test")}


def mean_of(values):
    """Estimate a mean over patients with its bootstrap interval; a share of 0 or 1 has the exact binomial bound."""
    share, values = np.asarray(values).dtype == bool, np.asarray(values, dtype=float)
    n, value = len(values), float(values.mean())
    ends = evaluate.percentiles(evaluate.bootstrap(lambda w: evaluate.mean_of(w, values), n, None, 1000, seed))
    if share and value in (0, 1) and n >= 5:
        ends = binomtest(round(n * value), n).proportion_ci()  # Clopper and Pearson's
    return evaluate.Estimate(value, *ends)


# %%
best = "attention"
if masks:
    truth = {part: masks[part][chosen[part]] for part in chosen}
    on_valid = {m: explain.pointing(maps["valid"][m], truth["valid"], tolerance).mean() for m in METHODS}
    best = max(on_valid, key=on_valid.get)
    hits = {m: explain.pointing(v, truth["test"], tolerance) for m, v in maps["test"].items()}
    plots.estimates({m: mean_of(h) for m, h in hits.items()}, "share of peaks on the lesion",
                    f"Pointing game, {len(truth['test'])} ill test patients: {name}")

# %%
if masks:
    overlap = {m: mean_of(explain.iou(v, truth["test"])) for m, v in maps["test"].items()}
    record("best_method", best)
    record("pointing_game", mean_of(hits[best]))
    record("pointing_game_null", mean_of(hits["centre"]))
    record("pointing_game_usual_place", mean_of(hits["usual place"]))
    record("iou", overlap[best])
    against = {k: mean_of(hits[best].astype(float) - hits[k]) for k in (*NULLS, "usual place")}
    strict = explain.pointing(maps["test"][best], truth["test"]).mean()
    say(f"Chosen on validation: **{best}**, {mean_of(hits[best])} of peaks on the lesion; exactly on it, without "
        f"tolerance: {strict:.2f}. Less the nulls: "
        + "; ".join(f"{k} {v}" for k, v in against.items()) + ".")

# %%
def verdict(gain):
    """Say what a difference with its interval allows us to say."""
    return "yes" if gain.low > 0 else "no, it is worse" if gain.high < 0 else "we cannot tell"


if masks:
    attended = {k: mean_of(hits["attention"].astype(float) - hits[k]) for k in (*NULLS, "usual place")}
    say("*\"Attention highlights the regions that led to the diagnosis.\"* Its peak is on the lesion in "
        f"**{hits['attention'].mean():.0%}** of the ill. Better than chance ({verdict(attended['random'])}), than the "
        f"centre ({verdict(attended['centre'])}), than edges ({verdict(attended['edges'])}), than the usual place "
        f"(**{verdict(attended['usual place'])}**), which alone hits {hits['usual place'].mean():.0%}.")

# %% [markdown]
# Where an illness likes certain places, a fixed point there can hit often, with no network at all. A score of a
# pointing game means little before you know that one. Look at the misses below, too: is the map about *this* patient?
#
# ### Does the network need what the map shows?
#
# *Deletion*: blur the highest pixels first and watch the probability; the area under that curve should be small.
# *Insertion*: start from a blurred film and put them back; it should be large (Petsiuk et al., 2018). This needs no
# truth. But small and large beside what? Maps that know nothing are deleted and inserted alike, and each map is
# compared with the null that did best, film by film. (The best of three is a strict rival.)

# %%
some = chosen["test"][:60]
asked = (best, *[m for m in ("attention", "grad-cam") if m != best], *NULLS)
deleted, inserted = ({m: explain.curve(net, X["test"][some], maps["test"][m][:60], insert=i) for m in asked}
                     for i in (False, True))
low_null = min(NULLS, key=lambda m: deleted[m].mean())
high_null = max(NULLS, key=lambda m: inserted[m].mean())
record("deletion_auc", mean_of(deleted[best]))
record("deletion_auc_null", mean_of(deleted[low_null]))
record("deletion_gain", mean_of(deleted[low_null] - deleted[best]))  # above 0: better than that null, on the same images
record("insertion_auc", mean_of(inserted[best]))
record("insertion_auc_null", mean_of(inserted[high_null]))
record("insertion_gain", mean_of(inserted[best] - inserted[high_null]))
pd.DataFrame({"deletion (small is good)": {m: a.mean() for m, a in deleted.items()},
              "insertion (large is good)": {m: a.mean() for m, a in inserted.items()}}).round(3)

# %%
own = p["test"][some]
blurred = 2 * explain.curve(net, X["test"][some], maps["test"][best][:60], steps=1) - own  # one step has two ends
taken_away = mean_of(own - blurred)
top = inserted[high_null].mean()
say(f"The ends of both curves: mean probability {own.mean():.3f} on the films, {blurred.mean():.3f} on blurred ones. "
    + ("Blur takes evidence away. " if taken_away.low > 0 else
       "Blur does **not** take the evidence away, so both grades have little to measure here. ")
    + (f"With '{high_null}' the mean along the way is {top:.3f}, above both ends: a film that is blurred in parts "
       "looks ill by itself. That is no merit of a map." if top > max(own.mean(), blurred.mean()) else ""))

# %%
fewer = {m: mean_of(deleted[low_null] - deleted[m]) for m in asked if m not in NULLS}
more = {m: mean_of(inserted[m] - inserted[high_null]) for m in asked if m not in NULLS}
for what, null, gains in (("Deletion", low_null, fewer), ("Insertion", high_null, more)):
    say(f"*{what}*: better than the best null ({null})? "
        + "; ".join(f"{m} by {e}: **{verdict(e)}**" for m, e in gains.items()) + ".")

# %% [markdown]
# ### Does the map need what the network has learned?
#
# Give every layer new random weights and draw the maps again (Adebayo et al., 2018). If they look the same, they show
# the film, not the network. How alike are they by chance? Beside each stands the correlation of the same maps with
# blurred noise. A method passes if the interval of its surplus over chance lies below 0.1.
#
# (All are blurred without the dark rim of the maps above: a rim that all maps share makes any two look alike. A network
# with random weights may give a map of zeros: nothing speaks for "ill". That counts as 0 here.)

# %%
forgetful = explain.randomised(net, seed)
noise = smooth(np.random.default_rng(seed).random((len(some), side, side)), mode="nearest")


def alike_by(m):
    """Give each map's rank correlation with that of a network that knows nothing, and with noise; without sign."""
    trained = smooth(sharp["test"][m][:60], mode="nearest")
    untrained = smooth(METHODS[m](forgetful, X["test"][some]), mode="nearest")
    return [np.abs(explain.rank_correlation(trained, other)) for other in (untrained, noise)]


same, by_chance = {}, {}
for m in dict.fromkeys((best, "attention", "grad-cam", "integrated gradients")):
    same[m], by_chance[m] = alike_by(m)

# %%
record("sanity_correlation", mean_of(same[best]))
record("sanity_correlation_null", mean_of(by_chance[best]))
pairs = {m: mean_of(v) for m, v in same.items()} | {f"{m}, noise": mean_of(v) for m, v in by_chance.items()}
plots.estimates(pairs, "rank correlation (absolute) with the map of a network that knows nothing",
                f"Sanity check: {name}")

# %%
def passes(surplus, most=0.1):
    """Say whether maps are, but for a little, no more alike than by chance."""
    return "yes" if surplus.high < most else "no" if surplus.low > most else "we cannot tell"


surplus = {m: mean_of(same[m] - by_chance[m]) for m in same}
say("More alike than by chance by: " + "; ".join(f"{m} {e}, passed: **{passes(e)}**" for m, e in surplus.items())
    + ". A map that does not pass may have been there before the network had learned anything.")

# %% [markdown]
# ## A network that learned the wrong thing
#
# In our hospital (simulated), most of the ill are filmed on the ward, with a lead marker in the corner: 90 % of the
# ill, 10 % of the others. At an outside hospital the marker has nothing to do with illness: half of both. Same
# patients, same lungs.

# %%
if simulated:
    rng = np.random.default_rng(seed)
    tossed = rng.random(many)
    inside, outside = tossed < np.where(y_all == 1, 0.9, 0.1), rng.random(many) < 0.5

    def hang(marked, part):
        """Give the films of a part, with the marker where it hangs."""
        r = rows[part]
        return to_tensor(np.where(marked[r, None, None], lettered[r], plain[r])[..., None])

    cheat = train(hang(inside, "train"), y["train"], seed)
    there, away = (probabilities(cheat, hang(m, "test")) for m in (inside, outside))
    in_auroc, out_auroc = (evaluate.interval(evaluate.auroc, y["test"], q) for q in (there, away))
    record("shortcut_auroc_inside", in_auroc)
    record("shortcut_auroc_outside", out_auroc)
    say(f"Inside, the test AUROC is **{in_auroc}**, on patients whom it has never seen (the network above, on films "
        f"without markers: {found_auroc.value:.3f}). Outside it is **{out_auroc}**. A split by patient does not show "
        "the difference: the inside test shares the shortcut.")

# %% [markdown]
# Would the explanation have told us, without the outside hospital? We look at films that bear the marker and that it
# ranks in the upper half, and ask how often the peak of the map lies on the letter. An honest network on the same films
# tells how often that happens by chance.

# %%
if simulated:
    letter = np.abs(lettered.astype(int) - plain)[rows["test"]] > 8
    asked = np.flatnonzero((there > np.median(there)) & inside[rows["test"]])[:100]
    films = hang(inside, "test")[asked]

    def on_letter(model, method):
        """Tell for each film whether the map's peak lies on the marker (thin: two pixels to spare)."""
        return explain.pointing(smooth(METHODS[method](model, films), 1.5), letter[asked], 2)

    lit = {f"{who}: {m}": on_letter(model, m) for m in dict.fromkeys((best, "attention", "occlusion"))
           for who, model in (("shortcut", cheat), ("honest", net.members[0]))}
    shares = {which: mean_of(v) for which, v in lit.items()}
    record("shortcut_share_found", shares[f"shortcut: {best}"])
    plots.estimates(shares, "share of peaks on the marker",
                    f"{len(asked)} films with a marker, in the upper half of risk\n{name}")

# %%
if simulated:
    show_overlays(films[:6], METHODS[best](cheat, films[:6]),
                  [f"probability {v:.2f}" for v in there[asked[:6]]],
                  f"What the shortcut network looked at ({best}; simulated)", letter[asked[:6]])

# %% [markdown]
# **Mended**: the marker lies in an upper corner, so we cover both upper corners of every film, train anew on the same
# inside patients, and test outside.

# %%
def cover(films):
    """Blacken both upper corners, where a lead marker can hang."""
    covered, reach = films.clone(), films.shape[-1] // 5
    covered[..., :reach, :reach] = covered[..., :reach, -reach:] = 0
    return covered


if simulated:
    mended = train(cover(hang(inside, "train")), y["train"], seed)
    q = probabilities(mended, cover(hang(outside, "test")))
    record("mended_auroc_outside", evaluate.interval(evaluate.auroc, y["test"], q))
    gain = evaluate.compare(evaluate.auroc, y["test"], q, away)
    revealed = mean_of(lit[f"shortcut: {best}"].astype(float) - lit[f"honest: {best}"])
    say(f"Outside, mended less shortcut: **{gain}**. *\"Explanations reveal shortcuts\"*: here the peak lay on the "
        f"marker in {shares[f'shortcut: {best}'].value:.0%} of such films, against "
        f"{shares[f'honest: {best}'].value:.0%} for the honest network; the difference: **{revealed}**. But you must "
        "know what to look for: this shortcut has a place.")

# %% [markdown]
# ## An ECG: which beat was it?
#
# A 1-D CNN with attention over time (lesson 4) learns whether a ten-second strip holds a ventricular ectopic beat (V).
# It is told nothing of where. Simulated, so every beat's class is known.

# %%
strips = 900 if effort == "demo" else 3000
cohort = admit(12 * strips, seed + 1)
often = cohort.latent.nlargest(strips // 2, "ectopy_v").index
others = cohort.latent.index.difference(often)[:strips // 2]
cohort.latent = cohort.latent.loc[np.random.default_rng(seed).permutation(often.union(others))]
taken = ecg.record(cohort, 10, 100, leads=2)
has_v = np.array([(c == "V").any() for c in taken.classes]).astype(int)
scaled = taken.signal / taken.signal[:strips // 2].std()
cut = [slice(0, int(0.65 * strips)), slice(int(0.65 * strips), int(0.7 * strips)), slice(int(0.7 * strips), strips)]

# %%
training.set_seed(seed)
dls = training.array_loaders(*[(scaled[c], has_v[c]) for c in cut[:2]], 64, seed=seed)
beats_net = training.fit(training.learner(dls, SignalNet(2, 2, recurrent=False), nn.CrossEntropyLoss()), 12, lr=0.005)
chance = training.probabilities(beats_net, scaled[cut[2]])[:, 1]
record("ecg_auroc", evaluate.interval(evaluate.auroc, has_v[cut[2]], chance))
v_rows = np.arange(strips)[cut[2]][has_v[cut[2]] == 1]
near = np.zeros((len(v_rows), scaled.shape[2]), bool)  # within 0.3 s of a V beat
for k, i in enumerate(v_rows):
    for at in taken.beats[i][taken.classes[i] == "V"]:
        near[k, max(at - 30, 0):at + 31] = True
over_time = explain.attention(beats_net.model, torch.as_tensor(scaled[v_rows]))
on_beat = explain.pointing(over_time, near)
record("ecg_pointing", mean_of(on_beat))
record("ecg_pointing_null", mean_of(near.mean(1)))
beat_gain = mean_of(on_beat - near.mean(1))
say("Share of peaks of attention within 0.3 s of a V beat, less the share of moments that lie so near: "
    f"**{beat_gain}**. Better than chance: {verdict(beat_gain)}.")

# %%
k = int(np.argsort(near.mean(1))[len(near) // 4])
t = np.arange(scaled.shape[2]) / 100
fig, ax = plt.subplots(figsize=(9, 3))
wave = taken.signal[v_rows[k], 0]
ax.fill_between(t, over_time[k] / over_time[k].max() * wave.max(), color=plots.ORANGE, alpha=0.5, lw=0,
                label="attention (scaled)")
ax.plot(t, wave, color=plots.BLUE, lw=1, label="ECG")
ax.plot(t[near[k]], np.full(near[k].sum(), wave.min() - 0.2), "s", ms=3, color=plots.VERMILION,
        label="near a true V beat")
ax.set(xlabel="time (s)", ylabel="lead MLII (mV)", title="Attention over time on one strip (simulated)")
fig.legend(loc="outside lower center", ncols=3, fontsize=10)
plots.show(fig, "A ten-second ECG strip with the network's attention over time and the places of the true "
           "ventricular beats.")

# %% [markdown]
# ## A table: what drove this patient's risk?
#
# *Shapley values* share a prediction out among the columns: each gets what it adds, averaged over all orders in which
# the columns could become known. Here boosted trees learn in-hospital death from seven scores of simulated patients.
# The simulator's own weights are known, so each patient's true shares (weight times score) can be compared.

# %%
people = admit(6000 if effort == "demo" else 20000, seed + 2)
scores = pd.DataFrame(standardised(people.latent))[list(TRUE_WEIGHTS)]
died = people.outcome()["died"].to_numpy().astype(int)
half = len(scores) // 2
trees = HistGradientBoostingClassifier(max_iter=80, learning_rate=0.06, max_leaf_nodes=8, random_state=seed)
trees.fit(scores.to_numpy()[:half], died[:half])
linear = LogisticRegression().fit(scores.to_numpy()[:half], died[:half])
background = scores.to_numpy()[:200]
cases = scores.to_numpy()[half:half + 60]
shares_of = explain.shapley(trees.decision_function, cases, background, 40, seed)
true_shares = cases * np.array(list(TRUE_WEIGHTS.values()))
agree = mean_of([np.corrcoef(a, b)[0, 1] for a, b in zip(shares_of, true_shares)])
record("table_agreement", agree)
for figure, model in (("table_auroc", trees), ("table_auroc_logistic", linear)):
    record(figure, evaluate.interval(evaluate.auroc, died[half:], model.predict_proba(scores.to_numpy()[half:])[:, 1]))

# %%
worst = int(np.argmax(trees.predict_proba(cases)[:, 1]))
order = np.argsort(shares_of[worst])
fig, ax = plt.subplots(figsize=(6.8, 3.4))
place = np.arange(len(order))
ax.barh(place + 0.2, shares_of[worst][order], 0.38, color=plots.BLUE, label="Shapley value of the trees")
ax.barh(place - 0.2, true_shares[worst][order], 0.38, color=plots.ORANGE, label="truth of the simulator")
ax.set(yticks=place, yticklabels=scores.columns[order], xlabel="share of the log-odds (log-hazard)",
       title=f"Patient {worst}: risk {trees.predict_proba(cases)[worst, 1]:.0%} (simulated)")
fig.legend(loc="outside lower center", ncols=2, fontsize=10)
plots.show(fig, "Shapley values of one patient: "
           + ", ".join(f"{c} {v:.2f}" for c, v in zip(scores.columns, shares_of[worst])))
say(f"*\"Shapley values show what drove the risk.\"* Over {len(cases)} patients they correlate with the true shares by "
    f"**{agree}**. They explain the model: where the model is wrong, so are they, and a cause they cannot show.")

# %% [markdown]
# ## A page for the doctor
#
# One patient: the film, what the network looked at, a probability with an interval, similar cases, and when not to
# trust it. A network's own probability may be too sure or too unsure. So it is *calibrated* on validation patients: a
# logistic regression of the illness on the network's log-odds, two numbers in all (Platt, 1999). A slope above 1 says
# that the network was too unsure, below 1 too sure.

# %%
def log_odds(q):
    """Turn probabilities into log-odds, shape (n, 1)."""
    q = np.clip(q.astype(float), 1e-6, 1 - 1e-6)
    return np.log(q / (1 - q))[:, None]


platt = LogisticRegression(C=1e6).fit(log_odds(p["valid"]), y["valid"])
risk = {part: platt.predict_proba(log_odds(q))[:, 1] for part, q in p.items()}
slope = platt.coef_[0, 0]
gap = {which: evaluate.ece(y["test"], q) for which, q in (("own", p["test"]), ("calibrated", risk["test"]))}
say(f"Slope {slope:.2f}: on validation patients the networks together were too {'unsure' if slope > 1 else 'sure'}. On "
    f"test patients the mean gap of risk and rate (ECE) is {gap['own']:.3f} with their own probabilities, "
    f"{gap['calibrated']:.3f} calibrated: "
    + ("it is smaller." if gap["calibrated"] < gap["own"] else "it is **not** smaller; what held for validation "
       "patients does not hold for these."))

# %% [markdown]
# The interval is counted: of the 50 validation patients with the nearest calibrated risk (of fewer than 100 the nearer
# half), how many were ill?

# %%
who = int(chosen["test"][np.argsort(p["test"][chosen["test"]])[len(chosen["test"]) // 2]])
nearest = np.argsort(np.abs(risk["valid"] - risk["test"][who]))[:min(50, len(y["valid"]) // 2)]
count = int(y["valid"][nearest].sum())
ci = binomtest(count, len(nearest)).proportion_ci(method="wilson")
belongs = "within" if ci.low <= risk["test"][who] <= ci.high else "**outside**"


def summaries(part):
    """Give the network's summary of each film of a part."""
    with torch.no_grad():
        return torch.cat([net.eval().attend(b.to(training.best_device()))[0].cpu() for b in X[part].split(256)]).numpy()


known, mine = summaries("train"), summaries("test")[who]
far = np.linalg.norm(known - mine, axis=1)
alike = np.argsort(far)[:3]
usual_gap = np.quantile([np.sort(np.linalg.norm(known - s, axis=1))[1] for s in known[:200]], 0.95)

# %%
page = torch.cat([X["test"][who:who + 1]] * 2 + [X["train"][alike]])
over = np.concatenate([np.zeros((1, side, side)), METHODS[best](net, page[1:2]), METHODS[best](net, X["train"][alike])])
titles = ["film", f"looked at\n({best})"] + [f"similar: {'ill' if c else 'not ill'}" for c in y["train"][alike]]
called = f"Patient {who}" if simulated or not data.files else data.files["test"][who]
show_overlays(page, over, titles, f"{called}: {name}")
strange = "unlike" if far.min() > usual_gap else "like"
say(f"**Probability of illness {risk['test'][who]:.0%}** (calibrated; the networks' own was {p['test'][who]:.0%}). Of "
    f"the {len(nearest)} validation patients with the nearest risk {count} were ill ({ci.low:.0%} to {ci.high:.0%}, "
    f"95 %): the probability lies {belongs} that interval. Both hold where {y['valid'].mean():.0%} of the films are of "
    f"the ill, as here; where illness is rarer, both are too high. The film is {strange} those that the network has "
    "learned from. **Do not trust this answer** if the map lies outside the lungs or on a letter, a tube or a cable; "
    "if the patient or the device is unlike those that it has learned from (a child among adults, say); if the interval "
    "contains the rate at which you would act anyway.")

# %% [markdown]
# ## Where it fails
#
# The small lesions come back: ill patients whose consolidation covers less than a twentieth of the film.

# %%
if simulated:
    subtle = cuts[2][(y_all[cuts[2]] == 1) & ~seen[cuts[2]] & regions[cuts[2]].any((1, 2))]
    shy = smooth(METHODS[best](net, to_tensor(plain[subtle][..., None])))
    small = mean_of(explain.pointing(shy, regions[subtle], tolerance))
    say(f"On {len(subtle)} ill patients with small lesions the peak hits in **{small}**, against "
        f"{hits[best].mean():.3f} on those above.")

# %%
if simulated and not hits[best].all():
    off = ~hits[best]
    missed = chosen["test"][off][:6]
    show_overlays(X["test"][missed], maps["test"][best][off][:6], [f"probability {v:.2f}" for v in p["test"][missed]],
                  f"Peaks that missed ({best}; simulated)", masks["test"][missed])
    close = explain.pointing(maps["test"][best][off], truth["test"][off], 4).mean()
    say(f"Of the {off.sum()} peaks that missed, {close:.0%} lie within four pixels of the lesion, the others further "
        "away.")

# %% [markdown]
# A shortcut without a place, such as blur or a crooked film, cannot be found by a map of places. And a right place is
# not a right reason.

# %% [markdown] tags=["exercise"]
# ## Exercises
#
# **Exercise 1.** Write the intersection over union of two boolean masks of the same shape.

# %% tags=["exercise", "context"]
exercise_1 = Exercise("9.1", hint="a & b is where both are True, a | b where either is.")


@exercise_1.check
def _(overlap_of):
    a, b = np.zeros((4, 4), bool), np.zeros((4, 4), bool)
    a[:2], b[1:3] = True, True
    assert not np.isclose(overlap_of(a, b), 0.5), "That divides by one mask, or by the mean of both (Dice); divide by the union."
    assert np.isclose(overlap_of(a, b), 1 / 3), "4 pixels are shared, 12 belong to either: 1/3."
    assert np.isclose(overlap_of(a, a), 1), "A mask and itself overlap by 1."

# %% tags=["exercise", "nbval-check-output"]
def overlap_of(a, b):
    ### BEGIN SOLUTION
    return (a & b).sum() / (a | b).sum()
    ### END SOLUTION


exercise_1(overlap_of)

# %% tags=["wrong"]
def overlap_of(a, b):
    return (a & b).sum() / a.sum()

# %% tags=["wrong"]
def overlap_of(a, b):
    return (a & b).sum() / (a.sum() + b.sum())

# %% [markdown] tags=["exercise"]
# **Exercise 2.** Grad-CAM: from activations `A` and gradients `G`, both (features, height, width), make the map: each
# feature weighted by its mean gradient, summed, negatives set to 0.

# %% tags=["exercise", "context"]
exercise_2 = Exercise("9.2", hint="G.mean(axis=(1, 2)) gives one weight a feature; np.maximum(..., 0) ends it.")


@exercise_2.check
def _(grad_cam):
    A = np.array([[[1.0, 2], [0, 1]], [[3, 0], [1, 1]]])
    G = np.array([[[1.0, 1], [1, 1]], [[-2, 0], [0, 0]]])
    made = grad_cam(A, G)
    assert np.shape(made) == (2, 2), "The map has the height and width of a feature map."
    assert (np.asarray(made) >= 0).all(), "Negative values become 0."
    assert np.allclose(made, [[0, 2], [0, 0.5]]), "The weights are 1 and -0.5: the mean of each feature's gradient."

# %% tags=["exercise", "nbval-check-output"]
def grad_cam(A, G):
    ### BEGIN SOLUTION
    weights = G.mean(axis=(1, 2))
    return np.maximum((weights[:, None, None] * A).sum(axis=0), 0)
    ### END SOLUTION


exercise_2(grad_cam)

# %% tags=["wrong"]
def grad_cam(A, G):
    return (G.mean(axis=(1, 2))[:, None, None] * A).sum(axis=0)

# %% tags=["wrong"]
def grad_cam(A, G):
    return np.maximum((G * A).sum(axis=0), 0)

# %% [markdown] tags=["exercise"]
# **Exercise 3.** A model gives 10 if both of two tests are positive, else 0. All others have two negative tests. What
# is the Shapley value of the first test, for a patient with two positive ones?

# %% tags=["exercise", "context"]
exercise_3 = Exercise("9.3", hint="Two orders: first test known first (adds 0), or known second (adds 10).")


@exercise_3.check
def _(value):
    assert value != 10, "10 is shared by two tests that need each other."
    assert value != 0, "Known first it adds 0, but known second it adds 10."
    assert np.isclose(value, 5), "Average over both orders."

# %% tags=["exercise", "nbval-check-output"]
### BEGIN SOLUTION
value = (0 + 10) / 2
### END SOLUTION

exercise_3(value)

# %% tags=["wrong"]
value = 10

# %% tags=["wrong"]
value = 0

# %% [markdown] tags=["exercise"]
# ## Questions to recall
#
# <details><summary>What does completeness of integrated gradients mean?</summary>The values add up to the model's
# output for the input less that for the baseline.</details>
# <details><summary>Why is a null map needed?</summary>Lesions like certain places: a fixed picture can score well
# with no network.</details>
# <details><summary>What does the check with random weights show?</summary>Whether a map depends on what was learned; if
# it stays the same, it shows the image.</details>
# <details><summary>Why did a split by patient not reveal the marker?</summary>The test patients came from the same
# hospital and shared the shortcut.</details>
# <details><summary>What do Shapley values not tell?</summary>Causes: they explain the model, not the patient.</details>

# %% [markdown]
# ## Take away
#
# - Attention, activation maps, integrated gradients and occlusion draw a picture for any film. A picture convinces,
#   right or wrong.
# - Grade it: by the truth where it is known, by deletion and insertion where not, always beside nulls, the usual place
#   among them. Grades can fail, too: ask what they measure before you believe one.
# - A shortcut is found by an outside hospital; a map helps if the shortcut has a place and you look.

# %%
claims = {f"deletion by {best} beats the best null ({low_null})": fewer[best],
          f"insertion by {best} beats the best null ({high_null})": more[best],
          "the ECG's attention peaks at V beats": beat_gain, "Shapley values correlate with the true shares": agree}
if masks:
    hardest = min((against[k] for k in NULLS), key=lambda e: e.low)
    claims |= {f"{best} points better than noise, centre and edges": hardest,
               f"{best} points better than the usual place": against["usual place"],
               "attention points better than the usual place": attended["usual place"]}
if simulated:
    claims |= {f"{best} reveals the shortcut": revealed, "covering the corners mends it": gain}
claims = {claim: (e, verdict(e)) for claim, e in claims.items()}
claims |= {f"without learning, {m} draws another map (surplus below 0.1)": (surplus[m], passes(surplus[m]))
           for m in (best, "attention")}
pd.DataFrame({"difference or correlation (95 % interval)": {claim: str(e) for claim, (e, _) in claims.items()},
              "holds": {claim: v for claim, (_, v) in claims.items()}})

# %%
held, failed, open_ = ([c for c, (_, v) in claims.items() if v.startswith(word)] for word in ("yes", "no", "we"))
say(f"Here, on {name}. **Held**: {'; '.join(held) or 'nothing'}. **Did not hold**: {'; '.join(failed) or 'nothing'}. "
    f"**We cannot tell**: {'; '.join(open_) or 'nothing'}."
    + ("" if taken_away.low > 0 else " (Blur did not take the evidence away, so what deletion and insertion say weighs "
       "little.)"))

# %% [markdown]
# **References**
#
# - Selvaraju RR, Cogswell M, Das A et al. Grad-CAM. ICCV 2017.
#   [doi:10.1109/ICCV.2017.74](https://doi.org/10.1109/ICCV.2017.74)
# - Ilse M, Tomczak JM, Welling M. Attention-based deep multiple instance learning. ICML 2018.
#   [arXiv:1802.04712](https://arxiv.org/abs/1802.04712)
# - Chattopadhay A, Sarkar A, Howlader P, Balasubramanian VN. Grad-CAM++. WACV 2018.
#   [doi:10.1109/WACV.2018.00097](https://doi.org/10.1109/WACV.2018.00097)
# - Draelos RL, Carin L. Use HiResCAM instead of Grad-CAM for faithful explanations of convolutional neural networks.
#   2020. [arXiv:2011.08891](https://arxiv.org/abs/2011.08891)
# - Jiang P-T, Zhang C-B, Hou Q, Cheng M-M, Wei Y. LayerCAM. IEEE Trans Image Process 30:5875-5888, 2021.
#   [doi:10.1109/TIP.2021.3089943](https://doi.org/10.1109/TIP.2021.3089943)
# - Sundararajan M, Taly A, Yan Q. Axiomatic attribution for deep networks. ICML 2017.
#   [arXiv:1703.01365](https://arxiv.org/abs/1703.01365)
# - Zeiler MD, Fergus R. Visualizing and understanding convolutional networks. ECCV 2014.
#   [doi:10.1007/978-3-319-10590-1_53](https://doi.org/10.1007/978-3-319-10590-1_53)
# - Petsiuk V, Das A, Saenko K. RISE: randomized input sampling for explanation of black-box models. BMVC 2018.
#   [arXiv:1806.07421](https://arxiv.org/abs/1806.07421)
# - Adebayo J, Gilmer J, Muelly M et al. Sanity checks for saliency maps. NeurIPS 2018.
#   [arXiv:1810.03292](https://arxiv.org/abs/1810.03292)
# - Zhang J, Bargal SA, Lin Z et al. Top-down neural attention by excitation backprop. Int J Comput Vis
#   126:1084-1102, 2018. [doi:10.1007/s11263-017-1059-x](https://doi.org/10.1007/s11263-017-1059-x)
# - Saporta A, Gui X, Agrawal A et al. Benchmarking saliency methods for chest X-ray interpretation. Nat Mach Intell
#   4:867-878, 2022. [doi:10.1038/s42256-022-00536-x](https://doi.org/10.1038/s42256-022-00536-x)
# - Platt J. Probabilistic outputs for support vector machines and comparisons to regularized likelihood methods. In:
#   Advances in large margin classifiers, MIT Press, 1999.
# - Zech JR, Badgeley MA, Liu M et al. Variable generalization performance of a deep learning model to detect pneumonia
#   in chest radiographs. PLoS Med 15:e1002683, 2018.
#   [doi:10.1371/journal.pmed.1002683](https://doi.org/10.1371/journal.pmed.1002683)
# - Strumbelj E, Kononenko I. Explaining prediction models and individual predictions with feature contributions. Knowl
#   Inf Syst 41:647-665, 2014. [doi:10.1007/s10115-013-0679-x](https://doi.org/10.1007/s10115-013-0679-x)
