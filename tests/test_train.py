"""The training loop: what it computes, when it ends, and that stopping and going on changes nothing."""

from __future__ import annotations

import io
import json
import math
import os
import re
import signal
import sys
import threading
from itertools import pairwise

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn, optim, train
from minigrad.io import load_checkpoint, save_checkpoint
from minigrad.train import Trainer, clock, every, plot_losses, warmup_cosine


@pytest.fixture
def time(monkeypatch):
    """A clock that goes on by one second whenever it is looked at."""
    now = [100.0]

    def perf_counter():
        now[0] += 1
        return now[0]

    monkeypatch.setattr(train.time, "perf_counter", perf_counter)
    return now


def mean_square(model, batch):
    x, y = batch
    return (model(x) - y).square().mean()


def make(steps=5, lr=0.1, dropout=0.0, **options):
    mg.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Dropout(dropout), nn.Linear(4, 1))
    optimizer = optim.AdamW(model.parameters(), lr=lr, weight_decay=0.1)
    options = {"log": io.StringIO(), **options}
    return Trainer(model, optimizer, mean_square, steps=steps, size=lambda batch: len(batch[0]), **options)


def batches(generator=None, sizes=None):
    generator = generator or mg.Generator().manual_seed(7)
    for size in iter(lambda: 6, None) if sizes is None else sizes:
        x = mg.randn(size, 3, generator=generator)
        yield x, x.sum(1, keepdim=True)


# ----------------------------------------------------------------------------------------------------- the loop


def test_a_step_is_what_one_writes_by_hand():
    trainer = make(steps=4, clip=0.5, schedule=warmup_cosine(0.5))
    trainer.fit(batches())
    by_hand = make(steps=4)
    model, optimizer, stream, losses = by_hand.model, by_hand.optimizer, batches(), []
    for step in range(4):
        for group in optimizer.param_groups:
            group["lr"] = 0.1 * warmup_cosine(0.5)(step / 4)
        optimizer.zero_grad()
        loss = mean_square(model, next(stream))
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 0.5)
        optimizer.step()
        losses.append(loss.item())
    assert trainer.recent == losses and trainer.step == 4
    for mine, theirs in zip(trainer.model.parameters(), model.parameters()):
        np.testing.assert_array_equal(mine.detach().numpy(), theirs.detach().numpy())


def test_groups_keep_their_own_learning_rates():
    trainer = make(steps=2, schedule=lambda progress: 0.25)
    trainer.optimizer.add_param_group({"params": [mg.zeros(1, requires_grad=True)], "lr": 3.0, "initial_lr": 3.0})
    trainer.fit(batches())
    assert [g["lr"] for g in trainer.optimizer.param_groups] == [0.025, 0.75]


def test_it_ends_after_the_steps_or_when_the_batches_do():
    for count, expected in ((3, 3), (9, 5)):
        trainer = make(steps=5)
        trainer.fit(batches(sizes=[2] * count))
        assert trainer.step == expected and trainer.progress == expected / 5


def test_time_ends_it_too_and_the_schedule_goes_by_whichever_is_further(time):
    seen = []
    trainer = make(steps=1000, seconds=20, schedule=lambda progress: seen.append(progress) or 1.0)
    trainer.fit(batches())
    assert trainer.progress == 1 and 20 <= trainer.elapsed <= 23 and trainer.step < 20
    assert seen[0] == 0 and seen == sorted(seen) and 0.8 < seen[-1] < 1
    trainer.elapsed = 10.0
    trainer.step = 900
    assert trainer.progress == 0.9


def test_a_run_takes_its_time_along(time):
    trainer = make(steps=1000, seconds=50)
    trainer.load_state_dict({"step": 4, "elapsed": 40.0, "history": [], "recent": [1.0]})
    trainer.fit(batches())
    assert trainer.step < 12 and trainer.elapsed >= 50


def test_callbacks():
    calls = []
    trainer = make(steps=7, callbacks=[every(3, lambda t: calls.append(t.step)), lambda t: calls.append(-t.step)])
    trainer.fit(batches())
    assert calls == [-1, -2, 3, -3, -4, -5, 6, -6, 7, -7]


def test_a_loss_that_is_no_number_stops_it():
    trainer = make(lr=1e30)
    with pytest.raises(RuntimeError, match=r"the loss became (inf|nan) in step \d; try a lower learning rate"):
        trainer.fit(batches())


def test_evaluate_weighs_batches_by_size_and_neither_drops_nor_records_nor_learns():
    trainer = make(dropout=0.5)
    parts = list(batches(sizes=[5, 2, 3]))
    whole = tuple(mg.cat(column) for column in zip(*parts))
    trainer.model.eval()
    expected = mean_square(trainer.model, whole)
    trainer.model.train()
    weights = [p.detach().clone() for p in trainer.model.parameters()]
    recorded = []
    trainer.loss = lambda model, batch: recorded.append(mg.is_grad_enabled()) or mean_square(model, batch)
    assert math.isclose(trainer.evaluate(parts), expected.item(), rel_tol=1e-6)
    assert trainer.model.training and recorded == [False] * 3
    assert all(p.grad is None and mg.equal(p, w) for p, w in zip(trainer.model.parameters(), weights))
    with pytest.raises(ValueError, match="there are no batches"):
        trainer.evaluate([])


def test_history():
    trainer = make(steps=5)
    trainer.record(validation=9.0)
    losses = []
    trainer.callbacks = [lambda t: losses.append(t.recent[-1]), every(2, lambda t: t.record())]
    trainer.fit(batches())
    trainer.record(validation=3.0)
    entries = [{k: v for k, v in entry.items() if k != "seconds"} for entry in trainer.history]
    assert entries == [
        {"step": 0, "validation": 9.0},
        {"step": 2, "train": sum(losses[:2]) / 2},
        {"step": 4, "train": sum(losses[2:4]) / 2},
        {"step": 5, "train": losses[4], "validation": 3.0},
    ]


# --------------------------------------------------------------------------------------- stopping and going on


@pytest.mark.parametrize("n", [1, 4, 9])
def test_n_steps_a_checkpoint_and_m_steps_are_n_plus_m_steps_bit_for_bit(tmp_path, n):
    def fresh(seed):
        trainer = make(steps=12, dropout=0.3, clip=1.0, schedule=warmup_cosine(0.3))
        trainer.callbacks = [every(4, lambda t: t.record())]
        mg.manual_seed(seed)
        return trainer, mg.Generator().manual_seed(seed)

    through, generator = fresh(11)
    through.fit(batches(generator))

    first, generator = fresh(11)
    first.fit(batch for _, batch in zip(range(n), batches(generator)))
    save_checkpoint(
        tmp_path, model=first.model.state_dict(), optimizer=first.optimizer.state_dict(), step=first.step,
        trainer=first.state_dict(), random=[generator.get_state(), mg.default_generator().get_state()],
    )
    del first, generator
    checkpoint = load_checkpoint(tmp_path)
    second, generator = fresh(99)  # with other weights and random numbers
    second.model.load_state_dict(checkpoint.model)
    second.optimizer.load_state_dict(checkpoint.optimizer)
    second.load_state_dict(checkpoint.info["trainer"])
    generator.set_state(checkpoint.info["random"][0])
    mg.default_generator().set_state(checkpoint.info["random"][1])
    second.fit(batches(generator))

    assert second.step == 12
    for a, b in zip(second.model.parameters(), through.model.parameters()):
        assert a.detach().numpy().tobytes() == b.detach().numpy().tobytes()
    strip = lambda history: [{k: v for k, v in entry.items() if k != "seconds"} for entry in history]
    assert strip(second.history) == strip(through.history)
    assert json.dumps(second.optimizer.state_dict()["param_groups"]) == json.dumps(
        through.optimizer.state_dict()["param_groups"]
    )


def interrupt(trainer):
    if trainer.step == 2:
        os.kill(os.getpid(), signal.SIGINT)


def test_ctrl_c_ends_it_after_the_step():
    before = signal.getsignal(signal.SIGINT)
    later = []
    trainer = make(steps=9, callbacks=[interrupt, lambda t: later.append(t.step)])
    trainer.fit(batches())
    assert trainer.interrupted and trainer.step == 2 and later == [1, 2], "the step in progress is finished"
    assert signal.getsignal(signal.SIGINT) is before
    trainer.fit(batches())
    assert not trainer.interrupted and trainer.step == 9


def test_ctrl_c_twice_ends_it_at_once():
    later = []
    trainer = make(steps=9, callbacks=[interrupt, interrupt, lambda t: later.append(t.step)])
    with pytest.raises(KeyboardInterrupt):
        trainer.fit(batches())
    assert later == [1]


def test_other_threads_train_too():
    trainer = make(steps=3)
    thread = threading.Thread(target=trainer.fit, args=[batches()])
    thread.start()
    thread.join()
    assert trainer.step == 3


# --------------------------------------------------------------------------------------------------- schedule


def test_warmup_cosine():
    schedule = warmup_cosine(0.2, 0.1)
    up = [schedule(p) for p in np.linspace(0.01, 0.19, 9)]
    np.testing.assert_allclose(np.diff(up), np.diff(up)[0])
    assert 0 < schedule(0) <= 0.01 and schedule(0.2) == 1
    for p in np.linspace(0.2, 1, 9):
        assert math.isclose(schedule(p), 0.1 + 0.9 * math.cos(math.pi / 2 * (p - 0.2) / 0.8) ** 2)


# -------------------------------------------------------------------------------------------------- what one sees

LINE = re.compile(r"step \d+/12  loss \d\.\d{3}  [\d,]+ samples/s  \d+:\d\d left$")


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_lines_where_there_is_no_terminal(time):
    trainer = make(steps=12)
    trainer.fit(batches())
    lines = trainer.log.getvalue().splitlines()
    assert all(LINE.match(line) for line in lines) and 2 <= len(lines) <= 5
    assert lines[-1].startswith("step 12/12") and lines[-1].endswith("0:00 left")


def test_time_left_goes_by_the_progress(time):
    trainer = make(steps=12, seconds=1000)
    trainer.step, trainer.elapsed, trainer.shown = 3, 30.0, 1.0
    line = train._ProgressLine(trainer)
    assert line.text().endswith("  1:30 left")
    trainer.seconds = 60
    assert line.text().endswith("  0:30 left")


def test_a_bar_on_a_terminal():
    pytest.importorskip("tqdm")
    trainer = make(steps=12, log=Terminal())
    trainer.fit(batches())
    last = trainer.log.getvalue().split("\r")[-1].strip()
    bar, _, text = last.partition(" ")
    assert set(bar) <= {"█", "#"} and LINE.match(text) and text.startswith("step 12/12")


def test_lines_on_a_terminal_without_tqdm(monkeypatch):
    monkeypatch.setitem(sys.modules, "tqdm", None)
    trainer = make(steps=12, log=Terminal())
    trainer.fit(batches())
    assert LINE.match(trainer.log.getvalue().splitlines()[-1])


def test_clock():
    assert [clock(s) for s in (0, 9.4, 59.6, 125, 3661)] == ["0:00", "0:09", "1:00", "2:05", "61:01"]


# ------------------------------------------------------------------------------------------------------ the picture

HISTORY = [{"step": 0, "validation": 4.4}]
for _step in range(20, 1001, 20):
    HISTORY.append({"step": _step, "train": 1.8 + 2 * math.exp(-_step / 200)})
    if _step % 100 == 0:
        HISTORY[-1]["validation"] = HISTORY[-1]["train"] + 0.1
BASELINES = {"unigram": 3.31, "bigram": 2.53, "trigram": 2.09}


@pytest.fixture
def axes(monkeypatch):
    """What is drawn, as matplotlib knows it."""
    figure = pytest.importorskip("matplotlib.figure")
    drawn = []
    original = figure.Figure.add_subplot
    monkeypatch.setattr(figure.Figure, "add_subplot", lambda *a, **k: drawn.append(original(*a, **k)) or drawn[0])
    return drawn


def test_the_picture_has_both_curves_and_every_baseline(tmp_path, axes):
    path = tmp_path / "losses.png"
    plot_losses(HISTORY, BASELINES, path, "A title")
    assert path.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n" and path.stat().st_size > 20_000
    (axis,) = axes
    curves = [line for line in axis.lines if len(line.get_xdata()) > 2]
    assert [len(line.get_xdata()) for line in curves] == [50, 11]
    np.testing.assert_allclose(curves[1].get_ydata(), [e["validation"] for e in HISTORY if "validation" in e])
    levels = sorted(line.get_ydata()[0] for line in axis.lines if len(line.get_xdata()) == 2)
    assert levels == [2.09, 2.53, 3.31]
    assert axis.get_title(loc="left") == "A title" and "nats" in axis.get_ylabel()
    texts = [text.get_text() for text in axis.texts]
    assert texts == ["unigram 3.31", "bigram 2.53", "trigram 2.09", "validation 1.91", "training 1.81"]


def test_labels_do_not_overlap_even_where_lines_end_close_together(tmp_path, axes):
    plot_losses(HISTORY, {"unigram": 1.9, "bigram": 1.91, "trigram": 1.92}, tmp_path / "x.png", "")
    (axis,) = axes
    boxes = sorted((text.get_window_extent() for text in axis.texts), key=lambda box: box.y0)
    assert len(boxes) == 5 and all(low.y1 <= high.y0 + 1 for low, high in pairwise(boxes))


def test_without_matplotlib(tmp_path, monkeypatch):
    monkeypatch.delitem(sys.modules, "matplotlib.figure", raising=False)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ModuleNotFoundError, match=r"matplotlib.*not installed: pip install 'minigrad\[train\]'"):
        plot_losses(HISTORY, BASELINES, tmp_path / "x.png", "")
