"""What the realism commands share: one row of benchmarks/realism.json per figure, with its interval.

The value is the mean over seeds (other simulated patients, other starting weights); its 95 % interval is a bootstrap
over real patients of that mean. Lesson 0 shows the file.
"""
import json
from pathlib import Path

import numpy as np

from medkit import evaluate, fetch
from medkit.errors import MedkitError
from medkit.files import write_text

TARGET = Path(__file__).with_suffix(".json")


def folder(dataset, *names):
    """Give the folder that holds files of a data set, fetched if need be; where they cannot be, say so and end."""
    try:
        return [fetch.path(dataset, name) for name in names][0].parent
    except MedkitError as error:
        raise SystemExit(str(error)) from None


@evaluate.weighted
def f1(y, p, w):
    """F1 score of a yes-no prediction `p`."""
    right = w @ ((p == 1) & (y == 1))
    return 2 * right / (w @ (p == 1) + w @ (y == 1))


def over_seeds(metric, y, by_seed, groups=None):
    """Mean of a metric over the seeds' predictions (seeds, n), with its interval over patients."""
    point = lambda w=None: np.mean([metric(y, p, w) for p in by_seed], axis=0)  # noqa: E731
    return evaluate.Estimate(float(point()), *evaluate.percentiles(evaluate.bootstrap(point, len(y), groups, 500, 0)))


def keep(figure, data, aim, estimate, *, own, told_apart, by_seed, **more):
    """Write one figure into the file, in place of what it said before, and print it."""
    row = {"figure": figure, "data": data, "value": estimate.value, "low": estimate.low, "high": estimate.high,
           "aim": aim, "trained on real": own, "told apart": told_apart, "by seed": list(by_seed), **more}
    row = {k: round(v, 4) if isinstance(v, float) else v for k, v in row.items()}
    row["by seed"] = [round(float(v), 4) for v in by_seed]
    rows = json.loads(TARGET.read_text(encoding="utf-8")) if TARGET.exists() else []
    rows = [r for r in rows if (r["figure"], r["data"]) != (figure, data)] + [row]
    rows.sort(key=lambda r: (r["data"], r["figure"]))
    write_text(TARGET, json.dumps(rows, indent=1) + "\n")
    print(row, flush=True)
