"""Beats and stays per second that reach a network: our loader beside a plain DataLoader over single items, in one run.

    OMP_NUM_THREADS=1 MEDKIT_DATA=... python benchmarks/loader_speed.py [--repeats 3]

Both get the same arrays, prepared beforehand, of the shapes of lessons 4 and 6: runs of 32 beats of MIT-BIH (and single
beats), varied at random as lesson 4 does; stays of challenge-2012 in two-hour steps with masks and times since. Ours
slices whole batches; the plain one makes an item at a time and stacks them. No network is trained. No worker processes:
work is counted by the processor's clock.
"""
from functools import partial

import numpy as np
import speed
import torch
from torch.utils.data import DataLoader, Dataset

from medkit import training
from medkit.datasets import stays, waveforms
from medkit.models.waves import runs


class Items(Dataset):
    """Arrays, one item at a time: the first of them varied."""

    def __init__(self, arrays, change):
        self.arrays, self.change = arrays, change

    def __len__(self):
        return len(self.arrays[0])

    def __getitem__(self, i):
        first, *rest = (torch.as_tensor(a[i]) for a in self.arrays)
        return self.change(first[None])[0], *rest


NOISE = 0.03 * torch.randn(2**21).to(training.best_device())


def vary(x):
    """Change runs of beats as another recorder might: size, a slope, noise, a lead lost (as in lesson 4)."""
    noise = NOISE.to(x.device)
    each, ramp = (len(x), 1, x.shape[2], 1), torch.linspace(-1, 1, x.shape[-1], device=x.device)
    size = 1 + 0.1 * torch.randn(each, device=x.device)
    slope = 0.1 * torch.randn((*x.shape[:-1], 1), device=x.device)
    lost = torch.rand(each, device=x.device) < 0.1
    start = int(torch.randint(len(noise) - x.numel(), ()))
    added = noise[start:start + x.numel()].view_as(x)
    return torch.addcmul(added, x, size).addcmul_(slope, ramp).mul_(~lost)


def same(x):
    """Leave a batch as it is."""
    return x


def beat_arrays(data, length):
    """Put beats into runs, as lesson 4 does: waves, intervals, lengths, classes."""
    place, lengths = runs(data.record, length)
    every = round(data.fs / 120)
    waves = np.ascontiguousarray(data.windows[:, ::every].transpose(0, 2, 1), np.float32)
    return waves[place], data.rr[place].astype(np.float32), lengths, data.y[place].astype(np.int64)


def stay_arrays(data):
    """Give values, masks, times since, what is known at admission, hours, outcome, as lesson 6 does."""
    seen = data.values[:, ::2].astype(np.float32)
    mask, static = np.isfinite(seen), np.nan_to_num(data.static.to_numpy(np.float32))
    hours = np.full(len(seen), seen.shape[1])
    return (np.nan_to_num(seen), mask.astype(np.float32), stays.hours_since(mask), static, hours,
            data.y[:, None].astype(np.float32))


def per_second(loader, count):
    """Read one epoch, onto the device; give how many items a second."""
    found, device = 0, training.best_device()

    def read():
        nonlocal found
        found = sum(count([t.to(device) for t in batch]) for batch in loader)  # ours lies there already

    took = speed.seconds(read)
    return float(found) / took  # (beats are counted on the device: no batch waits for it)


def compared(what, unit, arrays, batch, change, count, repeats):
    """Give the row of one kind of data."""
    tensors = tuple(torch.as_tensor(a) for a in arrays)
    ours = training.ArrayLoader(tensors, batch, True, change).to(training.best_device())
    plain = DataLoader(Items(arrays, change), batch, shuffle=True, drop_last=True)
    a, b, ratio = speed.interleaved(partial(per_second, ours, count), partial(per_second, plain, count), repeats)
    return speed.row(what, "plain DataLoader, one item at a time", a, b, unit, ratio=ratio, aim=5)


def main():
    """Measure, print, and write the rows."""
    a = speed.options(__doc__, repeats=3)
    repeats = 1 if a.quick else a.repeats
    beats, patients = waveforms.beats("mitdb"), stays.load("challenge-2012")

    def cut(arrays):
        return tuple(x[:256] for x in arrays) if a.quick else arrays

    def rows():
        for length, name in [(32, "runs of 32 beats"), (1, "single beats")]:
            for change, how in [(same, "as they are"), (vary, "varied at random")]:
                yield compared(f"loading {name}, {how}: MIT-BIH", "beats/s", cut(beat_arrays(beats, length)),
                               256 // length, change, lambda batch: batch[2].sum(), repeats)
        yield compared("loading stays: challenge-2012", "stays/s", cut(stay_arrays(patients)), 64, same,
                       lambda batch: len(batch[0]), repeats)

    speed.keep(rows(), a.quick)


if __name__ == "__main__":
    main()
