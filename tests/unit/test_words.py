"""Spelling, and links by their form; tests/links.py asks the addresses themselves."""

import re
import sys
from collections import Counter
from pathlib import Path

import pytest

from medkit import build, lessons

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tests"))
import links  # noqa: E402

CODE = re.compile(r"(?s)```.*?```|`[^`]*`|\$[^$]*\$|https?://\S+|\]\([^)]*\)")
PROSE = {p.name: p.read_text(encoding="utf-8") for p in [*ROOT.glob("*.md"), *lessons.folder().glob("*.md")]}
PROSE |= {p.name: "\n".join(c.source for c in lessons.read(p).cells if c.cell_type == "markdown")
          for p in lessons.sources()}
# Misspellings that come up, a word said twice, and American forms: the text is British.
WRONG = re.compile(r"""\b(?:accomodat\w*|acheiv\w*|adress\w*|agregat\w*|alot|apparant\w*|arguement\w*|assesment\w*|begining|beleiv\w*|
    calender|catagor\w*|comparision|definately|dissapoint\w*|embarass\w*|enviroment\w*|existance|familar|fourty|immediatly|
    independant\w*|inital\w*|lenght\w*|maintainance|mispell\w*|neccess\w*|noticable|occured|occurence\w*|paramter\w*|percieve\w*|
    persistant|posess\w*|preceed\w*|publically|recieve\w*|recomend\w*|refered|relevent|seperat\w*|succesful\w*|sucess\w*|supercede\w*|
    suprise\w*|tendancy|threshhold\w*|truely|untill|usefull|visable|wich|wierd|
    colou?r[ -]blindess|color(?:s|ed|ful)?|behaviors?|center(?:s|ed)?|normaliz\w*|optimiz\w*|generaliz\w*|randomiz\w*|standardiz\w*|
    summariz\w*|visualiz\w*|labeled|labeling|modeling|anemia|tumors?|hemoglobin|pediatric|
    (?P<twice>[a-z]{2,})\s+(?P=twice))\b""", re.X)


def words(text):
    """Give the words of prose, without code, formulas and addresses."""
    return re.findall(r"(?<![\w'-])[A-Za-z][a-z]{2,}(?![\w'-])", re.sub(r"<[^>]+>", " ", CODE.sub(" ", text)))


def edits(word):
    """Give what one slip makes of a word: a letter lost, doubled or swapped; the ending is left alone."""
    inner = range(1, len(word) - 2)
    return ({word[:k] + word[k + 1:] for k in inner} | {word[:k] + word[k] + word[k:] for k in inner}
            | {word[:k] + word[k + 1] + word[k] + word[k + 2:] for k in inner})


def slips(texts):
    """Find words that stand once and are one slip away from one that stands often: {word: what it may be}."""
    counts = Counter(word.lower() for text in texts for word in words(text))
    often = {edit: word for word, n in counts.items() if n >= 3 and len(word) >= 7 for edit in edits(word)}
    return {w: often[w] for w, n in counts.items() if n <= 1 and w in often and often[w] != w}


@pytest.mark.parametrize("name", PROSE)
def test_no_known_misspelling_and_british_forms(name):
    text = re.sub(r"(?ms)^(\*\*|## )References.*", "", CODE.sub(" ", PROSE[name]))
    assert [m[0] for m in WRONG.finditer(text)] == []


def test_no_word_is_one_slip_away_from_one_that_stands_often():
    assert slips(PROSE.values()) == {}


def test_the_search_for_slips_finds_them():
    assert slips(["calibration calibration calibration patients patients patients", "calibraton and patinets"]) == {
        "calibraton": "calibration", "patinets": "patients"}
    assert WRONG.search("the the") and WRONG.search("seperate") and not WRONG.search("separate colour")


USED = """accuracy, ReLU, sigmoid, softmax, aliasing, atrial fibrillation, batch normalisation, BNP, bootstrap, Brier, C-index, calibration,
    conformal, cooled, Cox, DeepSurv, data card, model card, RBM, contrastive divergence, free energy, deletion, insertion, F1, folds,
    Grad-CAM, Holter, HU, kappa, latent, learning curve, likelihood, log-loss, NLL, nats, mask, MC dropout, SWAG, modality, NaN, nodule,
    null map, number needed to treat, occlusion, P wave, paired, PEHE, pickle, pneumothorax, pointing game, pooling, positive predictivity,
    principal components, randomised, rank correlation, regularisation, weight decay, L1, SAPS, schema, self-training, sensitivity,
    sinus node, spectrogram, stacking, standard deviation, target encoding, test-time augmentation"""


def test_the_glossary_explains_what_the_lessons_use_in_order():
    known = lessons.glossary()
    names = {name.lower() for forms in known.values() for name in forms}
    assert [term for term in USED.replace("\n    ", " ").split(", ") if term.lower() not in names] == []
    assert list(known) == sorted(known, key=str.lower)
    assert len(sum(known.values(), [])) == len(names), "two entries have the same name"


def anchors(path):
    """Give the anchors of a page's headings, as JupyterLab and GitHub make them."""
    notebook = path.suffix == ".ipynb"
    text = "\n".join(c.source for c in build.read(path).cells) if notebook else path.read_text(encoding="utf-8")
    heads = re.findall(r"(?m)^#+ (.+)$", text)
    return {h.replace(" ", "-") for h in heads} | {re.sub(r"[^\w -]", "", h).lower().replace(" ", "-") for h in heads}


@pytest.mark.parametrize("path", [*ROOT.glob("*.md"), *sorted((ROOT / "notebooks").rglob("*.ipynb"))],
                         ids=lambda p: str(p.relative_to(ROOT)))
def test_links_between_files_lead_somewhere(path):
    text = "\n".join(c.source for c in build.read(path).cells if c.cell_type == "markdown") if path.suffix == ".ipynb" \
        else path.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)\s]+)\)", re.sub(r"`[^`]*`|\$[^$]*\$", "", text)):
        if "://" in target or target.startswith("mailto:"):
            continue
        file, _, anchor = target.partition("#")
        there = (path.parent / file) if file else path
        assert there.exists(), target
        assert not anchor or anchor in anchors(there), target


def test_addresses_are_well_formed():
    assert len(links.addresses()) > 50
    for url, path in links.addresses().items():
        assert re.fullmatch(r"https?://[\w.-]+(:\d+)?(/[\w.~:/?#@!$&'()*+,;=%<>-]*)?", url), (path, url)
        if "doi.org/" in url:
            assert re.search(r"doi\.org/10\.\d{4,}/\S+", url), (path, url)


@pytest.mark.parametrize("lesson, words", [("3", "never mirrored"), ("6", "no input of our models"), ("7", "root errors are alike for all")])
def test_what_a_question_to_recall_asks_stands_in_the_lesson(lesson, words):
    text, _, questions = PROSE[lessons.find(lesson).name].partition("## Questions to recall")
    assert words in text.replace("\n", " ") and "<details>" in questions
