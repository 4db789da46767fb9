"""What did a model look at, and is that true? Maps, their grades, and Shapley values. Explained in lesson 9.

A map takes `(model, x, target)`: a network that gives logits, a tensor of shape (n, channels, height, width) or
(n, channels, samples), and the class to explain (one for all, or one a row). It gives a float32 array (n, height,
width) or (n, samples), high where something speaks *for* the class. What is explained is the log-odds of the class.
Captum (Kokhlikyan et al., 2020, arXiv:2009.07896) serves integrated gradients and occlusion.
"""

import copy

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.modules.module import register_module_forward_hook

from .errors import MedkitError, unknown
from .models.cnn import unit

CAMS = {  # how gradients G weigh activations A, both (n, features, places)
    "grad-cam": lambda A, G: (G.mean(2, keepdim=True) * A).sum(1),  # Selvaraju et al. 2017, 10.1109/ICCV.2017.74
    "hirescam": lambda A, G: (G * A).sum(1),  # Draelos & Carin 2020, arXiv:2011.08891
    "layercam": lambda A, G: (G.relu() * A).sum(1),  # Jiang et al. 2021, 10.1109/TIP.2021.3089943
    "grad-cam++": lambda A, G: ((plus(A, G) * G.relu()).sum(2, keepdim=True) * A).sum(1),
}


def plus(A, G):
    """Weigh places as Grad-CAM++ does (Chattopadhay et al. 2018, doi:10.1109/WACV.2018.00097)."""
    return G**2 / (2 * G**2 + (A * G**3).sum(2, keepdim=True)).clamp(min=1e-12)


def log_odds(logits, target):
    """Give the log-odds of a class, (n,), from logits (n, classes), or (n, 1) where the classes are 0 and 1."""
    if logits.ndim != 2:
        raise MedkitError(f"The model gives an array of shape {tuple(logits.shape)}. To be explained it must give "
                          "logits of shape (n, classes).")
    if logits.shape[1] == 1:
        return logits[:, 0] * (2 * target - 1)
    if target.min() < 0 or target.max() >= logits.shape[1]:
        raise MedkitError(f"Class {int(target.max())} is to be explained, but the model has {logits.shape[1]} classes.")
    own = F.one_hot(target, logits.shape[1]).bool()
    return logits[own] - logits.masked_fill(own, -torch.inf).logsumexp(1)


def in_batches(method, model, x, target, batch_size=128):
    """Call `method(x, target)` on batches, on the model's device in evaluation mode; join the float32 arrays."""
    x = torch.as_tensor(x)
    if x.ndim not in (3, 4) or not len(x):
        raise MedkitError(f"x has the shape {tuple(x.shape)}. Needed: (n, channels, height, width) for images or "
                          "(n, channels, samples) for signals, with n at least 1.")
    target = torch.as_tensor(target).expand(len(x))
    device = next(model.parameters()).device
    model.eval()
    parts = [method(unit(a).to(device), t.to(device)).detach().float().cpu()
             for a, t in zip(x.split(batch_size), target.split(batch_size))]
    return torch.cat(parts).numpy()


def enlarge(maps, x):
    """Bring coarse maps (n, ...) to the size of the inputs."""
    mode = "bilinear" if x.ndim == 4 else "linear"
    return F.interpolate(maps[:, None], size=x.shape[2:], mode=mode, align_corners=False)[:, 0]


def last_maps(model, x):
    """Run a model: the logits, and the last feature maps (those of the last convolution, after what follows at its size).

    Raises
    ------
    MedkitError
        If the model has no convolution that gives one map per feature.
    """
    seen = []
    with register_module_forward_hook(lambda module, _, out: seen.append((module, out))):
        logits = model(x.requires_grad_())
    places = [k for k, (m, out) in enumerate(seen) if isinstance(m, (nn.Conv1d, nn.Conv2d)) and out.ndim == x.ndim]
    if not places:
        raise MedkitError(f"{type(model).__name__} has no convolution over images or signals: class activation maps "
                          "need one. Use occlusion or integrated_gradients.")
    shape = seen[places[-1]][1].shape
    later = [out for _, out in seen[places[-1]:] if torch.is_tensor(out) and out.shape == shape]
    return logits, later[-1]


def cam(model, x, target=1, kind="grad-cam", batch_size=32):
    """Map by class activations, weighted by gradients; `kind` is one of `CAMS`."""
    if kind not in CAMS:
        raise unknown("class activation map", kind, CAMS)

    def one(x, target):
        logits, A = last_maps(model, x)
        G, = torch.autograd.grad(log_odds(logits, target).sum(), A)
        weighed = CAMS[kind](A.detach().flatten(2), G.flatten(2)).relu()
        return enlarge(weighed.unflatten(1, A.shape[2:]), x)

    return in_batches(one, model, x, target, batch_size)


def attention(model, x, target=1, batch_size=256):
    """Map by the model's own attention: it needs a method `attend(x)` that gives (summary, weights)."""
    if not hasattr(model, "attend"):
        raise MedkitError(f"{type(model).__name__} has no attention to show (no method attend). Use cam or occlusion.")
    with torch.no_grad():
        return in_batches(lambda x, target: enlarge(model.attend(x)[1], x), model, x, target, batch_size)


def integrated_gradients(model, x, target=1, baseline=0.5, steps=24, batch_size=16):
    """Map by gradients along the way from a baseline (Sundararajan et al. 2017, arXiv:1703.01365), summed over channels.

    The sum of a map is the log-odds of the input less those of the baseline (a number, or a tensor like one input).
    """
    from captum.attr import IntegratedGradients

    def one(x, target):
        method = IntegratedGradients(lambda a: log_odds(model(a), target.repeat(len(a) // len(x))))
        base = torch.as_tensor(baseline, dtype=x.dtype, device=x.device).expand_as(x)
        return method.attribute(x, base, n_steps=steps).sum(1)

    return in_batches(one, model, x, target, batch_size)


def occlusion(model, x, target=1, window=12, stride=4, baseline=0.5, batch_size=32):
    """Map by what the log-odds lose when a window is covered by the baseline (Zeiler & Fergus 2014, arXiv:1311.2901)."""
    from captum.attr import Occlusion

    def one(x, target):
        method = Occlusion(lambda a: log_odds(model(a), target))
        some = x.ndim - 2
        if window > min(x.shape[2:]):
            raise MedkitError(f"A window of {window} is larger than the input, {tuple(x.shape[2:])}.")
        return method.attribute(x, (x.shape[1], *[window] * some), (x.shape[1], *[stride] * some), baseline)[:, 0]

    with torch.no_grad():
        return in_batches(one, model, x, target, batch_size)


def randomised(model, seed=0):
    """Copy a model with new random weights in every layer that can draw them (the sanity check of Adebayo et al. 2018)."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        other = copy.deepcopy(model)
        for module in other.modules():
            if hasattr(module, "reset_parameters"):
                module.reset_parameters()
    return other


def nulls(x, seed=0):
    """Make maps that know nothing of the model: {"random", "centre", "edges"} to arrays (n, height, width)."""
    from scipy.ndimage import gaussian_filter, gaussian_gradient_magnitude

    grey = unit(torch.as_tensor(x)).mean(1).numpy()
    far = sum(np.linspace(-1, 1, n).reshape(shape)**2 for n, shape in zip(grey.shape[1:], ((-1, 1), (1, -1))))
    return {"random": np.stack([gaussian_filter(n, 2) for n in np.random.default_rng(seed).random(grey.shape)]),
            "centre": np.broadcast_to(np.exp(-2 * far), grey.shape),
            "edges": np.stack([gaussian_gradient_magnitude(g, 1.0) for g in grey])}


def same_shape(maps, masks):
    """Check that maps and true masks belong together; give both as arrays (n, ...)."""
    maps, masks = np.asarray(maps), np.asarray(masks, dtype=bool)
    if maps.shape != masks.shape:
        raise MedkitError(f"Maps have the shape {maps.shape}, but masks {masks.shape}.")
    return maps, masks


def pointing(maps, masks, tolerance=0):
    """Tell whether each map's peak lies in the true region, or within `tolerance` pixels of it: bool (n,).

    The pointing game of Zhang et al. (2018, doi:10.1007/s11263-017-1059-x).
    """
    from scipy.ndimage import maximum_filter

    maps, masks = same_shape(maps, masks)
    if tolerance:
        masks = maximum_filter(masks, size=(1, *[2 * tolerance + 1] * (masks.ndim - 1)))
    return masks.reshape(len(maps), -1)[np.arange(len(maps)), maps.reshape(len(maps), -1).argmax(1)]


def iou(maps, masks, share=0.1):
    """Overlap of the true region and the highest `share` of a map's pixels, over their union: (n,)."""
    flat, truth = (a.reshape(len(a), -1) for a in same_shape(maps, masks))
    chosen = np.argsort(np.argsort(-flat, axis=1, kind="stable"), axis=1) < max(1, round(share * flat.shape[1]))
    return (chosen & truth).sum(1) / np.maximum((chosen | truth).sum(1), 1)


def curve(model, x, maps, target=1, insert=False, steps=10, fill=None):
    """Mean probability of the class while pixels are deleted, highest first, or inserted into a filled image.

    Petsiuk et al. 2018 (arXiv:1806.07421). `fill` replaces what is missing: by default a strongly blurred copy.

    Returns
    -------
    array (n,): the area under the curve of each input, in 0..1. Deletion should be low, insertion high.
    """
    x = unit(torch.as_tensor(x))
    blurred = F.avg_pool2d(F.pad(x, [10] * 4, mode="reflect"), 21, 1) if fill is None else torch.full_like(x, fill)
    start, end = (blurred, x) if insert else (x, blurred)
    rank = torch.as_tensor(np.argsort(np.argsort(-np.asarray(maps).reshape(len(x), -1), 1, kind="stable"), 1))
    rank = rank.view(len(x), 1, *x.shape[2:]) / rank.shape[1]
    with torch.no_grad():
        p = [in_batches(lambda a, t: log_odds(model(a), t).sigmoid(), model, torch.where(rank < s, end, start), target)
             for s in np.linspace(0, 1, steps + 1)]
    return np.trapezoid(p, dx=1 / steps, axis=0)


def rank_correlation(maps, others):
    """Spearman's correlation of each pair of maps, over pixels: (n,); near 0 where one says nothing of the other."""
    from scipy.stats import rankdata

    a, b = (rankdata(np.asarray(m).reshape(len(m), -1), axis=1) for m in (maps, others))
    a, b = a - a.mean(1, keepdims=True), b - b.mean(1, keepdims=True)
    return (a * b).sum(1) / np.maximum(np.sqrt((a**2).sum(1) * (b**2).sum(1)), 1e-12)


def shapley(predict, rows, background, rounds=20, seed=0):
    """Share a prediction out among the columns of a table, by sampled orders (Strumbelj & Kononenko, 2014).

    doi:10.1007/s10115-013-0679-x. A column that is not yet "known" has the value of a row of the background.

    Parameters
    ----------
    predict : callable
        Takes an array (m, columns) and gives (m,).
    rows, background : array (n, columns), (k, columns)
    rounds : int
        Orders drawn; each is also used backwards, which steadies the estimate.

    Returns
    -------
    array (n, columns): the sum of a row is its prediction less the mean of the background rows drawn.
    """
    rows, background = np.asarray(rows, dtype=float), np.asarray(background, dtype=float)
    if rows.ndim != 2 or background.ndim != 2 or rows.shape[1] != background.shape[1]:
        raise MedkitError(f"Rows have the shape {rows.shape} and the background {background.shape}: both must be "
                          "tables with the same columns.")
    rng, total = np.random.default_rng(seed), np.zeros(rows.shape)
    for _ in range(rounds):
        order, base = rng.permutation(rows.shape[1]), background[rng.integers(len(background))]
        for path in (order, order[::-1]):
            known = np.tri(len(path) + 1, len(path), -1, dtype=bool)[:, np.argsort(path)]  # row j: the first j are known
            mixed = np.where(known[:, None], rows, base).reshape(-1, rows.shape[1])
            steps = np.diff(np.asarray(predict(mixed)).reshape(len(path) + 1, len(rows)), axis=0)
            total[:, path] += steps.T
    return total / (2 * rounds)
