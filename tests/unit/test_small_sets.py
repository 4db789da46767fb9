"""Lessons 3, 4, 8 and 9 on small data of one's own: trained long enough, the right class, no figure that is wrong."""

from types import SimpleNamespace

import numpy as np
import pytest

from medkit import evaluate, lessons
from medkit.datasets.images import ImageSet
from medkit.errors import MedkitError


def cells(number, *starts, **names):
    """Run the cells of a lesson that hold some text, in order, on top of `names`."""
    for cell in lessons.compose(lessons.find(number)).cells:
        if cell.cell_type == "code" and any(text in cell.source for text in starts):
            exec(cell.source, names)
    return names


def few_films(n=20, classes=("normal", "abnormal")):
    X = np.random.default_rng(0).integers(0, 255, (n, 28, 28, 1), np.uint8)
    y = np.arange(n) % len(classes)
    parts = ("train", "valid", "test")
    return ImageSet("few", list(classes), dict.fromkeys(parts, X), dict.fromkeys(parts, y),
                    dict.fromkeys(parts, np.array([f"p{k // 4}" for k in range(n)])))


def test_lesson_3_gives_fastai_the_classes_in_their_order_and_has_a_batch_of_few_images():
    found = cells("3", "import medkit", "few = data.take", "blocks = DataBlock", data=few_films(), size=28, seed=0, which="none")
    assert list(found["dls"].vocab) == ["normal", "abnormal"] and len(found["dls"].train) == 1


@pytest.mark.parametrize("number, start, small, usual", [("3", "epochs, width, members", 200, 16), ("8", "epochs, width", 119, 12)])
def test_few_images_are_seen_more_often_in_smaller_batches(number, start, small, usual):
    names = {"data": few_films(), "torch": None, "np": np, "effort": "demo", "nn": SimpleNamespace(
        CrossEntropyLoss=lambda **_: None)}
    for n, epochs, size in ((84 if number == "8" else 60, small, 10 if number == "8" else 8), (4708, usual, {"3": 128, "8": 64}[number])):
        found = cells(number, start, **names | {"y": {"train": np.zeros(n)}})
        assert (found["epochs"], found["batch_size"]) == (epochs, size)


def test_lesson_10_shows_its_networks_few_rows_more_often():
    source = next(c.source for c in lessons.compose(lessons.find("10")).cells if "def rounds(one)" in c.source)
    for effort, n, seen in (("demo", 60, 41), ("demo", 20, 100), ("full", 4000, 18), ("demo", 30_000, 2)):
        names = {"np": np, "effort": effort}
        exec(source.partition("chosen,")[0], names)
        assert names["rounds"](SimpleNamespace(kind="images", X=np.zeros((1, 64)), parts={"train": range(n)})) == seen


@pytest.mark.parametrize("classes, asked", [(["no", "ill"], "ill"), (["normal", "viral", "bacterial"], "viral"), (["a", "b", "c"], "a")])
def test_lesson_3_asks_for_an_illness_and_not_for_normal(classes, asked):
    data, drawn = few_films(classes=classes), {}
    found = cells("3", "import medkit", data=data)
    plots = SimpleNamespace(discrimination=lambda truth, p, title: drawn.update(truth=truth, title=title))
    p = np.full((20, len(classes)), 1 / len(classes))
    cells("3", "several = len", **found | {"y": data.y, "first": data.y, "p_test": p, "p_base": p, "plots": plots})
    assert drawn["title"].startswith(f"'{asked}'") and (drawn["truth"] == (data.y["test"] == classes.index(asked))).all()


def test_lesson_3_shows_as_wrong_what_is_wrong():
    found, told = cells("3", "import medkit", data=few_films()), []
    names = found | {"positive": "ill", "truth": np.arange(20) % 2, "say": told.append}
    cells("3", "wrong = [i for", **names | {"chance": 0.1 + 0.8 * names["truth"]})
    assert told == ["On no test image did the risk lie on the wrong side of 0.5."]


def windows(label, scale=1.0, fs=100):
    """Forty windows of noise of eight people, stronger in some people."""
    who = np.repeat(np.arange(8), 5)
    x = np.random.default_rng(0).normal(0, 20, (40, 4 * fs, 3)) * (1 + who % 2)[:, None, None] * scale
    return SimpleNamespace(X=x.astype(np.float32), fs=fs, y=label(who), patients=who, classes=["well", "ill"], name="ward")


def test_lesson_4_keeps_what_differs_between_people_where_each_has_one_label():
    found = cells("4", "import medkit")
    def power(brains):
        names = found | {"brains": brains, "kept_alike": brains.X}
        for start in ("bands = {", "def swings", "by_hand = {"):
            names |= cells("4", start, **names)
        assert np.isfinite(names["by_hand"]["hand-made features"]).all()
        return names["by_hand"]["band power"]

    between, within = power(windows(lambda who: who % 2)), power(windows(lambda who: np.arange(40) % 2))
    assert between[5:10].mean() - between[:5].mean() > 1 > abs(within[5:10].mean() - within[:5].mean())
    nearly = power(windows(lambda who: who % 2 ^ (np.arange(40) == 7)))  # one person has both: that says nothing of all
    assert np.array_equal(nearly, between)
    in_volts = power(windows(lambda who: who % 2, 1e-6))
    assert in_volts == pytest.approx(between, abs=1e-2)
    assert np.isfinite(power(windows(lambda who: who % 2, fs=50))).all()


def test_lesson_4_says_what_it_cannot_ask():
    found = cells("4", "import medkit")
    beats = SimpleNamespace(name="ward", y=np.array([0, 0, 2, 0, 0, 4]), parts={"train": [0, 1], "valid": [2], "test": [3, 4, 5]})
    with pytest.raises(MedkitError, match="N, S, V and F the test records have N. Two are needed"):
        cells("4", "learned = np.intersect1d", **found | {"data": beats, "kept": np.arange(5), "classes": list("NSVF")})
    brains = windows(lambda who: who % 3)
    brains.classes, brains.notes = ["a", "b", "c"], []
    with pytest.raises(MedkitError, match="the classes a, b, c, but here a yes-no question"):
        cells("4", "for note in brains.notes", **found | {"brains": brains})


def test_lesson_4_borrows_for_the_leads_that_are_simulated():
    for leads, clinics in ((["MLII", "V1"], 6), (["II"], 0), (["V1", "MLII"], 0)):
        names = {"data": SimpleNamespace(leads=leads), "HOLTER": ("MLII", "V1"), "borrow": True, "effort": "full", "dataset": "ward"}
        assert cells("4", "clinics = 2 *", **names)["clinics"] == clinics


def test_lesson_9_explains_one_image_of_each_patient():
    data = few_films()
    names = {"np": np, "y": data.y, "masks": None, "data": data, "effort": "demo", "simulated": False}
    source = next(c.source for c in lessons.compose(lessons.find("9")).cells if "def explained" in c.source)
    exec(source.partition("\n\n\nchosen =")[0], names)
    assert list(names["explained"]("test")) == [1, 5, 9, 13, 17]


def test_lesson_9_has_no_interval_of_four_and_none_of_no_width():
    found = cells("9", "import medkit", seed=0)
    source = next(c.source for c in lessons.compose(lessons.find("9")).cells if "def mean_of" in c.source)
    exec("def mean_of" + source.partition("def mean_of")[2], found)
    few, none, apart = map(found["mean_of"], ([1, 0, 1, 1], np.zeros(100, bool), np.zeros(100)))
    assert np.isnan([few.low, few.high]).all() and few.value == 0.75
    assert (none.low, round(none.high, 3)) == (0, 0.036) and (apart.low, apart.high) == (0, 0)


def test_lesson_4_shows_no_mistake_where_there_is_none_and_drops_no_second_lead_of_one():
    found, told, drawn = cells("4", "import medkit"), [], {}
    one = SimpleNamespace(y=np.zeros(3, int), patients=np.array(["a"] * 3))
    worst = SimpleNamespace(index=["a"])
    cells("4", "patient = worst.index", **found | {"data": one, "tested": np.arange(3), "worst": worst, "say": told.append,
                                                   "p_rnn": np.eye(4)[[0, 0, 0]]})
    assert "none to show" in told[0]
    given = {"leads": 1, "seed": 0, "beats": np.zeros((3, 2, 9)), "predict": lambda *a: np.eye(4)[[0]], "networks": [None],
             "judge": lambda t: {"macro-F1 of N, S, V": 1}, "tables": lambda *a: None, "data": SimpleNamespace(name="ward"),
             "plots": SimpleNamespace(estimates=lambda rows, *a: drawn.update(rows)), "tested": [], "run_length": 8}
    cells("4", "all_but_second =", **found | given)
    assert list(drawn) == ["as it is", "noise", "beat marks 40 ms late"]


def test_lesson_3_compares_with_guessing_by_patient():
    found, told = cells("3", "import medkit", data=few_films()), []
    names = found | {"guessed": np.repeat([0.9, 0.1, 0.5, 0.6, 0.4], 4), "read": np.zeros(20), "truth": np.zeros(20),
                     "watched": np.arange(20), "say": told.append}
    less = cells("3", "less = evaluate", **names)["less"]
    assert less.value == pytest.approx(0.5) and less.high - less.low > 0.7  # five patients, not twenty images


def test_lesson_3_gives_its_rivals_small_images_as_they_are_and_large_ones_made_smaller():
    space = cells("3", "import medkit", "def waves_in")
    torch, at_most = space["torch"], space["at_most"]
    small = torch.randint(0, 255, (2, 3, 40, 28), dtype=torch.uint8)
    assert torch.equal(at_most(64, small), small / 255)
    assert at_most(64, small.repeat(1, 1, 2, 10)).shape == (2, 3, 64, 64)  # else 10,000 of 224 pixels fill 6 GB and more


@pytest.mark.parametrize("low, high, words", [
    (0.1, 0.2, "the network is better"), (-0.2, -0.1, "the simple model, without a learned window, is better"),
    (-0.1, 0.1, "we cannot tell them apart"), (np.nan, np.nan, "we cannot tell them apart")])
def test_lesson_3_says_who_is_better_only_where_the_interval_does(low, high, words):
    said, found = [], evaluate.Estimate((low + high) / 2, low, high)
    cells("3", "gap = evaluate.compare", say=said.append, record=lambda *a: None, macro_auroc=None, p_test=None, p_base=None, who=None,
          best="x", y={"test": []}, evaluate=SimpleNamespace(compare=lambda *a: found))
    assert f"**{words}" in said[0]


def cleaned(X, y, patients):
    """Let lesson 4 look for what the cleaning took from windows of EEG: what it says, and what it goes on with."""
    said, brains = [], SimpleNamespace(X=X.astype(np.float32), y=y, patients=patients, classes=["rest", "work"])
    space = cells("4", "import medkit", "def empty(") | {"brains": brains, "say": said.append, "record": lambda *a: None}
    kept = cells("4", "lacking = empty", "def shared(", **space)["kept_alike"]
    return said[0], kept


def eeg(people=12, samples=200, channels=6):
    """Draw ten windows of each person, half of them with either label."""
    X = np.random.default_rng(0).normal(size=(10 * people, samples, channels))
    return X, np.arange(10 * people) % 2, np.repeat(np.arange(people), 10)


def test_lesson_4_finds_a_direction_that_the_cleaning_took_from_one_state_and_takes_it_from_all():
    X, y, who = eeg()
    X[y == 1, :, 0] = X[y == 1, :, 1]
    text, kept = cleaned(X, y, who)
    assert "6.0 in 'rest', 5.0 in 'work'" in text and "**it tells the label,**" in text
    assert np.abs(kept[..., 0] - kept[..., 1]).max() < 1e-4


@pytest.mark.parametrize("people, samples, channels, loose", [
    (4, 200, 6, False), (12, 200, 6, True), (12, 5, 6, False), (12, 200, 1, False)])
def test_lesson_4_claims_and_takes_nothing_where_the_cleaning_did_nothing(people, samples, channels, loose):
    X, y, who = eeg(people, samples, channels)
    if loose:  # an electrode swings in two of ten windows of each person: the others are not empty by that
        X[np.arange(len(X)) % 10 % 6 == 1, :, 0] += np.linspace(-9e3, 9e3, samples)
    text, kept = cleaned(X, y, who)
    assert "**it is not shown to tell anything.**" in text and np.array_equal(kept, X.astype(np.float32))


@pytest.mark.parametrize("low, high, words", [(0.1, 0.2, "flatters"), (-0.2, -0.1, "does harm"), (-0.1, 0.1, "not beyond chance")])
def test_lesson_4_says_what_the_cleaning_left_in_is_worth(low, high, words):
    said, found = [], evaluate.Estimate((low + high) / 2, low, high)
    compare = SimpleNamespace(compare=lambda *a: found, auroc=None, average_precision=None, interval=lambda *a, **k: 0)
    names = ("band power", "GRU with attention", "hand-made features", "cleaning left in")
    cells("4", "rivals = answers[", **cells("4", "import medkit") | {
        "brains": SimpleNamespace(y=[], patients=[1, 2]), "answers": dict.fromkeys(names, 0), "areas": dict.fromkeys(names, 0),
        "by_hand": dict.fromkeys(names), "evaluate": compare, "say": said.append, "record": lambda *a: None,
        "verdict": lambda gain: ""})
    assert words in said[1]
