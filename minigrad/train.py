"""The training loop, its schedule, its progress line, and the picture of how it went.

    trainer = Trainer(model, optimizer, loss, steps=2000, seconds=180)
    trainer.fit(batches)

A run ends after so many steps or so many seconds, whichever comes first. How far it is on that way is one number from
0 to 1, and the learning rate follows that number: on a slow machine it decays to its end just as on a fast one.
"""

from __future__ import annotations

import math
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TextIO

from .autograd import no_grad
from .nn.utils import clip_grad_norm_
from .tensor import Tensor
from .utils import require


def warmup_cosine(warmup: float = 0.05, floor: float = 0.1) -> Callable[[float], float]:
    """A schedule: from near 0 up in a straight line, then down along half a cosine.

    Args:
        warmup: the part of the run that goes up.
        floor: where it ends, relative to the top.

    Returns:
        A function of the progress from 0 to 1 that gives a factor for the learning rate.

    >>> schedule = warmup_cosine(0.2, 0.1)
    >>> [round(schedule(p), 3) for p in (0.1, 0.2, 0.6, 1.0)]
    [0.5, 1.0, 0.55, 0.1]
    """

    def factor(progress: float) -> float:
        if progress < warmup:
            return max(progress / warmup, 0.01)
        way = (progress - warmup) / (1 - warmup)
        return floor + (1 - floor) * (1 + math.cos(math.pi * way)) / 2

    return factor


class Trainer:
    """Trains a model: forward, backward, clip, step, again and again.

    Args:
        model: a Module.
        optimizer: over its parameters.
        loss: function of the model and a batch that gives the mean loss as a scalar Tensor.
        steps: train for at most so many steps.
        seconds: and at most so long, evaluation included; no limit if None.
        schedule: function of the progress from 0 to 1 that gives a factor for each learning rate; constant if None.
        clip: largest norm of all gradients together; not clipped if None.
        callbacks: functions of the Trainer, called after every step; see `every`.
        size: function of a batch that says how many `unit`s it holds.
        unit: what is counted, as the progress line calls it.
        log: where the progress line goes; stderr if None.

    Attributes:
        step, elapsed: how many steps were done, and in how many seconds.
        history: dicts with step, seconds and whatever a callback records.
        interrupted: whether Ctrl-C was pressed; the step in progress was still finished.

    >>> from minigrad import nn, optim, tensor
    >>> model, x = nn.Linear(1, 1), tensor([[-1.0], [2.0]])
    >>> optimizer = optim.SGD(model.parameters(), lr=0.1)
    >>> trainer = Trainer(model, optimizer, lambda model, x: (model(x) - 3 * x).square().mean(), steps=100)
    >>> trainer.fit(x for _ in range(100)); round(model(tensor([[5.0]])).item(), 2)
    15.0
    """

    def __init__(
        self,
        model: Any,
        optimizer: Any,
        loss: Callable[[Any, Any], Tensor],
        *,
        steps: int,
        seconds: float | None = None,
        schedule: Callable[[float], float] | None = None,
        clip: float | None = None,
        callbacks: Sequence[Callable[[Trainer], Any]] = (),
        size: Callable[[Any], int] = len,
        unit: str = "samples",
        log: TextIO | None = None,
    ) -> None:
        self.model, self.optimizer, self.loss = model, optimizer, loss
        self.steps, self.seconds = steps, seconds
        self.schedule, self.clip = schedule, clip
        self.callbacks = list(callbacks)
        self.size, self.unit, self.log = size, unit, log
        self.step, self.elapsed = 0, 0.0
        self.history: list[dict[str, float]] = []
        self.interrupted = False
        self.recent: list[float] = []  # training losses since the last entry of the history
        self.shown = math.nan  # the training loss, smoothed, for the progress line
        self.speed = 0.0  # units per second
        for group in optimizer.param_groups:
            group.setdefault("initial_lr", group["lr"])

    # ------------------------------------------------------------------------------------------------- the loop

    @property
    def progress(self) -> float:
        """How far the run is, from 0 to 1: by steps or by time, whichever is further."""
        by_time = self.elapsed / self.seconds if self.seconds else 0.0
        return min(1.0, max(self.step / self.steps, by_time))

    def fit(self, batches: Iterable[Any]) -> None:
        """Train until the steps or the time are used up, the batches end, or Ctrl-C is pressed.

        Args:
            batches: whatever `loss` understands.

        Raises:
            RuntimeError: the loss is no longer a finite number.
        """
        seen, start = 0, time.perf_counter() - self.elapsed
        before, stream = self.elapsed, iter(batches)
        self.model.train()
        with _ProgressLine(self) as line, self._finish_step_on_ctrl_c():
            while self.progress < 1 and not self.interrupted:
                try:
                    batch = next(stream)
                except StopIteration:
                    break
                self.train_step(batch)
                seen += self.size(batch)
                self.elapsed = time.perf_counter() - start
                self.speed = seen / max(self.elapsed - before, 1e-9)
                for callback in self.callbacks:
                    callback(self)
                self.elapsed = time.perf_counter() - start
                line.update()

    def train_step(self, batch: Any) -> None:
        """One step: the gradient of the loss on a batch, and the optimizer's step along it."""
        if self.schedule is not None:
            factor = self.schedule(self.progress)
            for group in self.optimizer.param_groups:
                group["lr"] = group["initial_lr"] * factor
        self.optimizer.zero_grad()
        loss = self.loss(self.model, batch)
        loss.backward()
        if self.clip is not None:
            clip_grad_norm_(self.model.parameters(), self.clip)
        self.optimizer.step()
        self.step += 1
        value = loss.item()
        if not math.isfinite(value):
            raise RuntimeError(f"the loss became {value} in step {self.step}; try a lower learning rate")
        self.recent.append(value)
        self.shown = value if math.isnan(self.shown) else 0.95 * self.shown + 0.05 * value

    @no_grad()
    def evaluate(self, batches: Iterable[Any]) -> float:
        """Mean loss over batches, each counted by its size, without dropout and without learning."""
        training, total, count = self.model.training, 0.0, 0
        self.model.eval()
        try:
            for batch in batches:
                n = self.size(batch)
                total += n * self.loss(self.model, batch).item()
                count += n
        finally:
            self.model.train(training)
        if count == 0:
            raise ValueError("evaluate: there are no batches to evaluate on")
        return total / count

    def record(self, **values: float) -> None:
        """Note in the history what is passed, and the mean training loss since it was last noted."""
        if not self.history or self.history[-1]["step"] != self.step:
            self.history.append({"step": self.step, "seconds": round(self.elapsed, 3)})
        if self.recent:
            self.history[-1]["train"] = sum(self.recent) / len(self.recent)
        self.history[-1].update(values)
        self.recent = []

    def state_dict(self) -> dict[str, Any]:
        """Where the run stands, fit for JSON; model, optimizer and random numbers are saved apart."""
        return {"step": self.step, "elapsed": self.elapsed, "history": self.history, "recent": self.recent}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from where `state_dict` was called."""
        self.step, self.elapsed = int(state["step"]), float(state["elapsed"])
        self.history, self.recent = list(state["history"]), list(state["recent"])

    @contextmanager
    def _finish_step_on_ctrl_c(self) -> Iterator[None]:
        """Ctrl-C ends the loop after the step in progress, so that what is saved is whole; twice stops at once."""

        def stop(*_: Any) -> None:
            if self.interrupted:
                raise KeyboardInterrupt
            self.interrupted = True

        if threading.current_thread() is not threading.main_thread():
            yield  # only the main thread gets signals
            return
        self.interrupted = False
        before = signal.signal(signal.SIGINT, stop)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)


def every(steps: int, callback: Callable[[Trainer], Any]) -> Callable[[Trainer], None]:
    """A callback that runs another one every so many steps only, and after the last."""

    def call(trainer: Trainer) -> None:
        if trainer.step % steps == 0 or trainer.progress >= 1:
            callback(trainer)

    return call


# -------------------------------------------------------------------------------------------------- progress line


class _ProgressLine:
    """Loss, speed and time left: a bar by tqdm on a terminal, else a line every ten seconds."""

    SECONDS = 10

    def __init__(self, trainer: Trainer) -> None:
        self.trainer = trainer
        self.log = sys.stderr if trainer.log is None else trainer.log
        self.bar: Any = None
        self.printed = -math.inf
        if self.log.isatty():
            try:
                from tqdm import tqdm
            except ImportError:
                return
            columns = shutil.get_terminal_size().columns
            look = {"bar_format": "{bar:24} {desc}", "ncols": columns, "initial": trainer.progress}
            self.bar = tqdm(total=1.0, file=self.log, **look)

    def __enter__(self) -> _ProgressLine:
        return self

    def __exit__(self, *error: Any) -> None:
        if self.bar is not None:
            self.bar.close()

    def update(self) -> None:
        trainer = self.trainer
        if self.bar is not None:
            self.bar.set_description_str(self.text(), refresh=False)
            self.bar.update(trainer.progress - self.bar.n)
        elif trainer.progress >= 1 or trainer.elapsed - self.printed >= self.SECONDS:
            self.printed = trainer.elapsed
            print(self.text(), file=self.log, flush=True)

    def text(self) -> str:
        trainer = self.trainer
        left = trainer.elapsed * (1 / trainer.progress - 1)
        return (
            f"step {trainer.step:,}/{trainer.steps:,}  loss {trainer.shown:.3f}  "
            f"{trainer.speed:,.0f} {trainer.unit}/s  {clock(left)} left"
        )


def clock(seconds: float) -> str:
    """Minutes and seconds.

    >>> clock(83.2)
    '1:23'
    """
    minutes, seconds = divmod(round(seconds), 60)
    return f"{minutes}:{seconds:02}"


# ------------------------------------------------------------------------------------------------------- picture


def plot_losses(history: Sequence[dict[str, float]], baselines: dict[str, float], path: Any, title: str) -> None:
    """Draw the training and the validation loss over the steps, with baselines as level lines, into a file.

    Args:
        history: entries with step, train and, some of them, validation.
        baselines: name -> loss.
        path: of the picture; its ending says which format.
        title: what was trained.

    Raises:
        ModuleNotFoundError: the package matplotlib is not installed.
    """
    figure = require("matplotlib.figure", "train").Figure(figsize=(8, 4.5), dpi=160, layout="constrained")
    axes = figure.add_subplot()
    labels = []
    for key, name, color, width in CURVES:
        points = [(entry["step"], entry[key]) for entry in history if key in entry]
        if points:
            axes.plot(*zip(*points), color=color, lw=width, solid_capstyle="round", clip_on=False)
            labels.append((points[-1][1], name, color))
    for name, value in baselines.items():
        axes.axhline(value, color=GREY, lw=0.8, ls=(0, (5, 4)), zorder=0)
        labels.append((value, name, GREY))
    axes.set_title(title, loc="left", fontsize=13, pad=14, color=INK)
    axes.set_xlabel("training step", color=INK)
    axes.set_ylabel("loss, nats per character", color=INK)
    axes.set_xlim(0, max(1, *(entry["step"] for entry in history)))
    axes.locator_params(nbins=6)
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.tick_params(color=LINE, labelcolor=INK)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(LINE)
    _label_at_right(axes, labels)
    figure.savefig(path)


INK, GREY, LINE = "#333333", "#6f6f6f", "#b5b5b5"
CURVES = [  # key in the history, name, color, width of the line
    ("train", "training", "#d9822b", 1.1),
    ("validation", "validation", "#1b5e9b", 2.2),
]


def _label_at_right(axes: Any, labels: list[tuple[float, str, str]]) -> None:
    """Write each line's name and last value beside its end, pushed down where they would overlap."""
    low, high = axes.get_ylim()
    room = (high - low) * 0.055
    y = math.inf
    for value, name, color in sorted(labels, reverse=True):
        y = min(value, y - room)
        axes.annotate(
            f"{name} {value:.2f}", (1, y), xytext=(8, 0), color=color, va="center", annotation_clip=False,
            xycoords=("axes fraction", "data"), textcoords="offset points",
        )
