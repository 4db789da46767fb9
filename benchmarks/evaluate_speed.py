"""Seconds for 1,000 bootstrap resamples of 10,000 rows, beside a loop over scikit-learn's own metric.

    python benchmarks/evaluate_speed.py [--rows 10000] [--resamples 1000] [--loop 100]

Prints and writes nothing.
"""

import time

import numpy as np
import speed
from sklearn.metrics import roc_auc_score

from medkit import evaluate


def seconds(work):
    """Time one call."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def main():
    """Measure and print."""
    a = speed.options(__doc__, rows=10_000, resamples=1000, loop=100)
    if a.quick:
        a.rows, a.resamples, a.loop = 500, 50, 5
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, a.rows)
    p = rng.random(a.rows)
    for name, metric in evaluate.METRICS.items():
        print(f"{name:20} {seconds(lambda: evaluate.interval(metric, y, p, count=a.resamples)):.2f} s")
    picks = rng.integers(0, a.rows, (a.loop, a.rows))
    loop = seconds(lambda: [roc_auc_score(y[i], p[i]) for i in picks]) * a.resamples / a.loop
    ours = seconds(lambda: evaluate.interval(evaluate.auroc, y, p, count=a.resamples))
    print(f"AUROC by a loop: {loop:.2f} s, {loop / ours:.1f} times ours")


if __name__ == "__main__":
    main()
