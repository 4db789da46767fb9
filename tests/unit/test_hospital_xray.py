"""Simulated chest X-rays: truth, masks, physics, and independence of cohort size."""

from types import SimpleNamespace

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import cross_val_predict

from medkit.hospital import admit, anatomy, physique
from medkit.hospital.findings import FINDINGS
from medkit.hospital.xray import draw, take, NAMES

FLAGS = ["pneumonia", "effusion", "nodule", "pneumothorax", "heart_failure"]


@pytest.fixture(scope="module")
def cohort():
    return admit(160, seed=3)


def changed(cohort, n=40, **values):
    """The first n patients of a cohort, without illness but for `values`."""
    latent = cohort.latent.iloc[:n].assign(**dict.fromkeys(FLAGS, False), heart=0.1, infection=0.1)
    return SimpleNamespace(latent=latent.assign(**values))


def mask(films, name):
    return films.masks[:, FINDINGS.index(name)]


@pytest.mark.parametrize("size", [28, 64, 224])
@pytest.mark.parametrize("view", ["adult", "child"])
def test_sizes_and_views(size, view):
    films = take(admit(5, seed=1), size, view=view)
    assert films.images.shape == (5, size, size) and films.images.dtype == np.uint8
    assert films.masks.shape == (5, len(FINDINGS), size, size) and films.masks.dtype == bool
    assert (films.images.std((1, 2)) > 15).all(), "each film must show contrast"


def test_refuses_other_sizes_and_views():
    with pytest.raises(ValueError, match="28 to 512"):
        take(admit(1), 20)
    with pytest.raises(ValueError, match="view"):
        take(admit(1), 64, view="lateral")


def test_same_seed_gives_same_bytes_and_another_seed_does_not():
    one, two, other = (take(admit(20, seed=s), 28).images for s in (7, 7, 8))
    assert one.tobytes() == two.tobytes() and one.tobytes() != other.tobytes()


def test_patient_does_not_depend_on_cohort():
    many, tail = take(admit(50, seed=2), 64), take(admit(9, seed=2, start=30), 64)
    difference = np.abs(many.images[30:39].astype(int) - tail.images)
    assert difference.max() <= 1
    assert (many.labels.to_numpy()[30:39] == tail.labels.to_numpy()).all()


def test_labels_are_the_latent_truth(cohort):
    labels = take(cohort, 28).labels
    for name in ("pneumonia", "effusion", "nodule", "pneumothorax"):
        assert (labels[name].to_numpy() == cohort.latent[name].to_numpy()).all()


def test_masks_are_empty_without_their_finding(cohort):
    films = take(cohort, 28)
    for name in FINDINGS:
        assert not mask(films, name)[~films.labels[name].to_numpy()].any(), name


@pytest.mark.parametrize("name", ["pneumonia", "effusion", "nodule", "pneumothorax"])
def test_masks_lie_in_the_lungs(cohort, name):
    case = changed(cohort, infection=0.9, **{name: True})
    films = take(case, 64)
    traits = dict(zip(NAMES, draw(case.latent).T))
    b = physique.body(case.latent, traits, "adult")
    X, Y = anatomy.coordinates(b, 64)
    _, lungs, _ = anatomy.lungs(b, X, Y, X > 0, anatomy.heart(b, X, Y))
    seen = mask(films, name)
    assert not (seen & ~lungs).any()
    assert seen.any((1, 2)).mean() > 0.9, "nearly every patient's finding can be seen"


def test_heart_grows_with_heart_failure(cohort):
    ratio = []
    for heart in (0.0, 0.4, 0.8):
        latent = changed(cohort, heart=heart).latent
        ratio.append(physique.cardiothoracic_ratio(physique.body(latent, dict(zip(NAMES, draw(latent).T)), "adult")))
    assert (ratio[0] < ratio[1]).all() and (ratio[1] < ratio[2]).all()
    assert 0.38 < ratio[0].mean() < 0.5 < ratio[2].mean() < 0.75


def test_cardiothoracic_ratio_is_what_the_drawing_shows(cohort):
    latent = changed(cohort).latent
    b = physique.body(latent, dict(zip(NAMES, draw(latent).T)), "adult")
    X, Y = anatomy.coordinates(b, 224)
    width = [np.ptp(x[h > 0.3]) for x, h in zip(X, anatomy.heart(b, X, Y))]
    chest = 2 * np.nanmax(anatomy.cage(b, Y), axis=(1, 2))
    assert np.corrcoef(width / chest, physique.cardiothoracic_ratio(b))[0, 1] > 0.9
    assert np.abs(width / chest - physique.cardiothoracic_ratio(b)).mean() < 0.03


def test_fluid_and_pneumonia_are_denser_and_free_air_is_darker(cohort):
    plain = take(changed(cohort), 64, marker=False).images.astype(float)
    for name, sign in (("effusion", 1), ("pneumonia", 1), ("pneumothorax", -1)):
        ill = take(changed(cohort, **{name: True}, infection=0.9 if name == "pneumonia" else 0.1), 64, marker=False)
        where = mask(ill, name)
        keep = where.sum((1, 2)) > 20
        other = where[:, :, ::-1]
        gain = [(i - p)[w].mean() - (i - p)[o & ~w].mean() for i, p, w, o in
                zip(ill.images[keep], plain[keep], where[keep], other[keep]) if (o & ~w).any()]
        assert np.mean(np.sign(gain) == sign) > 0.8, name


def test_marker_is_stamped_when_asked(cohort):
    with_, without = take(cohort, 64), take(cohort, 64, marker=False)
    changed_ = with_.images != without.images
    assert changed_.any((1, 2)).all() and not changed_[:, 32:].any() and not changed_[:, :, 26:38].any()


def test_scanners_differ(cohort):
    films = take(cohort, 28, marker=False)
    blackest = [np.percentile(films.images[films.hospital == h], 2) for h in range(4)]
    assert set(films.hospital) == {0, 1, 2, 3} and np.ptp(blackest) > 3


def test_classes_overlap_but_can_be_learned():
    cohort = admit(900, seed=11)
    films = take(cohort, 28, marker=False)
    x = films.images.reshape(-1, 14, 2, 14, 2).mean((2, 4)).reshape(-1, 196) / 255
    y = films.labels["pneumonia"].to_numpy()
    guess = cross_val_predict(LogisticRegression(C=0.01, max_iter=100), x, y, method="decision_function", cv=3)
    assert 0.75 < roc_auc_score(y, guess) < 0.995


def test_film_quality_follows_illness_only_when_asked(cohort):
    ill, well = changed(cohort, pneumonia=True, infection=0.9), changed(cohort, pneumonia=False, infection=0.9)

    def bodies(quality):
        return [vars(physique.body(c.latent, dict(zip(NAMES, draw(c.latent).T)), "adult", quality)) for c in (ill, well)]

    for quality in (True, False):
        sick, sound = bodies(quality)
        differ = {k for k in sick if not np.array_equal(sick[k], sound[k])}
        assert differ >= {"hilum"} and ({"size", "tilt", "turn", "unwell", "dome_left"} <= differ) == quality
        assert quality or differ == {"hilum"}


def test_without_the_link_the_well_keep_their_films_and_the_ill_keep_their_labels(cohort):
    linked, cut = (take(cohort, 64, quality_follows_illness=q) for q in (True, False))
    unwell = (cohort.latent.pneumonia | cohort.latent.heart_failure).to_numpy()
    same = (linked.images == cut.images).all((1, 2))
    assert same[~unwell].all() and not same[unwell].any()
    assert linked.labels.equals(cut.labels) and linked.masks.any((2, 3)).sum() > 0
