"""How do time and memory grow with the number of virtual patients? A straight line, and flat, it should be.

    OMP_NUM_THREADS=1 python benchmarks/hospital_scaling.py [--most 1000000] [--few 100000]

Every size runs in a process of its own, which streams patients in batches and keeps none: tables and outcomes, genes and
stays of 48 hours up to `--most`, X-rays of 64 pixels and ECGs up to `--few`. The exponent of time (the slope of log seconds
over log patients) is 1 for a straight line. `--one tables 1000` prints the seconds and MB of one size.
"""
import json
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import speed

WORK = {"tables": lambda cohort: (cohort.patients, cohort.outcome()), "genes": lambda cohort: cohort.genes,
        "stays": lambda cohort: cohort.stay(), "films": lambda cohort: cohort.xray(64),
        "ecg": lambda cohort: cohort.ecg()}
NAMES = {"tables": "tables and outcomes", "genes": "genes", "stays": "stays of 48 hours",
         "films": "X-rays of 64 pixels", "ecg": "ECGs of 12 leads, 10 s at 250 Hz"}


def peak_mb():
    """Give the most memory that this process has held, in MB."""
    status = Path("/proc/self/status")
    if status.exists():  # Linux: what `resource` tells there can be the parent's
        return int(status.read_text().partition("VmHWM:")[2].split()[0]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def one(kind, n):
    """Make patients in batches; print seconds of processor time and the peak of memory, in MB."""
    from medkit.hospital import admit

    WORK[kind](admit(1024, seed=1))  # imports, and what is made once
    start = time.process_time()  # not speed.clock: torch is not needed here, and would hide how flat memory is
    for batch in admit(n, seed=9).batches(1024):
        WORK[kind](batch)
    print(json.dumps([time.process_time() - start, peak_mb()]))


def exponent(sizes, seconds):
    """Fit seconds = a * size ** b by least squares of logarithms; give b."""
    return float(np.polyfit(np.log(sizes), np.log(seconds), 1)[0])


def sizes(least, most):
    """Give whole sizes from least to most, two in each tenfold step."""
    return sorted({round(float(x)) for x in np.geomspace(least, most, max(2, 1 + 2 * round(np.log10(most / least))))})


def measured(kind, least, most):
    """Run all sizes of one kind, each in its own process; give the row of the file."""
    found = {}
    for n in sizes(least, most):
        told = subprocess.run([sys.executable, __file__, "--one", kind, str(n)], check=True, stdout=subprocess.PIPE)
        found[n] = json.loads(told.stdout)
        print(f"{kind}, {n:,}: {found[n][0]:.2f} s, {found[n][1]:,.0f} MB", flush=True)
    took, memory = zip(*found.values())
    power, growth = exponent(list(found), took), memory[-1] / memory[0]
    note = (f"seconds grow as patients to the power {power:.2f}; peak memory {memory[0]:,.0f} MB at {least:,}, "
            f"{memory[-1]:,.0f} MB at {most:,} ({growth:.2f} times)")
    return speed.row(f"virtual hospital, {NAMES[kind]}, {least:,} to {most:,} patients", "", most / took[-1], None,
                     "patients/s", note=note, on_cpu=True) | {"exponent": power, "memory_growth": growth,
                                                 "sizes": {n: speed.rounded(t) for n, t in zip(found, took)},
                                                 "memory_mb": [round(m) for m in memory]}


def main():
    """Measure, print, and write the rows."""
    if sys.argv[1:2] == ["--one"]:
        return one(sys.argv[2], int(sys.argv[3]))
    a = speed.options(__doc__, least=1000, most=1_000_000, few=100_000)
    if a.quick:
        a.least, a.most, a.few = 256, 2048, 512
    speed.keep((measured(kind, a.least, a.few if kind in ("films", "ecg") else a.most) for kind in WORK), a.quick)


if __name__ == "__main__":
    main()
