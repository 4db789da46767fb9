"""One way to a fastai `Learner` for every modality: device, precision, seed, progress.

Explained in lesson 1 (the Learner) and lesson 3 (arrays held on the device).
"""

import tempfile
from pathlib import Path

import torch

from .errors import MedkitError

SCRATCH = Path(tempfile.gettempdir()) / "medkit"  # where fastai puts its temporary weights


def best_device():
    """Choose the accelerator that torch finds (CUDA, Apple's MPS), or else the CPU."""
    return torch.accelerator.current_accelerator(check_available=True) or torch.device("cpu")


def set_seed(seed):
    """Seed every random generator that training uses, and ask for repeatable algorithms."""
    from fastai.torch_core import set_seed as seed_all

    seed_all(seed, reproducible=True)


class ArrayLoader:
    """Batches sliced from tensors that already lie on the device: no workers, no copies.

    Parameters
    ----------
    tensors : tuple of Tensor
        Inputs, then the target, each with n rows.
    batch_size : int
        Rows in a batch.
    shuffle : bool
        Whether each epoch has an order of its own. The last, shorter batch is then left out.
    augment : callable, optional
        Takes the input batch and gives it back changed: whole batches, on the device.
    seed : int
        For the order.
    """

    def __init__(self, tensors, batch_size=64, shuffle=False, augment=None, seed=0):
        self.tensors, self.batch_size, self.shuffle, self.augment = tensors, batch_size, shuffle, augment
        self.generator = torch.Generator().manual_seed(seed)
        self.n_inp, self.dataset = len(tensors) - 1, tensors[-1]

    def __len__(self):
        n = len(self.dataset)
        return max(1, n // self.batch_size) if self.shuffle else -(-n // self.batch_size)

    def __iter__(self):
        n = len(self.dataset)
        order = torch.randperm(n, generator=self.generator) if self.shuffle else torch.arange(n)
        for rows in order.to(self.device).split(self.batch_size)[:len(self)]:
            first, *rest = (t.index_select(0, rows) for t in self.tensors)  # 2 to 5 times as fast as t[rows]
            yield (self.augment(first) if self.augment else first, *rest)

    @property
    def device(self):
        """The device that holds the tensors."""
        return self.tensors[0].device

    def to(self, device):
        """Move the tensors to a device, once."""
        self.tensors = tuple(t.to(device) for t in self.tensors)
        return self

    def new(self, **kwargs):
        """Give the same rows in order and unchanged, as fastai's `get_preds` asks."""
        return ArrayLoader(self.tensors, self.batch_size)


def array_loaders(train, valid, batch_size=64, augment=None, device=None, seed=0):
    """Make fastai `DataLoaders` of arrays, put on the device once.

    Parameters
    ----------
    train, valid : tuple of array or Tensor
        Inputs, then the target.
    augment : callable, optional
        Applied to each training batch on the device.
    """
    from fastai.data.core import DataLoaders

    device = device or best_device()
    on_device = [tuple(torch.as_tensor(a).to(device) for a in part) for part in (train, valid)]
    for part in on_device:
        if len({len(a) for a in part}) != 1:
            raise MedkitError(f"Inputs and targets differ in length: {[len(a) for a in part]}.")
    return DataLoaders(ArrayLoader(on_device[0], batch_size, True, augment, seed),
                       ArrayLoader(on_device[1], 4 * batch_size), device=device)


def learner(dls, model, loss, metrics=(), **options):
    """Make the `Learner` that every lesson trains with: mixed precision where a GPU has it.

    Parameters
    ----------
    dls : DataLoaders
        From `array_loaders`, or any of fastai's.
    model : nn.Module
        Seed (`set_seed`) before you make it.
    loss : callable
        Loss of (prediction, target).
    """
    from fastai.callback import fp16, progress, schedule  # noqa: F401 (each adds methods to Learner)
    from fastai.learner import Learner

    learn = Learner(dls, model, loss_func=loss, metrics=list(metrics), path=SCRATCH, **options)
    return learn.to_fp16() if dls.device.type == "cuda" else learn


def averaging(decay=0.98):
    """Make a callback that ends with the running mean of the weights, which generalises better than the last.

    An exponential moving average over steps (Polyak & Juditsky, 1992), by torch's own AveragedModel.
    """
    from fastai.callback.core import Callback
    from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

    class Averaging(Callback):
        def before_fit(self):
            self.mean = AveragedModel(self.learn.model, multi_avg_fn=get_ema_multi_avg_fn(decay), use_buffers=True)

        def after_batch(self):
            if self.training:
                self.mean.update_parameters(self.learn.model)

        def after_fit(self):
            self.learn.model.load_state_dict(self.mean.module.state_dict())

    return Averaging()


def fit(learn, epochs, lr, wd=0.01, progress=False):
    """Train by the one-cycle policy (Smith & Topin, 2019), silently unless asked; give the Learner back."""
    from contextlib import nullcontext

    with nullcontext() if progress else learn.no_bar(), nullcontext() if progress else learn.no_logging():
        learn.fit_one_cycle(epochs, lr, wd=wd)
    return lighten(learn)


def lighten(learn):
    """Let go of the optimiser and the gradients, three times the memory of the weights; another `fit` makes new ones."""
    learn.opt = None
    learn.model.zero_grad(set_to_none=True)
    return learn


def probabilities(learn, *inputs, batch_size=512):
    """Predict class probabilities, shape (n, classes); one logit an image gives shape (n,)."""
    return to_probabilities(logits(learn.model, inputs, batch_size))


def to_probabilities(logits):
    """Softmax, or a sigmoid where there is one logit a row."""
    return (logits.sigmoid().squeeze(1) if logits.shape[1] == 1 else logits.softmax(dim=1)).numpy()


def logits(model, inputs, batch_size=512):
    """Run a model over all rows of its inputs, batch by batch."""
    batches = zip(*(torch.as_tensor(a).split(batch_size) for a in inputs))
    return torch.cat([forward(model, batch) for batch in batches])


@torch.no_grad()
def forward(model, inputs):
    """Run a model in evaluation mode on its own device; the result lies on the CPU as float32."""
    device = next(model.parameters()).device
    return model.eval()(*(x.to(device) for x in inputs)).float().cpu()
