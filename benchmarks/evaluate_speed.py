"""Seconds for 1,000 bootstrap resamples of 10,000 rows, beside a loop over scikit-learn's own metric.

    python benchmarks/evaluate_speed.py
"""

import time

import numpy as np
from sklearn.metrics import roc_auc_score

from medkit import evaluate

ROWS, RESAMPLES, LOOP = 10_000, 1000, 100


def seconds(work):
    """Time one call."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def main():
    """Measure and print."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, ROWS)
    p = rng.random(ROWS)
    for name, metric in evaluate.METRICS.items():
        print(f"{name:20} {seconds(lambda: evaluate.interval(metric, y, p, count=RESAMPLES)):.2f} s")
    picks = rng.integers(0, ROWS, (LOOP, ROWS))
    loop = seconds(lambda: [roc_auc_score(y[i], p[i]) for i in picks]) * RESAMPLES / LOOP
    ours = seconds(lambda: evaluate.interval(evaluate.auroc, y, p, count=RESAMPLES))
    print(f"AUROC by a loop: {loop:.2f} s, {loop / ours:.1f} times ours")


if __name__ == "__main__":
    main()
