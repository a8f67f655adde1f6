"""The picture holds the curves that were given."""

import math

import pytest
from matplotlib.figure import Figure
from matplotlib.image import imread

import minigrad as mg
from minigrad.errors import ShapeError
from minigrad.nn.training.curves import plot_attention, plot_bars, plot_curves


@pytest.fixture
def drawn(monkeypatch):
    """Return a list that gets the axes of each picture that is saved."""
    axes, save = [], Figure.savefig

    def savefig(self, *arguments, **options):
        axes.extend(self.axes)
        save(self, *arguments, **options)

    monkeypatch.setattr(Figure, "savefig", savefig)
    return axes


def test_a_picture_has_the_curves_and_levels(tmp_path, drawn):
    curves = {"few": [(1, 3.0), (2, 2.5)], "many": [(x, 1 / (x + 1)) for x in range(51)]}
    path = tmp_path / "loss.png"
    plot_curves(path, curves, "seen", "bits", {"bigram": 2.0})
    (axes,) = drawn
    few, many, level = axes.get_lines()
    assert list(zip(*few.get_data(), strict=True)) == curves["few"]
    assert list(zip(*many.get_data(), strict=True)) == curves["many"]
    assert (few.get_marker(), many.get_marker()) == ("o", "None")
    assert set(level.get_ydata()) == {2.0}
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("seen", "bits")
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["few", "many", "bigram"]
    assert path.read_bytes().startswith(b"\x89PNG")
    height, width, _ = imread(path).shape
    assert (width, height) == (910, 546)


@pytest.mark.parametrize("points", [[], [(1, 2.0)], [(0, math.nan), (1, 1.0), (2, math.inf)]])
def test_odd_curves_are_drawn_all_the_same(tmp_path, drawn, points):
    plot_curves(tmp_path / "a.png", {"curve": points}, "x", "y")
    assert len(drawn[0].get_lines()[0].get_xdata()) == len(points)


def test_the_name_of_the_file_need_not_end_in_png(tmp_path):
    plot_curves(str(tmp_path / "picture"), {}, "x", "y", {"level": 1.0})
    assert (tmp_path / "picture").read_bytes().startswith(b"\x89PNG")


def test_a_folder_that_is_missing(tmp_path):
    with pytest.raises(FileNotFoundError, match="No such file or directory"):
        plot_curves(tmp_path / "missing" / "loss.png", {"curve": [(0, 1.0)]}, "x", "y")


def test_a_picture_has_the_bars_side_by_side(tmp_path, drawn):
    bars = {"one": {"a": 1.0, "b": 2.0}, "two": {"b": 3.0, "c": math.nan}}
    plot_bars(tmp_path / "scores.png", bars, "score")
    (axes,) = drawn
    one, two = axes.containers
    assert [bar.get_height() for bar in one] == [1.0, 2.0]
    assert [two[0].get_height(), math.isnan(two[1].get_height())] == [3.0, True]
    assert one[1].get_x() < one[1].get_x() + one[1].get_width() < two[0].get_x()
    middles = [(bar.get_x() + bar.get_width() / 2) for bar in (one[1], two[0])]
    assert sum(middles) / 2 == pytest.approx(1)  # they stand around the place of "b"
    assert [label.get_text() for label in axes.get_xticklabels()] == ["a", "b", "c"]
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["one", "two"]
    assert (tmp_path / "scores.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(FileNotFoundError, match="No such file or directory"):
        plot_bars(tmp_path / "missing" / "scores.png", bars, "score")


def test_nothing_to_draw_is_a_picture_all_the_same(tmp_path, drawn):
    plot_bars(tmp_path / "bars.png", {}, "score")
    plot_curves(tmp_path / "curves.png", {}, "x", "score")
    assert [axes.get_ylabel() for axes in drawn] == ["score", "score"]


def test_a_picture_has_the_weights_of_attention(tmp_path, drawn):
    weights = mg.tensor([[0.5, 0.25, 0.25], [0.0, 0.0, 1.0]])
    for given in (weights, weights.requires_grad_(), weights.tolist()):
        plot_attention(tmp_path / "a.png", given, ["<fr>", "1", "\u6708"], "ab")  # no such sign
    for axes in drawn:
        (picture,) = axes.get_images()
        assert picture.get_array().tolist() == weights.tolist()
        assert [label.get_text() for label in axes.get_xticklabels()] == ["<fr>", "1", "\u6708"]
        assert [label.get_text() for label in axes.get_yticklabels()] == ["a", "b"]
        assert (axes.get_xlabel(), axes.get_ylabel()) == ("read", "written")
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(ShapeError, match=r"\(2, 3\); with these tokens it must be \(1, 3\)"):
        plot_attention(tmp_path / "a.png", weights, "abc", "x")
    with pytest.raises(FileNotFoundError, match="No such file or directory"):
        plot_attention(tmp_path / "missing" / "a.png", weights, "abc", "xy")
