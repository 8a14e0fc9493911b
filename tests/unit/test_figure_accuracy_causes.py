"""figures: what each cause costs. The numbers are made up: enough to draw, nothing to conclude from."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from matplotlib.figure import Figure
from tests.figures import words

from upfml.report.figures import accuracy_causes, style
from upfml.studies.causes.chains import CAUSES, OTHERS


def change(points: float, width: float) -> dict[str, Any]:
    return {"points": points, "points_low": points - width, "points_high": points + width, "decisions": 5_000}


def chain(points: float, width: float) -> dict[str, Any]:
    accuracy = 99.6 + points
    bounds = {"accuracy_low_pct": accuracy - width, "accuracy_high_pct": accuracy + width}
    return change(points, width) | bounds | {"accuracy_pct": accuracy, "balanced_accuracy_pct": accuracy - 1}


def study(scale: float) -> dict[str, Any]:
    steps = [0, -3.4, -0.8, 0.13, -0.17, 3.8, -0.04, -5.7, -6.0]
    split = {
        "scikit_learn": chain(0, scale * 0.3),
        "exact": chain(0, scale * 0.02) | {"unlike_scikit_learn": 0},
        "baselines": {"majority": chain(-29.5, 1), "one_threshold": chain(-7.5, 1)},
        "authors": chain(scale * sum(steps), scale * 4),
        "causes": [
            {
                "cause": cause.name,
                "cumulative": change(scale * step, scale * abs(step) / 2),
                "alone": change(scale * step / 9, scale * 0.1),
            }
            for cause, step in zip(CAUSES, steps, strict=True)
        ],
        "others": [{"chain": other.name} | chain(-scale * 0.4, scale * 0.2) for other in OTHERS],
    }
    return {
        "trace": {"packets": 674_030, "flows": {"URLLC": 29, "eMBB": 54}},
        "method": {"window_ms": 500.0, "folds": 5, "repetitions": 5, "resamples": 2_000},
        "paper_accuracy_pct": {"sklearn": 99.97, "user": 99.91, "kernel": 99.60},
        "causes": [{"cause": cause.name} for cause in CAUSES],
        "splits": {"random": split, "grouped": split},
    }


@pytest.fixture(params=[0.01, 1, 3], ids="points × {}".format)
def figure(request: pytest.FixtureRequest) -> Figure:
    return accuracy_causes.draw(study(request.param))


def test_it_is_written_as_vector_and_picture_at_page_width(figure: Figure, tmp_path: Path) -> None:
    style.save(figure, tmp_path / "causes.pdf", tmp_path / "causes.png", note=None)
    pdf = (tmp_path / "causes.pdf").read_bytes()
    assert pdf.startswith(b"%PDF") and b"/Type3" not in pdf
    assert figure.get_size_inches()[0] == style.PAGE_IN


def test_no_text_touches_another_or_the_edge(figure: Figure) -> None:
    figure.draw_without_rendering()
    for axes in figure.axes:
        labels = [label for label in axes.get_xticklabels() if label.get_text() and label.get_visible()]
        assert not any(
            left.get_window_extent().overlaps(right.get_window_extent()) for left, right in pairwise(labels)
        ), [label.get_text() for label in labels]
        for text in axes.texts:
            assert text.get_window_extent().x0 >= axes.get_window_extent().x0, text.get_text()
    titles = [axes.title.get_window_extent() for axes in figure.axes]
    assert not any(left.overlaps(right) for left, right in pairwise(titles))
    assert titles[-1].x1 <= figure.bbox.x1


def test_it_names_every_cause_and_where_the_kernel_stands() -> None:
    said = words(accuracy_causes.draw(study(1)))
    assert all(cause.name in said for cause in CAUSES)
    assert "this project's kernel" in said and "the paper's loss, 0.37" in said
    assert "random split (the paper's) 70.10 and 92.10 %" in said
    assert "0 of 25,000 times" in said and "2,000 draws" in said
