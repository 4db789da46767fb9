"""The shape of medkit/cards.toml: every card is complete, every checksum well formed."""
import re
import tomllib
from pathlib import Path

import pytest

CARDS = tomllib.loads((Path(__file__).parents[2] / "medkit" / "cards.toml").read_text("utf-8"))
TEXT = ("title", "summary", "kind", "task", "size", "licence", "licence_url", "citation")
MEDMNIST = [name for name, card in CARDS.items() if "splits" in card]
CHECKSUM = re.compile(r"(sha256:[0-9a-f]{64}|md5:[0-9a-f]{32})?")


@pytest.mark.parametrize("name", CARDS)
def test_card_is_complete(name):
    card = CARDS[name]
    assert all(card[key].strip() for key in TEXT)
    assert card["kind"] in {"images", "waveforms", "stays", "tables", "mixed"}
    assert isinstance(card["patients"], int) and card["patients"] >= 0
    assert len(card["pitfalls"]) >= 3
    assert card["lessons"] and set(card["lessons"]) <= set(range(1, 11))
    assert card["licence_url"].startswith("https://")
    assert re.fullmatch(r"(10\.\d{4,}/\S+)?", card["doi"])


@pytest.mark.parametrize("name", CARDS)
def test_card_says_where_its_files_come_from(name):
    card = CARDS[name]
    sources = {"files", "manifest", "bundled", "simulated"} & set(card)
    assert len(sources) == 1
    if sources <= {"files", "manifest"}:
        assert re.fullmatch(r"https://\S+/", card["base_url"])
    assert all(CHECKSUM.fullmatch(checksum) for checksum in card.get("files", {}).values())
    assert set(card.get("urls", {})) <= set(card.get("files", {}))
    assert all(url.startswith("https://") for url in card.get("urls", {}).values())


@pytest.mark.parametrize("name", MEDMNIST)
def test_medmnist_card_equals_the_facts_of_its_package(name):
    facts = pytest.importorskip("medmnist.info").INFO[name]
    card = CARDS[name]
    for size in ("", "_64", "_128", "_224"):
        file = f"{name}{size}.npz"
        assert card["files"][file] == "md5:" + facts["MD5" + size]
        assert card["base_url"] + file + card["url_suffix"] == facts["url" + size]
    assert card["splits"] == facts["n_samples"]
    assert card["channels"] == facts["n_channels"]
    assert set(card["labels"]) == set(facts["label"])
    assert facts["task"].startswith(card["task"])


def test_all_twelve_medmnist_sets_are_there():
    assert len(MEDMNIST) == 12
