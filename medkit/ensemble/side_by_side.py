"""Nets of one build, trained as one wide net. Explained in lesson 8."""

from copy import deepcopy

import torch
from torch import nn
from torch.nn import functional as F

from ..errors import MedkitError

WEIGHTED = nn.Conv2d, nn.Linear, nn.BatchNorm1d, nn.BatchNorm2d


class SideBySide(nn.Module):
    """Run nets of one build as one net, by grouped layers: all see the same batch, and none sees another.

    Each member becomes what it would become alone on these batches. What members share (loading, augmentation, the
    steps of the Learner) is done once, so narrow nets cost far less than one by one (`benchmarks/batched_members.py`).

    Parameters
    ----------
    nets : list of nn.Module
        Their weights are in convolutions, linear layers and batch normalisation, the first in one of the former two.
        Layers without weights must keep the features of a net together: (n, nets x features, ...).
    """

    def __init__(self, nets):
        super().__init__()
        check(nets)
        self.nets, self.wide = [*nets], deepcopy(nets[0])
        weighted = with_weights(self.wide)
        for k, (name, layer) in enumerate(weighted.items()):
            for part in ("weight", "bias", "running_mean", "running_var"):
                if getattr(layer, part, None) is not None:
                    getattr(layer, part).data = torch.cat([getattr(net.get_submodule(name), part).data for net in nets])
            if isinstance(layer, nn.Conv2d) and k:
                layer.groups *= len(nets)
            if isinstance(layer, nn.Linear) and k:
                self.wide.set_submodule(name, GroupedLinear(layer, len(nets)))
        self.to(memory_format=torch.channels_last)

    def forward(self, x):
        """Give logits (n, nets, classes)."""
        return self.wide(x).unflatten(1, (len(self.nets), -1))

    def loss(self, logits, target):
        """Sum the cross-entropies of all nets, so that each net gets the gradient that it would get alone."""
        return F.cross_entropy(logits.flatten(0, 1), target.repeat_interleave(len(self.nets))) * len(self.nets)

    def separate(self):
        """Give the nets back, each with its own weights as they are now."""
        wide = self.wide.state_dict()
        for k, net in enumerate(self.nets):
            for name, own in net.to(next(self.parameters()).device).state_dict().items():
                own.copy_(wide[name] if own.shape == wide[name].shape else wide[name].chunk(len(self.nets))[k])
        return self.nets


def with_weights(net):
    """Give the layers that hold weights or running means of their own, by name."""
    return {name: m for name, m in net.named_modules()
            if any(v.dim() for v in (*m.parameters(recurse=False), *m.buffers(recurse=False)))}


def check(nets):
    """Refuse nets that would not become what they become alone."""
    shapes = [{name: tuple(v.shape) for name, v in net.state_dict().items()} for net in nets]
    if not nets or any(s != shapes[0] for s in shapes):
        raise MedkitError("Nets that train side by side must have the same layers of the same sizes.")
    layers = [*with_weights(nets[0]).values()]
    first = bool(layers) and isinstance(layers[0], WEIGHTED[:2]) and getattr(layers[0], "groups", 1) == 1
    if not first or not all(isinstance(m, WEIGHTED) for m in layers):
        raise MedkitError("Only nets of convolutions, linear layers and batch normalisation train side by side, and an "
                          "ungrouped convolution or a linear layer comes first. Train other nets one by one.")


class GroupedLinear(nn.Module):
    """The same linear layer of several nets: (n, nets x features) to (n, nets x outputs)."""

    def __init__(self, wide, nets):
        super().__init__()
        self.weight, self.bias, self.nets = wide.weight, wide.bias, nets

    def forward(self, x):
        """Apply each net's own weights."""
        weight = self.weight.unflatten(0, (self.nets, -1))
        y = torch.einsum("nkf,kcf->nkc", x.unflatten(1, (self.nets, -1)), weight).flatten(1)
        return y if self.bias is None else y + self.bias
