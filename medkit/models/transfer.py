"""Networks that start from what they learned elsewhere. Explained in lesson 3."""

from contextlib import redirect_stdout
from functools import cache
from io import StringIO
from pathlib import Path

from safetensors.torch import load_file
from torch import nn
from torch.nn import functional as F
from torchvision.models import get_model

from ..errors import unknown
from .cnn import Pixels, SmallCNN

SHIPPED = Path(__file__).parent / "weights" / "hospital_xray.safetensors"
IMAGENET = (0.449, 0.226)  # mean and standard deviation of ImageNet's pixels, averaged over colours
ARCHS = ("resnet18", "resnet34", "resnet50", "squeezenet1_0", "squeezenet1_1", "densenet121")


class Enlarge(nn.Module):
    """Give a network the size and the three colours that it was trained on."""

    def __init__(self, side):
        super().__init__()
        self.side, self.pixels = side, Pixels(*IMAGENET)

    def forward(self, x):
        """Scale the pixels of a batch, enlarge it, and repeat grey three times."""
        x = self.pixels(x)
        if x.shape[-1] < self.side:
            x = F.interpolate(x, size=(self.side, self.side), mode="bilinear", align_corners=False)
        return x.expand(-1, 3, -1, -1)


@cache
def find_weights(arch):
    """Say which weights a network can start from: "imagenet", else "hospital" (shipped), else "none".

    Tries torchvision's weights for `arch`, from its cache (`TORCH_HOME`) or by download.

    Returns
    -------
    which : str
    why : str
        What happened, for the reader.
    """
    if arch not in ARCHS:
        raise unknown("architecture", arch, ARCHS)
    try:
        with redirect_stdout(StringIO()):  # torch names a path of this machine
            get_model(arch, weights="DEFAULT")
    except (OSError, RuntimeError):
        which, told = ("hospital", "the weights that ship with medkit") if SHIPPED.exists() else ("none", "random weights")
        return which, f"ImageNet weights for {arch} are not on this machine and could not be fetched. We go on with {told}."
    return "imagenet", f"ImageNet weights for {arch} were found."


def make(arch, weights, channels, outputs, side=64):
    """Make a network from pre-trained or random weights.

    Parameters
    ----------
    arch : str
        A torchvision name.
    weights : str
        From `find_weights`, with "-scratch" behind it for the same network with random weights.
    channels, outputs : int
    side : int
        Smaller images are enlarged to this side, in pixels, for an ImageNet network.
    """
    kind, _, scratch = weights.partition("-")
    if kind == "hospital":
        return shipped(channels, outputs, random=bool(scratch))
    from fastai.vision.learner import create_body, create_head, num_features_model

    body = create_body(get_model(arch, weights="DEFAULT" if kind == "imagenet" and not scratch else None))
    return nn.Sequential(Enlarge(side), body, create_head(num_features_model(body), outputs))


def shipped(channels, outputs, random=False):
    """Make the small network whose weights ship; its head is always new."""
    net = SmallCNN(channels, outputs)
    if not random:
        state = {k: v for k, v in load_file(SHIPPED).items() if k.startswith("body.")}
        state["body.0.0.weight"] = state["body.0.0.weight"].expand(-1, channels, -1, -1) / channels
        net.load_state_dict(state, strict=False)
    return net
