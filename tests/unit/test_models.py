"""The small CNN, augmentation by batch, and where a network's first weights come from."""

import numpy as np
import pytest
import torch

from medkit.augment import Augment
from medkit.errors import MedkitError
from medkit.models import transfer
from medkit.models.cnn import SmallCNN, pixel_scale, to_tensor


@pytest.mark.parametrize("channels, side, outputs", [(1, 28, 2), (3, 28, 9), (1, 64, 5)])
def test_the_small_cnn_takes_any_size_colour_and_number_of_classes(channels, side, outputs):
    X = np.random.default_rng(0).integers(0, 256, (4, side, side, channels), dtype=np.uint8)
    net = SmallCNN(channels, outputs, width=8, pixels=pixel_scale(X)).eval()
    assert net(to_tensor(X)).shape == (4, outputs)
    assert torch.allclose(net(to_tensor(X)), net(to_tensor(X).float() / 255), atol=1e-5)


def test_augmentation_changes_each_image_its_own_way_and_repeats_with_its_seed():
    x = torch.rand(6, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    once, again, other = Augment(seed=1)(x), Augment(seed=1)(x), Augment(seed=2)(x)
    assert torch.equal(once, again) and not torch.equal(once, other) and once.shape == x.shape
    same = x[:1].repeat(6, 1, 1, 1)
    assert len({round(float(image.mean()), 5) for image in Augment(seed=1)(same)}) == 6


def test_no_change_asked_for_is_no_change():
    x = torch.rand(3, 1, 28, 28)
    still = Augment(shift=0, turn=0, scale=0, exposure=0, erase=0)
    assert torch.allclose(still(x), x, atol=2e-3)  # black is 0.001 when it is exposed


def test_without_imagenet_the_shipped_weights_serve_and_it_is_said(monkeypatch):
    def unreachable(name, weights=None, progress=True):
        raise OSError("urlopen error: no route to host")

    monkeypatch.setattr(transfer, "get_model", unreachable)
    transfer.find_weights.cache_clear()
    which, why = transfer.find_weights("resnet18")
    transfer.find_weights.cache_clear()
    assert which == "hospital" and "could not be fetched" in why and "ship with medkit" in why
    with pytest.raises(MedkitError, match="Did you mean 'resnet18'"):
        transfer.find_weights("resnet8")


@pytest.mark.parametrize("channels", [1, 3])
def test_shipped_weights_are_loaded_in_the_body_and_the_head_is_new(channels):
    a, b = transfer.make("resnet18", "hospital", channels, 3), transfer.make("resnet18", "hospital", channels, 3)
    scratch = transfer.make("resnet18", "hospital-scratch", channels, 3)
    assert torch.equal(a.body[3][0].weight, b.body[3][0].weight)
    assert not torch.equal(a.body[3][0].weight, scratch.body[3][0].weight)
    assert not torch.equal(a.head[1].weight, b.head[1].weight)


def test_an_imagenet_network_takes_small_grey_images():
    net = transfer.make("squeezenet1_1", "none", 1, 2, side=32).eval()
    assert net(torch.zeros(2, 1, 28, 28, dtype=torch.uint8)).shape == (2, 2)
