"""Change images at random, a whole batch at a time, on the device that holds it. Explained in lesson 3.

Every change is one that another X-ray room could have made: the patient stands a little off, the
exposure differs, something covers a part.
"""

import math

import torch
from torch.nn import functional as F

from .models.cnn import unit


class Augment:
    """Move, turn, scale, re-expose and partly cover the images of a batch, each in its own way.

    Parameters
    ----------
    shift : float
        Largest shift, as a share of the side.
    turn : float
        Largest rotation, in degrees.
    scale : float
        Largest change of size, as a logarithm (0.1 is about 10 %).
    exposure : float
        Strength of changes in gamma, contrast and brightness.
    erase : float
        Largest side of a covered rectangle, as a share of the side; 0 for none.
    """

    def __init__(self, shift=0.07, turn=10, scale=0.1, exposure=0.3, erase=0.3, seed=0):
        self.shift, self.turn, self.scale = shift, math.radians(turn), scale
        self.exposure, self.erase = exposure, erase
        self.generator = torch.Generator().manual_seed(seed)

    def __call__(self, x):
        """Give a changed copy of a batch (n, channels, height, width), float in 0..1."""
        x = self.expose(self.move(unit(x)))
        return self.cover(x) if self.erase else x

    def draw(self, x, limit):
        """Draw one number per image, uniform within +-limit, on the images' device."""
        return ((2 * torch.rand(len(x), generator=self.generator) - 1) * limit).to(x.device)

    def move(self, x):
        """Shift, turn and scale, in one resampling."""
        angle, size = self.draw(x, self.turn), self.draw(x, self.scale).exp()
        wide = self.draw(x, self.scale / 2).exp()
        across = [size * wide * angle.cos(), -size * angle.sin(), 2 * self.draw(x, self.shift)]
        down = [size * angle.sin(), size / wide * angle.cos(), 2 * self.draw(x, self.shift)]
        matrix = torch.stack([torch.stack(across, 1), torch.stack(down, 1)], 1)
        grid = F.affine_grid(matrix, list(x.shape), align_corners=False)
        return F.grid_sample(x, grid, padding_mode="border", align_corners=False)

    def expose(self, x):
        """Change gamma, contrast and brightness."""
        def each(limit):
            return self.draw(x, limit)[:, None, None, None]

        x = x.clamp(1e-3, 1) ** (each(1.3 * self.exposure)).exp()
        middle = x.mean((1, 2, 3), keepdim=True)
        return (x - middle) * each(self.exposure).exp() + middle + each(self.exposure / 2)

    def cover(self, x):
        """Cover a random rectangle of each image by the image's mean."""
        rows = self.strip(x, x.shape[2])[:, None, :, None]
        columns = self.strip(x, x.shape[3])[:, None, None, :]
        return torch.where(rows & columns, x.mean((1, 2, 3), keepdim=True), x)

    def strip(self, x, side):
        """Choose a random run of rows (or columns) for each image: bool of shape (n, side)."""
        place = torch.arange(side, device=x.device) / side
        centre, width = (self.draw(x, 1) + 1) / 2, (self.draw(x, 1) + 1) / 2 * self.erase
        return (place - centre[:, None]).abs() < width[:, None] / 2
