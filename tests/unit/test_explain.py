"""Explanations of models whose reason is known, and grades by hand."""

import numpy as np
import pytest
import torch
from torch import nn

from medkit import explain, lessons
from medkit.datasets import boxes, images
from medkit.errors import MedkitError
from medkit.models.attention import AttentionCNN
from medkit.models.cnn import SmallCNN
from medkit.models.waves import SignalNet

ROWS, COLUMNS = slice(20, 28), slice(4, 12)


class Patch(nn.Module):
    """A net whose only evidence is how bright one patch is."""

    def __init__(self):
        super().__init__()
        self.body = nn.Conv2d(1, 1, 3, padding=1, bias=False)
        nn.init.constant_(self.body.weight, 1 / 9)
        self.register_buffer("where", torch.zeros(1, 1, 32, 32))
        self.where[..., ROWS, COLUMNS] = 1

    def attend(self, x):
        weights = self.where[:, 0] / self.where.sum()
        return self.body(x) * weights, weights.expand(len(x), -1, -1)

    def forward(self, x):
        return 10 * self.attend(x)[0].sum((2, 3))


@pytest.fixture
def bright():
    return torch.rand(5, 1, 32, 32, generator=torch.Generator().manual_seed(0)) * 0.2 + 0.8


@pytest.fixture
def truth():
    mask = np.zeros((5, 32, 32), bool)
    mask[:, ROWS, COLUMNS] = True
    return mask


@pytest.mark.parametrize("kind", ["hirescam", "layercam"])
def test_activation_maps_find_the_only_evidence(kind, bright, truth):
    assert explain.pointing(explain.cam(Patch(), bright, kind=kind), truth).all()


@pytest.mark.parametrize("method, options", [
    (explain.attention, {}), (explain.integrated_gradients, {"baseline": 0.0}),
    (explain.occlusion, {"window": 8, "stride": 4, "baseline": 0.0})])
def test_methods_find_the_only_evidence(method, options, bright, truth):
    maps = method(Patch(), bright, **options)
    assert maps.shape == truth.shape and maps.dtype == np.float32
    assert explain.pointing(maps, truth).all() and explain.iou(maps, truth, 64 / 1024).min() > 0.6


def test_grad_cam_tells_bright_from_dark_features(truth):
    """Grad-CAM shares one weight a feature over all places, so here the image itself must hold the patch."""
    image = torch.zeros(5, 1, 32, 32)
    image[..., ROWS, COLUMNS] = 1
    for kind in explain.CAMS:
        assert explain.pointing(explain.cam(Patch(), image, kind=kind), truth).all()
    assert not explain.cam(Patch(), image, target=0).any(), "nothing speaks for the other class"


def test_integrated_gradients_are_complete():
    torch.manual_seed(0)
    net, x = SmallCNN(1, 3, 4).eval(), torch.rand(4, 1, 28, 28)
    maps = explain.integrated_gradients(net, x, [0, 1, 2, 1], baseline=0.3, steps=200)
    with torch.no_grad():
        there, base = (explain.log_odds(net(a), torch.tensor([0, 1, 2, 1])) for a in (x, torch.full_like(x, 0.3)))
    assert np.allclose(maps.sum((1, 2)), there - base, atol=0.02)


def test_signals_get_maps_over_time():
    net, x = SignalNet(2, 2), torch.randn(3, 2, 160)
    for maps in (explain.cam(net, x), explain.attention(net, x), explain.integrated_gradients(net, x, baseline=0.0),
                 explain.occlusion(net, x, window=16, stride=8, baseline=0.0)):
        assert maps.shape == (3, 160)


def test_batches_change_nothing_and_the_net_is_left_as_it_was(bright):
    net = AttentionCNN(1, 2, 4)
    before = {k: v.clone() for k, v in net.state_dict().items()}
    assert np.allclose(explain.cam(net, bright), explain.cam(net, bright, batch_size=2), atol=1e-6)
    assert all(torch.equal(v, before[k]) for k, v in net.state_dict().items())
    assert torch.allclose(net.attend(bright)[1].sum((1, 2)), torch.ones(5))


def test_pointing_and_iou_by_hand():
    maps, masks = np.zeros((2, 4, 4)), np.zeros((2, 4, 4), bool)
    maps[0, 1, 1], maps[1, 0, 0], masks[:, 1:3, 1:3] = 1, 1, True
    assert explain.pointing(maps, masks).tolist() == [True, False]
    assert explain.pointing(maps, masks, tolerance=1).tolist() == [True, True]
    maps[0, 1, 2] = maps[0, 0, 0] = maps[0, 0, 1] = 0.5
    assert explain.iou(maps[:1], masks[:1], 0.25) == pytest.approx(2 / 6)
    with pytest.raises(MedkitError, match=r"\(2, 4, 4\), but masks \(2, 3, 4\)"):
        explain.pointing(maps, masks[:, :3])


def test_deleting_the_evidence_first_costs_most(bright, truth):
    net, good = Patch(), truth.astype(float)
    lost, kept = (explain.curve(net, bright, m, fill=0.0).mean() for m in (good, -good))
    assert lost < kept - 0.1
    assert explain.curve(net, bright, good, insert=True, fill=0.0).mean() > 0.9


def test_random_weights_are_new_and_correlation_is_a_rank_correlation():
    net = AttentionCNN(1, 2, 4)
    other = explain.randomised(net, seed=1)
    assert not torch.equal(net.head[1].weight, other.head[1].weight)
    assert torch.equal(other.head[1].weight, explain.randomised(net, seed=1).head[1].weight)
    a = np.arange(16.0).reshape(1, 4, 4)
    assert explain.rank_correlation(a, a**3)[0] == pytest.approx(1)
    assert explain.rank_correlation(a, -a)[0] == pytest.approx(-1)


def test_shapley_values_of_an_additive_model_are_its_terms():
    rng = np.random.default_rng(0)
    rows, background, slope = rng.normal(size=(6, 4)), np.zeros((1, 4)), np.array([1.0, -2, 0.5, 0])
    assert np.allclose(explain.shapley(lambda X: X @ slope, rows, background, 2), rows * slope)
    product = explain.shapley(lambda X: X[:, 0] * X[:, 1], rows, background, 1)
    assert np.allclose(product[:, 0], rows[:, 0] * rows[:, 1] / 2) and np.allclose(product[:, 2:], 0)
    with pytest.raises(MedkitError, match="same columns"):
        explain.shapley(lambda X: X[:, 0], rows, background[:, :3])


@pytest.mark.parametrize("call, words", [
    (lambda x: explain.cam(nn.Sequential(nn.Flatten(), nn.Linear(1024, 2)), x), "no convolution"),
    (lambda x: explain.cam(Patch(), x, kind="grad"), "Did you mean 'grad-cam'"),
    (lambda x: explain.cam(Patch(), x[0, 0]), "needed|Needed"),
    (lambda x: explain.attention(SmallCNN(1, 2, 4), x), "no attention"),
    (lambda x: explain.occlusion(Patch(), x, window=40), "larger than the input"),
    (lambda x: explain.cam(SmallCNN(1, 2, 4), x, target=2), "has 2 classes")])
def test_what_cannot_be_explained_is_said_kindly(call, words, bright):
    with pytest.raises(MedkitError, match=words):
        call(bright)


VOC = "<annotation><filename>a.png</filename><object><bndbox><xmin>10</xmin><ymin>0</ymin><xmax>20</xmax>" \
      "<ymax>40</ymax></bndbox></object></annotation>"


@pytest.mark.parametrize("names, message", [("abnormal/{}.png", None), ("{}.png", "names '0.png'; the folder has abnormal/")])
def test_lesson_9_finds_the_boxes_of_a_folder_that_names_its_patients(tmp_path, names, message):
    from PIL import Image

    rows = [f"{c}/{k}.png" for c in ("abnormal", "normal") for k in range(20)]
    for k, name in enumerate(rows):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.fromarray(np.full((40, 40), k, np.uint8)).save(tmp_path / name)
    (tmp_path / "labels.csv").write_text("file,label,patient\n" + "".join(f"{n},{n.split('/')[0]},p{k}\n" for k, n in enumerate(rows)))
    (tmp_path / "boxes.csv").write_text("file,xmin,ymin,xmax,ymax\n" + "".join(f"{names.format(k)},0,0,20,20\n" for k in range(20)))
    data = images.load(tmp_path, size=32)
    given = {"dataset": str(tmp_path), "boxes": str(tmp_path / "boxes.csv"), "y": data.y}
    box_masks = defined_in_lesson_9("box_masks", given)
    if message:
        with pytest.raises(MedkitError, match=message):
            box_masks(data, "test")
    else:
        assert (box_masks(data, "test").sum(axis=(1, 2)) == 256 * data.y["test"]).all()


def defined_in_lesson_9(name, given):
    path = lessons.find("9")
    for cell in lessons.read(path).cells:
        if cell.source.startswith(("import medkit", f"def {name}(")):
            exec(cell.source, given)
    return given[name]


@pytest.mark.parametrize("classes, well", [(["normal", "pneumonia"], 0), (["bacterial", "normal", "viral"], 1), (["a", "b", "c"], 0)])
def test_lesson_9_knows_the_well_by_name(classes, well):
    assert defined_in_lesson_9("well_class", {})(images.ImageSet("x", classes, {}, {}, {})) == well


def test_boxes_of_both_kinds_become_masks(tmp_path):
    (tmp_path / "a.xml").write_text(VOC)
    (tmp_path / "b.csv").write_text("file,xmin,ymin,xmax,ymax\na.png,10,0,20,40\na.png,0,0,1,1\n")
    assert boxes.read_boxes(tmp_path)["a.png"].tolist() == [[10, 0, 20, 40]]
    assert boxes.read_boxes(tmp_path / "b.csv")["a.png"].shape == (2, 4)
    mask = boxes.to_mask(np.array([[10, 0, 20, 40.0]]), 40, 80, 1, 8)
    assert mask.sum() == 4 and mask[:4, 3].all(), "40 x 80 is padded by 20 on either side; the box is at 30 to 40"
    assert np.array_equal(boxes.to_mask(np.array([[5, 0, 10, 40.0]]), 20, 80, 0.5, 8), mask)  # pixels twice as wide as high
    with pytest.raises(MedkitError, match="beyond its image"):
        boxes.to_mask(np.array([[10, 0, 50, 40.0]]), 40, 80, 1, 8)


@pytest.mark.parametrize("name, text, words", [
    ("a.xml", VOC[:60], "cannot be read as XML"), ("a.xml", VOC.replace("<filename>a.png</filename>", ""), "filename"),
    ("a.xml", "<!DOCTYPE x [<!ENTITY y 'z'>]>" + VOC, "DOCTYPE"), ("a.xml", VOC.replace("10", "ten"), "row 1: the column 'xmin' should hold a number, but holds 'ten'"),
    ("a.csv", "file,xmin,ymin,xmax\na,1,2,3\n", "no column 'ymax'"), ("a.csv", "", "cannot be read as a table"),
    ("a.csv", "file,xmin,ymin,xmax,ymax\na,1,2,3,4\na,5,2,3,4\n", "row 2.*is none"),
    ("a.csv", "file,xmin,ymin,xmax,ymax\na,1,2,,4\n", "row 1.*is none")])
def test_broken_boxes_say_where(tmp_path, name, text, words):
    (tmp_path / name).write_text(text)
    with pytest.raises(MedkitError, match=words):
        boxes.read_boxes(tmp_path / name)
    with pytest.raises(MedkitError, match="no boxes"):
        boxes.read_boxes(tmp_path / "absent.csv")
