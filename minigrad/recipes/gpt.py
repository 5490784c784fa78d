"""Train a small GPT to write like Shakespeare, in three minutes on a laptop: `minigrad train gpt`.

Read the class Run: it is the whole story. What stands above it are its parts; what stands below lets the trained model
write, and reads the options of the command line.
"""

from __future__ import annotations

import argparse
import hashlib
import shlex
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import minigrad as mg

from ..datasets import CharTokenizer, load_text, ngram_losses, resolve, split
from ..io import Checkpoint, CheckpointError, load_checkpoint, save_checkpoint
from ..models.gpt import GPT, GPTConfig
from ..tensor import Tensor
from ..train import Trainer, clock, plot_losses, warmup_cosine
from ..utils import blas_threads, require
from . import number

HELP = "a small GPT on the characters of a text"
TITLES = {"shakespeare": "Shakespeare", "pydoc": "what Python's help() says"}
Batch = tuple[Tensor, Tensor]


@dataclass
class Settings:
    """All that a run depends on; each is an option of the command line."""

    data: str = "auto"
    steps: int = 2000
    minutes: float = 3.0
    batch_size: int = 8
    layers: int = 4
    heads: int = 4
    width: int = 128
    context: int = 64
    lr: float = 4e-3
    dropout: float = 0.0
    seed: int = 1


# ------------------------------------------------------------------------------------------------------ the parts


def random_batches(text: Tensor, size: int, context: int) -> Iterator[Batch]:
    """Windows of the text from random places; the targets are the same windows one character later."""
    while True:
        starts = mg.randint(len(text) - context, (size, 1))
        places = (starts + mg.arange(context)).to(text.device)
        yield text[places], text[places + 1]


def all_batches(text: Tensor, context: int, windows: int | None = None) -> list[Batch]:
    """Windows side by side, in which each character is predicted once; or only some of them, evenly spread."""
    count = (len(text) - 1) // context
    inputs = text[: count * context].view(count, context)
    targets = text[1 : count * context + 1].view(count, context)
    if windows is not None and windows < count:
        chosen = mg.linspace(0, count - 1, windows, device=text.device).long()
        inputs, targets = inputs[chosen], targets[chosen]
    return list(zip(inputs.split(64), targets.split(64)))


def loss(model: GPT, batch: Batch) -> Tensor:
    """Mean surprise at the next character, in nats."""
    return model(*batch)[1]  # type: ignore[return-value]


def characters(batch: Batch) -> int:
    """How many characters a batch teaches."""
    return batch[0].numel()


# ------------------------------------------------------------------------------------------------------ the story


class Run:
    """A training run: all it consists of, so that one that was stopped can go on as if it had not been.

    Args:
        settings: see `Settings`.
        folder: where the checkpoint and the picture go.
        device: "cpu" or "cuda".

    Raises:
        ValueError: the text is too short, or sizes do not fit together.
    """

    def __init__(self, settings: Settings, folder: Path, device: str = "cpu") -> None:
        self.settings, self.folder, self.device = settings, folder, device
        mg.manual_seed(settings.seed)

        # The text: nine tenths to learn from, the last tenth to test on.
        text = load_text(settings.data)
        self.fingerprint = hashlib.sha256(text.encode()).hexdigest()
        self.tokenizer = CharTokenizer.from_text(text)
        self.learn, self.test = split(mg.tensor(self.tokenizer.encode(text), device=device))
        if len(self.test) <= settings.context:
            raise ValueError(
                f"data: {len(text):,} characters are too few for a context of {settings.context}, since a tenth of "
                "them is for testing; take a longer text or a smaller --context"
            )
        self.glance = all_batches(self.test, settings.context, windows=128)

        # The model, and how it learns.
        self.config = GPTConfig(
            len(self.tokenizer), settings.context, settings.layers, settings.heads, settings.width, settings.dropout
        )
        self.model = GPT(self.config)
        self.model.to(device)
        self.optimizer = self.model.configure_optimizer(settings.lr)
        self.trainer = Trainer(
            self.model, self.optimizer, loss, steps=settings.steps, seconds=60 * settings.minutes,
            schedule=warmup_cosine(), clip=1.0, callbacks=[self.watch], size=characters, unit="characters",
        )

    def train(self) -> bool:
        """Train and save; returns False if Ctrl-C ended it early."""
        settings, trainer = self.settings, self.trainer
        print(
            f"{self.model.num_parameters():,} parameters learn {settings.data} on {self.device}: {len(self.learn):,} "
            f"characters, {len(self.tokenizer)} different ones"
        )
        if trainer.step == 0:
            trainer.record(validation=trainer.evaluate(self.glance))
        trainer.fit(random_batches(self.learn, settings.batch_size, settings.context))
        self.save()
        return not trainer.interrupted

    def watch(self, trainer: Trainer) -> None:
        """After every step: now and then note the loss, look at some of the test text, save."""
        often, seldom = max(1, self.settings.steps // 100), max(1, self.settings.steps // 20)
        if trainer.step % seldom == 0 or trainer.step in range(0, seldom, often):  # in the beginning it falls fast
            trainer.record(validation=trainer.evaluate(self.glance))
            self.save()
        elif trainer.step % often == 0:
            trainer.record()

    def save(self) -> Path:
        """Save everything; returns the path of the checkpoint."""
        return save_checkpoint(
            self.folder, model=self.model.state_dict(), optimizer=self.optimizer.state_dict(), step=self.trainer.step,
            recipe="gpt", settings=asdict(self.settings), config=asdict(self.config), text=self.fingerprint,
            tokenizer=self.tokenizer.to_dict(), trainer=self.trainer.state_dict(),
            random=mg.default_generator().get_state(),
        )

    def restore(self, checkpoint: Checkpoint) -> None:
        """Become the run that was saved."""
        if checkpoint.info["text"] != self.fingerprint:
            raise ValueError(f"data {self.settings.data!r} is not the text that it was trained on")
        if checkpoint.optimizer is None:
            raise ValueError("it has no optimizer in it")
        self.model.load_state_dict(checkpoint.model)
        self.optimizer.load_state_dict(checkpoint.optimizer)
        self.trainer.load_state_dict(checkpoint.info["trainer"])
        mg.default_generator().set_state(checkpoint.info["random"])
        if self.trainer.progress >= 1:
            raise ValueError(
                f"it ended in step {self.trainer.step} of {self.settings.steps} after {clock(self.trainer.elapsed)} of "
                f"{clock(60 * self.settings.minutes)} minutes; raise --steps or --minutes"
            )

    def report(self) -> None:
        """Say how good it is: it has to beat counting which character follows the last one or two."""
        trainer = self.trainer
        print(f"{trainer.step:,} steps in {clock(trainer.elapsed)}. Loss on unseen text, in nats per character:\n")
        losses = ngram_losses(self.learn.cpu(), self.test.cpu(), len(self.tokenizer))
        baselines = dict(zip(["unigram", "bigram", "trigram"], losses))
        result = trainer.evaluate(all_batches(self.test, self.settings.context))
        trainer.record(validation=result)
        for name, value in {**baselines, "GPT": result}.items():
            print(f"  {name:9}{value:.3f}")
        print("\nIt writes:\n")
        print("".join(write(self.model, self.tokenizer, "\n", 400, seed=self.settings.seed)).strip())
        picture = self.folder / "losses.png"
        what = TITLES.get(self.settings.data, Path(self.settings.data).name)
        title = f"A GPT of {self.model.num_parameters():,} parameters learns {what}"
        plot_losses(trainer.history, baselines, picture, title)
        print(f"\ncheckpoint  {self.save()}\npicture     {picture}")
        print(f"let it write more: minigrad generate {shlex.quote(str(self.folder))}")


def write(
    model: GPT,
    tokenizer: CharTokenizer,
    prompt: str = "",
    length: int = 500,
    temperature: float = 0.8,
    top_k: int | None = None,
    seed: int | None = None,
) -> Iterator[str]:
    """A prompt and its continuation, character by character.

    Args:
        model, tokenizer: what `load_model` returns.
        prompt: how the text begins.
        length: how many characters to add.
        temperature, top_k: see `GPT.generate`.
        seed: of the random numbers; None for other ones each time.
    """
    where = model.token_embedding.weight.device
    generator = mg.Generator(where)
    if seed is not None:
        generator.manual_seed(seed)
    start = tokenizer.encode(prompt) if prompt else [0]
    model.eval()
    yield prompt
    for token in model.stream(mg.tensor([start], device=where), length, temperature, top_k, generator):
        yield tokenizer.decode(token[0].cpu())


def load_model(checkpoint: Checkpoint, device: str = "cpu") -> tuple[GPT, CharTokenizer]:
    """The model and the tokenizer of a checkpoint.

    Raises:
        CheckpointError: it is not one of this recipe.
    """

    def build(checkpoint: Checkpoint) -> tuple[GPT, CharTokenizer]:
        model = GPT(GPTConfig(**checkpoint.info["config"]))
        model.load_state_dict(checkpoint.model)
        model.to(device)
        return model, CharTokenizer.from_dict(checkpoint.info["tokenizer"])

    return _fitting(checkpoint, build)


# ------------------------------------------------------------------------------------------------ the command line

OPTIONS: list[tuple[str, Any, str]] = [
    ("data", str, "auto (Shakespeare if installed, else pydoc), shakespeare, pydoc, or a text file"),
    ("steps", number(int, 1), "train for at most so many steps"),
    ("minutes", number(float, 0, above=True), "and at most so long"),
    ("batch-size", number(int, 1), "windows of text in a step"),
    ("layers", number(int, 1), "Transformer blocks"),
    ("heads", number(int, 1), "attention heads in each"),
    ("width", number(int, 1), "size of the vectors"),
    ("context", number(int, 1), "characters that it sees at once"),
    ("lr", number(float, 0, above=True), "highest learning rate"),
    ("dropout", number(float, 0, 1), "probability of dropping a value"),
    ("seed", number(int, 0), "of the random numbers"),
]
CHANGEABLE = ("steps", "minutes")  # when a run goes on


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `minigrad train gpt`."""
    for name, kind, text in OPTIONS:
        default = getattr(Settings, name.replace("-", "_"))
        parser.add_argument(
            f"--{name}", type=kind, default=argparse.SUPPRESS, metavar=name.upper(), help=f"{text} (default: {default})"
        )
    text = "where the checkpoint goes, in place of the one there (default: runs/gpt)"
    parser.add_argument("--out", default="runs/gpt", metavar="FOLDER", help=text)
    parser.add_argument("--resume", action="store_true", help="go on with the run whose checkpoint is in --out")
    text = "for matrix products; more help only large models on idle cores (default: 1)"
    parser.add_argument("--threads", type=number(int, 1), default=1, metavar="THREADS", help=text)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu", help="where to compute (default: cpu)")


def run(options: argparse.Namespace) -> int:
    """`minigrad train gpt`; returns the exit code."""
    require("safetensors", "train")  # what is missing is said before the work, not after it
    require("matplotlib", "train")
    given = {f.name: getattr(options, f.name) for f in fields(Settings) if hasattr(options, f.name)}
    if Path(given.get("data", "")).is_file():
        given["data"] = str(Path(given["data"]).resolve())
    folder = Path(options.out)
    if options.resume:
        checkpoint = load_checkpoint(folder)
        settings = _fitting(checkpoint, lambda c: _merge(Settings(**c.info["settings"]), given))
        training = Run(settings, folder, options.device)
        _fitting(checkpoint, training.restore)
    else:
        training = Run(Settings(**{**given, "data": resolve(given.get("data", "auto"))}), folder, options.device)
    with blas_threads(options.threads):
        if training.train():
            training.report()
            return 0
    device = "" if options.device == "cpu" else f" --device {options.device}"
    print(f"stopped after step {training.trainer.step:,} and saved {folder}")
    print(f"to go on: minigrad train gpt --resume --out {shlex.quote(str(folder))}{device}")
    return 130


def _merge(saved: Settings, given: dict[str, Any]) -> Settings:
    """The settings of a run that goes on: only when it ends may change."""
    for name, value in given.items():
        if name not in CHANGEABLE and getattr(saved, name) != value and (name, value) != ("data", "auto"):
            raise ValueError(
                f"its --{name.replace('_', '-')} is {getattr(saved, name)}, not {value}: leave the option out, or "
                "train anew without --resume"
            )
    return replace(saved, **{name: given[name] for name in CHANGEABLE if name in given})


def _fitting(checkpoint: Checkpoint, use: Callable[[Checkpoint], Any]) -> Any:
    """Use what a checkpoint holds; if it is not what this recipe saves, say so."""
    try:
        if checkpoint.info["recipe"] != "gpt":
            raise ValueError(f"it was saved by the recipe {checkpoint.info['recipe']!r}")
        return use(checkpoint)
    except (KeyError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        reason = f"it lacks {error}" if isinstance(error, KeyError) else " ".join(str(error).splitlines()[:2])
        raise CheckpointError(f"cannot go on with {checkpoint.path}: {reason}") from error
