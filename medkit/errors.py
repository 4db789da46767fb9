"""The one error that a user is meant to read."""

from contextlib import contextmanager
from difflib import get_close_matches


class MedkitError(Exception):
    """What was wrong, where, and what to do: no traceback is needed to understand it."""

    def _render_traceback_(self):
        """Let a notebook show the message alone."""
        return [f"{type(self).__name__}: {self}"]


def unknown(what, name, known):
    """Make the error for a name that is not among the known ones, with the nearest of them.

    Parameters
    ----------
    what : str
        The kind of thing, such as "data set".
    name : str
        What the user asked for.
    known : iterable of str
        The names that exist.
    """
    known = [str(k) for k in known]
    near = get_close_matches(str(name), known, n=1, cutoff=0.5)
    hint = f" Did you mean '{near[0]}'?" if near else ""
    return MedkitError(f"There is no {what} '{name}'.{hint} Known: {', '.join(known)}.")


def reason(error):
    """Say in one line what a library found wrong."""
    return brief((str(error).strip().splitlines() or [type(error).__name__])[0].rstrip("."))


def brief(error, most=300):
    """Give what an unforeseen error says in one line, cut where it is long: it may quote whole columns of data."""
    text = " ".join(str(error).split())
    return text if len(text) <= most else f"{text[:most]} ... (cut)"


@contextmanager
def explained(what, advice=""):
    """Make any failure inside the block one clear error: what was wrong, why, and what to do."""
    try:
        yield
    except MedkitError:
        raise
    except Exception as error:  # a damaged file fails in ways that nobody foresees
        raise MedkitError(f"{what}: {reason(error)}. {advice}".strip()) from error
