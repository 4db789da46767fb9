"""One card per data set: what it is, its licence, citation, official files and pitfalls."""

from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from .errors import unknown
from .files import read_toml


@dataclass(frozen=True)
class Card:
    """What is known of one data set. The facts stand in `cards.toml`."""

    id: str
    title: str
    summary: str
    kind: str
    task: str
    licence: str
    citation: str
    size: str = ""
    patients: int = 0
    licence_url: str = ""
    doi: str = ""
    homepage: str = ""
    base_url: str = ""
    url_suffix: str = ""
    manifest: str = ""
    bundled: str = ""
    simulated: bool = False
    channels: int = 0
    pitfalls: list = field(default_factory=list)
    lessons: list = field(default_factory=list)
    files: dict = field(default_factory=dict)
    urls: dict = field(default_factory=dict)
    labels: dict = field(default_factory=dict)
    splits: dict = field(default_factory=dict)

    def url(self, name):
        """Give the official address of one of its files."""
        return self.urls.get(name) or f"{self.base_url}{name}{self.url_suffix}"

    @property
    def classes(self):
        """The names of the classes, in the order of their codes."""
        return [self.labels[code] for code in sorted(self.labels, key=int)]


@cache
def cards():
    """Give every card, by data set id."""
    return {name: Card(id=name, **facts) for name, facts in read_toml(Path(__file__).with_name("cards.toml")).items()}


def card(name):
    """Give the card of a data set.

    Raises
    ------
    MedkitError
        If there is no such data set; the message names the nearest one.
    """
    if name not in cards():
        raise unknown("data set", name, cards())
    return cards()[name]
