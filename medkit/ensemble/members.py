"""Members for an ensemble: trained together, or got cheaply from the training of one net."""

from copy import deepcopy

import numpy as np
import torch
from torch import nn

from .. import training
from ..errors import MedkitError


def predictions(models, *inputs):
    """Ask every model: probabilities of shape (members, n, classes), or (members, n) for one logit.

    Parameters
    ----------
    models : list
        fastai Learners, nn.Modules that give logits, or whatever has scikit-learn's `predict_proba`.
    inputs : arrays or tensors
        What each model takes.
    """
    return np.stack([ask(model, inputs) for model in models])


def ask(model, inputs):
    """Ask one model for probabilities, float64."""
    if hasattr(model, "predict_proba"):
        return np.asarray(model.predict_proba(*inputs), dtype=float)
    return training.to_probabilities(training.logits(getattr(model, "model", model), inputs).double())


def snapshots(learn, cycles, epochs, lr, wd=0.01):
    """Train in several cycles and keep the net at the end of each (Huang et al. 2017, arXiv:1704.00109)."""
    return [deepcopy(training.fit(learn, epochs, lr, wd).model) for _ in range(cycles)]


@torch.no_grad()
def mc_dropout(model, x, passes=20, seed=0):
    """Predict with dropout left on (Gal & Ghahramani 2016, arXiv:1506.02142): (passes, n, classes)."""
    layers = [m for m in model.modules() if isinstance(m, nn.modules.dropout._DropoutNd)]
    if not layers:
        raise MedkitError("This net has no dropout layer, so each pass would be the same.")
    device = next(model.parameters()).device
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model.eval()
        for layer in layers:
            layer.train()
        answers = [torch.cat([model(b.to(device)).float().cpu() for b in x.split(512)]) for _ in range(passes)]
    model.eval()
    return np.stack([training.to_probabilities(a.double()) for a in answers])


def collect(learn, epochs, lr, per_epoch=4):
    """Train on at a constant rate and keep the weights several times an epoch, (count, weights), for SWA and SWAG."""
    from fastai.callback.core import Callback

    kept, every = [], max(1, len(learn.dls.train) // per_epoch)

    class Keep(Callback):
        def after_batch(self):
            if self.training and (self.iter + 1) % every == 0:
                kept.append(torch.cat([p.detach().reshape(-1) for p in self.learn.model.parameters()]))

    with learn.no_bar(), learn.no_logging():
        learn.fit(epochs, lr, cbs=Keep())
    return torch.stack(kept)


def with_weights(model, vector, loader):
    """Copy a net, give it other weights, and set its batch normalisation by torch's `update_bn`."""
    from torch.optim.swa_utils import update_bn

    copied = deepcopy(model)
    nn.utils.vector_to_parameters(vector.clone(), copied.parameters())
    update_bn(loader, copied, device=vector.device)
    return copied.eval()


def swa(model, kept, loader):
    """Average the weights that were kept (Izmailov et al. 2018, arXiv:1803.05407): one net."""
    return with_weights(model, kept.mean(dim=0), loader)


def swag(model, kept, loader, count=10, seed=0):
    """Draw nets from a normal distribution over the weights that were kept (Maddox et al. 2019, arXiv:1902.02476).

    Half of the covariance is diagonal, half of low rank, as in the paper.
    """
    generator = torch.Generator().manual_seed(seed)
    mean, apart = kept.mean(dim=0), kept - kept.mean(dim=0)
    sd = apart.square().mean(dim=0).sqrt()

    def draw():
        each, few = torch.randn(len(mean), generator=generator), torch.randn(len(kept), generator=generator)
        low_rank = few.to(mean.device) @ apart / (len(kept) - 1) ** 0.5
        return mean + (sd * each.to(mean.device) + low_rank) / 2 ** 0.5

    return [with_weights(model, draw(), loader) for _ in range(count)]
