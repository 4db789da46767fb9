"""A small convolutional network for images of any size. Explained in lesson 3."""

import torch
from torch import nn


class Pixels(nn.Module):
    """Bring images to mean 0 and standard deviation 1, with numbers from the training images.

    Takes (n, channels, height, width), uint8 in 0..255 or float in 0..1.
    """

    def __init__(self, mean, sd):
        super().__init__()
        self.register_buffer("mean", torch.tensor(float(mean)))
        self.register_buffer("sd", torch.tensor(max(float(sd), 1e-3)))

    def forward(self, x):
        """Scale a batch."""
        return (unit(x) - self.mean) / self.sd


def unit(x):
    """Bring uint8 pixels to 0..1; leave floats as they are."""
    return x.float() / 255 if x.dtype == torch.uint8 else x


def block(n_in, n_out, kernel=3, stride=1):
    """Make convolution, batch normalisation, ReLU."""
    return nn.Sequential(nn.Conv2d(n_in, n_out, kernel, stride, kernel // 2, bias=False), nn.BatchNorm2d(n_out),
                         nn.ReLU())


class SmallCNN(nn.Module):
    """Five convolutions in three scales, then the mean and the maximum of each feature.

    Parameters
    ----------
    channels : int
        1 for grey images, 3 for colour.
    outputs : int
        One logit per class.
    width : int
        Features at the first scale; doubled at each of the next two.
    pixels : tuple of float
        Mean and standard deviation of the training pixels, in 0..1.
    """

    def __init__(self, channels, outputs, width=32, pixels=(0.5, 0.25), dropout=0.2):
        super().__init__()
        w = width
        self.pixels = Pixels(*pixels)
        self.body = nn.Sequential(block(channels, w), nn.MaxPool2d(2), block(w, 2 * w), block(2 * w, 2 * w),
                                  nn.MaxPool2d(2), block(2 * w, 4 * w), block(4 * w, 4 * w))
        self.head = nn.Sequential(nn.Dropout(dropout), nn.Linear(8 * w, outputs))
        self.to(memory_format=torch.channels_last)

    def forward(self, x):
        """Give logits of shape (n, outputs)."""
        features = self.body(self.pixels(x).contiguous(memory_format=torch.channels_last))
        return self.head(torch.cat([features.mean((2, 3)), features.amax((2, 3))], dim=1))


def to_tensor(X):
    """See uint8 images (n, height, width, channels) as a tensor (n, channels, height, width)."""
    return torch.as_tensor(X).permute(0, 3, 1, 2).contiguous()


def pixel_scale(X):
    """Give mean and standard deviation of the pixels of training images, in 0..1."""
    return float(X.mean() / 255), float(X.std() / 255)
