"""How fast does the virtual hospital work, and does its memory stay flat?

    python benchmarks/hospital_speed.py

Prints a table and writes nothing. Times are the best of three on this machine.
"""
import resource
import time

import pandas as pd

from medkit.hospital import admit


def per_second(n, work):
    """Give patients per second, best of three; another seed each time, so nothing is cached."""
    seconds = []
    for seed in range(3):
        cohort = admit(n, seed)
        start = time.perf_counter()
        work(cohort)
        seconds.append(time.perf_counter() - start)
    return n / min(seconds)


def peak_mb():
    """Give the most memory that this process has held, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def stream(n):
    """Make stays of `n` patients in batches; give the peak of memory after them."""
    for batch in admit(n, seed=9).batches(512):
        batch.stay()
    return peak_mb()


def main():
    """Print the table."""
    work = {"patients' tables": (100_000, lambda c: c.patients), "outcomes": (20_000, lambda c: c.outcome()),
            "genes": (5_000, lambda c: c.genes), "stays of 48 hours": (2_000, lambda c: c.stay())}
    peaks = {f"memory after {n} stays in batches of 512": f"{stream(n):,.0f} MB" for n in (1024, 8192)}
    rows = {f"{name}, {n} patients": f"{per_second(n, do):,.0f} a second" for name, (n, do) in work.items()}
    print(pd.Series(peaks | rows).to_string())


if __name__ == "__main__":
    main()
