"""How long does Grad-CAM of 1,000 images of 64 x 64 take?

    OMP_NUM_THREADS=2 python benchmarks/gradcam_speed.py [--images 1000]

Prints wall and processor seconds of the attention network of lesson 9 and of the small CNN of lesson 3. (Maps come back
to the processor, so the clock stops when a GPU is done, too.)
"""
import time

import speed
import torch

from medkit import explain, training
from medkit.models.attention import AttentionCNN
from medkit.models.cnn import SmallCNN


def main():
    """Print one line for each network."""
    a = speed.options(__doc__, images=1000)
    films = torch.rand(64 if a.quick else a.images, 1, 64, 64, generator=torch.Generator().manual_seed(0))
    for net in (AttentionCNN(1, 2), SmallCNN(1, 2, 16), SmallCNN(1, 2)):
        net.to(training.best_device())
        explain.cam(net, films[:64])
        wall, cpu = time.perf_counter(), time.process_time()
        explain.cam(net, films)
        size = sum(p.numel() for p in net.parameters())
        print(f"{type(net).__name__} ({size:,} weights, {training.best_device().type}): {time.perf_counter() - wall:.1f} s, "
              f"{time.process_time() - cpu:.1f} s of processor time", flush=True)


if __name__ == "__main__":
    main()
