"""Exercises with immediate feedback: not tried, not yet, right.

A lesson makes an `Exercise` with a check, gives the learner a cell with `...` to replace, and calls
the exercise with the learner's answer. Explained in lesson 1.
"""

from .errors import MedkitError, brief


class NotTried(Exception):
    """The answer still has its `...`."""


class Stopped(Exception):
    """The learner's own code raised an error."""


class Exercise:
    """One question that checks its answer.

    Parameters
    ----------
    name : str
        Such as "1.2": lesson and number.
    hint : str
        Shown on request.
    """

    def __init__(self, name, hint):
        self.name, self._hint, self._check = name, hint, None
        self.state, self._hinted = "not tried", False

    def check(self, function):
        """Register the check: a function of the answer that raises AssertionError("what is wrong")."""
        self._check = function
        return self

    def __call__(self, answer):
        """Check an answer, say how it stands, and keep that with the learner's progress."""
        from . import progress

        self.state, message = self.judge(answer)
        print(f"Exercise {self.name}: {message}")
        progress.note(self.name, self.state)

    def judge(self, answer):
        """Give the state ("not tried", "not yet", "right") and what to tell the learner."""
        try:
            self._check(guarded(answer))
        except NotTried:
            return "not tried", "not tried yet. Replace the ... above by your answer, then run the cell again."
        except AssertionError as wrong:
            return "not yet", f"not yet. {wrong} (For a hint, run {self.variable}.hint())"
        except MedkitError as error:
            return "not yet", f"not yet. {error}"
        except Stopped as error:
            return "not yet", f"not yet. Your code stopped with {error}"
        except Exception as error:
            return "not yet", ("not yet. What you gave is not of the kind or shape that is asked for "
                               f"({type(error).__name__}: {brief(error)})")
        return "right", "right. Well done!"

    @property
    def variable(self):
        """The name that the exercise has in its lesson, such as "exercise_1"."""
        return f"exercise_{self.name.split('.')[-1]}"

    def hint(self):
        """Show the hint."""
        self._hinted = True
        print(f"Exercise {self.name}, hint: {self._hint}")

    def solution(self):
        """Show the solution to a learner who has tried, and has seen the hint."""
        from . import lessons

        if self.state == "not tried":
            print(f"Exercise {self.name}: try it first. An answer that is wrong teaches more than none.")
        elif self.state == "not yet" and not self._hinted:
            self.hint()
            print(f"Still stuck? Run {self.variable}.solution() once more.")
        else:
            print(lessons.solution(self.name))


def guarded(answer):
    """Raise NotTried for `...`, now or when a function gives it back, and tell the learner's errors from the check's."""
    if not callable(answer):
        return plain(answer)

    def called(*args, **kwargs):
        try:
            result = answer(*args, **kwargs)
        except MedkitError:
            raise
        except Exception as error:
            raise Stopped(f"{type(error).__name__}: {brief(error)}") from error
        return plain(result)

    return called


def plain(result):
    """Give an answer as the checks expect it: a tensor as an array."""
    if result is Ellipsis:
        raise NotTried
    assert result is not None, "The answer is None: a function must end in return, with what it found."
    return result.detach().cpu().numpy() if hasattr(result, "detach") else result
