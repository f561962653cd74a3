"""Figures: their content, axes, and independence of global state."""

import sys
import warnings

import numpy as np
import pytest

from voiceclone.errors import VoicecloneError
from voiceclone.plotting.plots import (
    BORROWED,
    figure_to_rgb,
    loss_figure,
    loss_terms,
    mel_figure,
    save_figure,
    training_figure,
)
from voiceclone.projection.likeness import ReferenceLevels

HISTORY = [
    {"epoch": 1, "train/loss": 9.0, "train/mel_mse": 2.0, "val/loss": 8.0, "val/mel_mse": 2.5, "train/lr": 1e-3},
    {"epoch": 2, "train/loss": 3.0, "train/mel_mse": 1.5, "val/loss": 2.0, "val/mel_mse": 2.0, "train/lr": 1e-3},
    {"epoch": 3, "train/loss": 0.5, "train/mel_mse": 1.4, "val/loss": 4.0, "val/mel_mse": float("nan")},
]


def mel(frames: int, level: float = 0.0) -> np.ndarray:
    return (np.linspace(-1, 2, 80 * frames).reshape(80, frames) + level).astype(np.float32)


def panels(figure) -> dict:
    found = {}
    for axes in figure.axes + [a for sub in figure.subfigs for a in sub.axes]:
        found[axes.get_title()] = axes
    return found


def test_a_panel_for_each_term_with_train_and_validation():
    axes = panels(training_figure(HISTORY, mel(80), mel(40), "v"))
    assert {"loss (total), log scale", "mel_mse", "target (1.00 s)", "clone (0.50 s)"} <= set(axes)
    assert "lr" not in " ".join(axes)
    total = axes["loss (total), log scale"]
    assert total.get_yscale() == "log" and axes["mel_mse"].get_yscale() == "linear"
    train, validation = total.get_lines()
    assert list(train.get_ydata()) == [9.0, 3.0, 0.5]
    assert list(validation.get_xdata()) == [1, 2, 3]
    # A non-finite value leaves a gap, not a zero.
    assert list(axes["mel_mse"].get_lines()[1].get_ydata()) == [2.5, 2.0]


def test_legend_names_only_what_is_drawn():
    figure = training_figure([{"train/loss": 1.0}, {"train/loss": 0.5}], mel(80), mel(80), "v")
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["training"]


def test_epochs_on_the_student_are_shaded_and_not_compared_with_the_bases_levels():
    reference_levels = ReferenceLevels(measure="loss", levels={"best_stock": 5.0})
    figure = training_figure(HISTORY, mel(80), mel(80), "v", reference_levels=reference_levels, student_epochs=2)
    top = figure.subfigs[0].axes[0]
    assert list(top.get_lines()[0].get_xdata()) == [3]
    assert top.get_title(loc="left").endswith("Yes: 4.00 against 5.00")
    assert [text.get_text() for text in figure.legends[0].get_texts()][0] == "on nano"
    assert len(panels(figure)["mel_mse"].patches) == 1
    assert not panels(training_figure(HISTORY, mel(80), mel(80), "v"))["mel_mse"].patches


def test_better_than_stock_stands_on_top():
    levels = {"best_stock": 0.6, "initialization": 0.5, "recordings": 0.9}
    reference_levels = ReferenceLevels(measure="likeness", levels=levels, stock_name="af_$1", encoder="resemblyzer")
    history = [{**row, "val/speaker": speaker} for row, speaker in zip(HISTORY, (0.45, 0.3, float("nan")))]
    figure = training_figure(history, mel(80), mel(80), "v", reference_levels=reference_levels)
    top = figure.subfigs[0].axes[0]
    assert top.get_title(loc="left") == "Better than a stock voice yet? Yes: 0.70 against 0.60"
    clone, *flat = top.get_lines()
    assert list(clone.get_xdata()) == [0, 1, 2] and list(clone.get_ydata()) == pytest.approx([0.5, 0.55, 0.7])
    assert [line.get_ydata()[0] for line in flat[:3]] == [0.6, 0.5, 0.9]
    assert "the training's own encoder" in top.get_xlabel()
    assert figure_to_rgb(figure).std() > 0
    early = training_figure(history[:1], mel(80), mel(80), "v", reference_levels=reference_levels)
    assert early.subfigs[0].axes[0].get_title(loc="left").endswith("Not yet: 0.55 against 0.60")


def test_without_an_encoder_the_loss_is_drawn_and_less_is_better():
    reference_levels = ReferenceLevels(measure="loss", levels={"best_stock": 5.0, "initialization": 9.0})
    top = training_figure(HISTORY, mel(80), mel(80), "v", reference_levels=reference_levels).subfigs[0].axes[0]
    assert top.get_title(loc="left").endswith("Yes: 4.00 against 5.00") and "lower is better" in top.get_xlabel()
    bare = training_figure([], mel(80), mel(80), "v", reference_levels=ReferenceLevels(measure="loss", levels={}))
    assert figure_to_rgb(bare).std() > 0


def test_mel_figures_say_that_prosody_is_the_recordings():
    assert mel_figure(mel(80), mel(80)).get_supxlabel() == BORROWED
    assert training_figure(HISTORY, mel(80), mel(80), "v").subfigs[-1].get_supxlabel() == BORROWED


def test_both_mels_share_colours_and_time():
    target, clone = (axes for name, axes in panels(mel_figure(mel(80), mel(40, 3.0))).items() if name)
    assert target.images[0].get_clim() == clone.images[0].get_clim()
    low, high = target.images[0].get_clim()
    assert low < -0.9 and high > 4.5
    assert target.get_xlim() == clone.get_xlim() == (0, 1.0)
    assert list(clone.images[0].get_extent()) == [0, 0.5, 0, 80]
    assert target.get_xlabel() == "time (s)" and target.get_ylabel() == "mel channel"


def test_loss_figure_draws_each_curve_in_order_of_steps():
    losses = [(2, 3.0, "training"), (1, 9.0, "training"), (2, 0.5, "validation")]
    axes = loss_figure(losses).axes[0]
    training, validation = axes.get_lines()
    assert list(training.get_xdata()) == [1, 2] and list(training.get_ydata()) == [9.0, 3.0]
    assert list(validation.get_ydata()) == [0.5] and axes.get_yscale() == "log"
    assert figure_to_rgb(loss_figure([])).shape[2] == 3


def test_terms_are_those_with_a_finite_value():
    assert loss_terms(HISTORY) == ["loss", "mel_mse"]
    assert loss_terms([{"train/f0": 1.0, "val/loss": float("inf")}]) == ["f0"]


@pytest.mark.parametrize("history", [[], HISTORY[:1], [{"epoch": 1, "train/loss": 0.0}] * 3, [{"x": 1}]])
def test_unusual_histories_are_drawn(history):
    assert figure_to_rgb(training_figure(history, mel(3), mel(2), "v")).std() > 0


@pytest.mark.parametrize("values", [np.full((80, 10), np.nan), np.zeros((80, 10)), np.full((80, 10), -np.inf)])
def test_unusual_mels_are_drawn(values):
    assert figure_to_rgb(mel_figure(values, mel(10))).shape[2] == 3


@pytest.mark.parametrize(
    ("title", "shown"),
    [("cost $1 and $", "cost $1 and $"), ("声", "声"), ("x" * 300, "x" * 79 + "…")],
    ids=["dollars", "no glyph", "long"],
)
def test_titles_are_taken_literally_and_in_silence(title, shown, tmp_path):
    figure = training_figure(HISTORY, mel(80), mel(80), title)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        save_figure(figure, tmp_path / "a.png")
    assert figure.get_suptitle() == shown and not figure._suptitle.get_parse_math()
    without = training_figure(HISTORY, mel(80), mel(80), " ")
    assert (figure_to_rgb(figure) != figure_to_rgb(without)).any()  # it is drawn


def test_rgb_is_the_picture():
    rgb = figure_to_rgb(mel_figure(mel(80), mel(80)))
    assert rgb.dtype == np.uint8 and rgb.ndim == 3 and rgb.shape[2] == 3
    assert rgb.flags.c_contiguous
    assert (rgb[0, 0] == 255).all()  # the white margin


def test_save_writes_a_whole_png_and_nothing_else(tmp_path):
    save_figure(mel_figure(mel(80), mel(80)), tmp_path / "training.png")
    assert [path.name for path in tmp_path.iterdir()] == ["training.png"]
    assert (tmp_path / "training.png").read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
    blocked = tmp_path / "training.png" / "below.png"
    with pytest.raises(VoicecloneError, match="cannot write"):
        save_figure(mel_figure(mel(80), mel(80)), blocked)


def test_pyplot_holds_no_figure():
    training_figure(HISTORY, mel(80), mel(80), "v")
    pyplot = sys.modules.get("matplotlib.pyplot")
    assert pyplot is None or pyplot.get_fignums() == []
