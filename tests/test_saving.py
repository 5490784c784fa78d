"""save and load: what comes back, what is refused, and that files survive a failed write."""

from __future__ import annotations

import io
import json
import os
import pickle
import zipfile
from collections import OrderedDict

import numpy as np
import pytest
import torch

import minigrad as mg
from minigrad import nn

rng = np.random.default_rng(0)


def same(a, b):
    assert type(a) is type(b), (a, b)
    if isinstance(a, mg.Tensor):
        assert a.dtype == b.dtype and a.shape == b.shape and a.requires_grad == b.requires_grad and a.device == b.device
        np.testing.assert_array_equal(a.detach().numpy(), b.detach().numpy())
    elif isinstance(a, np.ndarray):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)
    elif isinstance(a, dict):
        assert list(a) == list(b)
        for key in a:
            same(a[key], b[key])
    elif isinstance(a, (list, tuple)):
        assert len(a) == len(b)
        for x, y in zip(a, b):
            same(x, y)
    else:
        assert a == b or (a != a and b != b)


def back(x, **options):
    file = io.BytesIO()
    mg.save(x, file)
    file.seek(0)
    return mg.load(file, **options)


THINGS = {
    "numbers": [1, -(2**70), 0.1, -0.0, float("inf"), float("nan"), True, None, "ä\n\"", ""],
    "nested": {"a": [1, (2, {"b": (), "c": []})], 3: {4.5: None}, (1, "x"): {1, 2}, None: frozenset([1]), True: b"\x00\xff"},
    "ordered": OrderedDict([("z", 1), ("a", 2)]),
    "arrays": [rng.standard_normal((2, 3)), np.arange(3, dtype=np.int16), np.float32(1.5), np.float64(0.1), np.array(True)],
    "other": [mg.float16, mg.device("cpu"), mg.Size([2, 3])],
    "tensors": [mg.tensor(rng.standard_normal((2, 0, 3))), mg.tensor(3), mg.tensor([True, False]), mg.ones(2).half()],
    "strided": [mg.tensor(rng.standard_normal((4, 6)))[::2, ::-1 and 2].T, mg.zeros(1).expand(3, 4)],
    "with gradients": {"x": mg.tensor([1.0], requires_grad=True), "p": nn.Parameter(mg.ones(2)), "q": nn.Parameter(mg.ones(1), False)},
}


@pytest.mark.parametrize("name", THINGS)
def test_what_comes_back_is_what_was_saved(name):
    same(back(THINGS[name]), THINGS[name])


def test_a_tensor_in_two_places_stays_one():
    x = mg.tensor([1.0, 2.0])
    y = back([x, {"again": x}, x[:1]])
    assert y[0] is y[1]["again"] and y[0] is not y[2]


def test_training_goes_on(tmp_path):
    def steps(model, optimizer, n):
        for _ in range(n):
            optimizer.zero_grad()
            model(mg.ones(2, 3)).square().sum().backward()
            optimizer.step()

    for make in (lambda p: mg.optim.Adam(p, lr=0.1), lambda p: mg.optim.NAdam(p, lr=0.1), lambda p: mg.optim.SGD(p, 0.1, 0.9)):
        model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 1))
        optimizer = make(model.parameters())
        steps(model, optimizer, 3)
        mg.save({"model": model.state_dict(), "optimizer": optimizer.state_dict()}, tmp_path / "x.mg")
        other = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 1))
        saved = mg.load(str(tmp_path / "x.mg"), map_location="cpu", weights_only=True)
        assert other.load_state_dict(saved["model"])
        again = make(other.parameters())
        again.load_state_dict(saved["optimizer"])
        steps(model, optimizer, 3)
        steps(other, again, 3)
        for a, b in zip(model.parameters(), other.parameters()):
            same(a, b)


def test_lbfgs_too(tmp_path):
    w = mg.tensor([3.0, 4.0], requires_grad=True)
    optimizer = mg.optim.LBFGS([w], max_iter=3)

    def closure():
        optimizer.zero_grad()
        loss = (w**4).sum()
        loss.backward()
        return loss

    optimizer.step(closure)
    state = back(optimizer.state_dict())
    assert mg.equal(state["state"][0]["old_dirs"][0], optimizer.state[w]["old_dirs"][0])


def test_numpy_can_read_the_tensors(tmp_path):
    mg.save(THINGS["arrays"], tmp_path / "x")
    with zipfile.ZipFile(tmp_path / "x") as archive:
        np.testing.assert_array_equal(np.load(archive.open("tensors/0.npy")), THINGS["arrays"][0])


def test_the_same_gives_the_same_bytes():
    files = [io.BytesIO(), io.BytesIO()]
    for file in files:
        mg.save(THINGS["with gradients"], file)
    assert files[0].getvalue() == files[1].getvalue()


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "x.mg"
    mg.save([1], path)

    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(RuntimeError, match=r"cannot write .*x\.mg: No space left on device"):
        mg.save([2], path)
    assert mg.load(path) == [1] and [p.name for p in tmp_path.iterdir()] == ["x.mg"]


def test_files_of_pytorch_are_refused(tmp_path):
    torch.save({"a": torch.ones(2)}, tmp_path / "new.pt")
    torch.save({"a": torch.ones(2)}, tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    for name in ("new.pt", "old.pt"):
        with pytest.raises(RuntimeError, match=r"was written by PyTorch as a pickle.*safetensors\.torch\.save_file"):
            mg.load(tmp_path / name)


def test_no_pickle_is_ever_run(tmp_path):
    class Evil:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "run"),)

    array = io.BytesIO()
    np.save(array, np.array([Evil()], dtype=object), allow_pickle=True)
    with zipfile.ZipFile(tmp_path / "evil", "w") as archive:
        archive.writestr("structure.json", json.dumps({"format": "minigrad save", "version": 1, "object": {"array": "a"}}))
        archive.writestr("a", array.getvalue())
    (tmp_path / "pickle").write_bytes(pickle.dumps(Evil()))
    for name in ("evil", "pickle"):
        with pytest.raises(RuntimeError, match="no complete file of minigrad.save"):
            mg.load(tmp_path / name)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("length", [0, 10, 200, -30])
def test_truncated_files(tmp_path, length):
    mg.save([mg.ones(100)], tmp_path / "x")
    data = (tmp_path / "x").read_bytes()
    with pytest.raises(RuntimeError, match="this file is no complete file of minigrad.save"):
        mg.load(io.BytesIO(data[:length]))


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: back({"a": [1, nn.Linear(1, 1)]}), TypeError, r"the Linear at \['a'\]\[1\].*save its state_dict\(\)"),
        (lambda: back(print), TypeError, "the builtin_function_or_method at the top.*what it is made of"),
        (lambda: back([mg.ones(1, requires_grad=True) * 2]), TypeError, r"the tensor at \[0\] was computed.*detach\(\)"),
        (lambda: back([np.array(["text"])]), TypeError, r"the ndarray at \[0\]"),
        (lambda: back([(x := []), x.append(x)]), ValueError, r"the list at \[0\]\[0\] contains itself"),
        (lambda: mg.save(1, 2), TypeError, "save: expected a path or a file to write to, got int"),
        (lambda: mg.load(2), TypeError, "load: expected a path or a file to read from, got int"),
        (lambda: mg.load("/nowhere/x"), FileNotFoundError, "load: there is no file /nowhere/x"),
        (lambda: back(1, map_location=lambda *x: x), TypeError, "map_location must be a device"),
        (lambda: mg.save(1, "/nowhere/x"), RuntimeError, "cannot write /nowhere/x: No such file"),
    ],
)
def test_errors(call, error, words):
    with pytest.raises(error, match=words):
        call()
