"""Nets that join several modalities of one patient: early, or by attention. Explained in lesson 5.

An *encoder* turns one modality into a vector of `encoder.features` numbers. The order of the encoders is the
order of the inputs; the last input, `present`, says which modalities each patient has.
"""

import torch
from torch import nn


class Fusion(nn.Module):
    """Encode each modality, join the vectors, give logits.

    Parameters
    ----------
    encoders : dict of str to nn.Module
        One a modality.
    outputs : int
        Logits.
    how : {"early", "attention"}
        "early" puts the vectors side by side before the head (called *joint* by Huang et al., 2020); "attention" takes
        a weighted mean, with weights that depend on the patient (after the gated unit of Arevalo et al., 2017).
    width : int
        Length of each vector that is joined.
    drop : float
        *Modality dropout*: the chance that a patient's modality is hidden in training (Neverova et al., 2016).
        At least one is always left.
    """

    def __init__(self, encoders, outputs=1, how="attention", width=32, drop=0.0, dropout=0.2):
        super().__init__()
        self.how, self.drop, self.names = how, drop, list(encoders)
        self.encoders = nn.ModuleList(encoders.values())
        self.project = nn.ModuleList(nn.Sequential(nn.Dropout(dropout), nn.Linear(e.features, width), nn.Tanh())
                                     for e in self.encoders)
        self.score = nn.ModuleList(nn.Linear(width, 1) for _ in encoders) if how == "attention" else None
        self.head = nn.Linear(width * {"early": len(encoders), "attention": 1}[how], outputs)

    def encode(self, inputs, present):
        """Give the vectors (n, modalities, width), zero where a modality is missing, and who has which."""
        there = present
        if self.training and self.drop:
            kept = there & (torch.rand(there.shape, device=there.device) > self.drop)
            there = torch.where(kept.any(1, keepdim=True), kept, there)
        vectors = [project(e(x)) for project, e, x in zip(self.project, self.encoders, inputs)]
        return torch.stack(vectors, 1) * there[..., None], there

    def weigh(self, vectors, there):
        """Give each modality's share of attention, (n, modalities): 0 where it is missing, 1 in sum."""
        scores = torch.cat([score(vectors[:, k]) for k, score in enumerate(self.score)], 1)
        return scores.masked_fill(~there, -torch.inf).softmax(1)

    def forward(self, *inputs):
        """Give logits (n, outputs) of the modalities' inputs and, last, `present` (n, modalities), bool."""
        vectors, there = self.encode(inputs[:-1], inputs[-1])
        if self.how == "early":
            return self.head(vectors.flatten(1))
        return self.head((self.weigh(vectors, there)[..., None] * vectors).sum(1))

    @torch.no_grad()
    def attend(self, *inputs):
        """Give the attention over modalities, (n, modalities), in evaluation mode."""
        return self.eval().weigh(*self.encode(inputs[:-1], inputs[-1]))


def parameters(net):
    """Count what training can change."""
    return sum(p.numel() for p in net.parameters() if p.requires_grad)
