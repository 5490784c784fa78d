"""Checkpoints: what comes back is what was saved, or one sentence that says why not; never half of it."""

from __future__ import annotations

import json
import os
import shutil
import sys

import numpy as np
import pytest
import safetensors.torch
import torch

import minigrad as mg
from minigrad import io, nn, optim
from minigrad.io import CheckpointError, load_checkpoint, load_tensors, save_checkpoint, save_tensors

RNG = np.random.default_rng(8)
NOTE = {"config": {"width": 3}, "rng": 2**120 + 1, "losses": [0.1, 1e-300], "name": "Grüße"}


def some_tensors() -> dict[str, mg.Tensor]:
    return {
        "float32": mg.tensor(RNG.normal(size=(3, 4)).astype(np.float32)),
        "float64": mg.tensor(RNG.normal(size=5)),
        "float16": mg.tensor(RNG.normal(size=(2, 1, 3)).astype(np.float16)),
        "int64": mg.tensor(RNG.integers(-(2**60), 2**60, (4,))),
        "uint8": mg.tensor(RNG.integers(0, 255, (2, 2)).astype(np.uint8)),
        "bool": mg.tensor([True, False, True]),
        "scalar": mg.tensor(2.5),
        "empty": mg.zeros(0, 3),
        "special": mg.tensor([float("nan"), float("inf"), -0.0, 1e-45]),
        "transposed": mg.tensor(RNG.normal(size=(3, 4))).T,
        "strided": mg.tensor(RNG.normal(size=(6, 4)))[::2, 1:],
        "expanded": mg.tensor([[1.5], [2.5]]).expand(2, 3),
    }


def assert_same(found, expected):
    assert list(found) == sorted(found) or set(found) == set(expected)
    for name, tensor in expected.items():
        assert found[name].dtype == tensor.dtype and found[name].shape == tensor.shape, name
        assert found[name].numpy().tobytes() == tensor.detach().numpy().tobytes(), name


def contents(folder) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


# -------------------------------------------------------------------------------------------------------- tensors


def test_tensors_come_back_bit_for_bit(tmp_path):
    tensors = some_tensors()
    save_tensors(tmp_path / "x.safetensors", tensors, {"made by": "a test"})
    loaded = load_tensors(tmp_path / "x.safetensors")
    assert_same(loaded, tensors)
    loaded["float32"].add_(1)  # what is loaded can be written to
    assert [p.name for p in tmp_path.iterdir()] == ["x.safetensors"]


def test_torch_reads_ours_and_we_read_torchs(tmp_path):
    tensors = some_tensors()
    save_tensors(tmp_path / "ours", tensors)
    for name, tensor in safetensors.torch.load_file(tmp_path / "ours").items():
        np.testing.assert_array_equal(tensor.numpy(), tensors[name].numpy())
    theirs = {name: torch.tensor(t.numpy().copy()) for name, t in tensors.items()}
    safetensors.torch.save_file(theirs, tmp_path / "theirs")
    assert_same(load_tensors(tmp_path / "theirs"), tensors)


def test_what_numpy_lacks_is_named(tmp_path):
    safetensors.torch.save_file({"x": torch.zeros(2, dtype=torch.bfloat16)}, tmp_path / "x")
    with pytest.raises(CheckpointError, match="'BF16', which NumPy lacks"):
        load_tensors(tmp_path / "x")


def test_only_tensors_can_be_saved(tmp_path):
    for value in ([1.0], "a", 3.5, np.zeros(2, complex)):
        with pytest.raises(TypeError, match="save_tensors: 'x' must be a Tensor or an array"):
            save_tensors(tmp_path / "x", {"x": value})


@pytest.mark.parametrize("package", ["safetensors", "safetensors.numpy"])
def test_without_the_package(tmp_path, monkeypatch, package):
    save_tensors(tmp_path / "x", {"x": mg.zeros(1)})
    monkeypatch.delitem(sys.modules, "safetensors.numpy")
    monkeypatch.setitem(sys.modules, package, None)
    for act in (lambda: save_tensors(tmp_path / "y", {"y": mg.zeros(1)}), lambda: load_tensors(tmp_path / "x")):
        with pytest.raises(ModuleNotFoundError, match=r"safetensors.*pip install 'minigrad\[train\]'"):
            act()


# ---------------------------------------------------------------------------------------------------- checkpoints


@pytest.fixture
def trained():
    """A model and an optimizer with a past."""
    mg.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4) if hasattr(nn, "BatchNorm1d") else nn.LayerNorm(4))
    optimizer = optim.AdamW(
        [{"params": model[0].parameters(), "lr": 0.1}, {"params": model[1].parameters()}], betas=(0.8, 0.9)
    )
    for _ in range(3):
        optimizer.zero_grad()
        model(mg.randn(5, 3)).square().sum().backward()
        optimizer.step()
    return model, optimizer


def save(folder, trained, step=3):
    model, optimizer = trained
    return save_checkpoint(folder, model=model.state_dict(), optimizer=optimizer.state_dict(), step=step, **NOTE)


def test_everything_comes_back(tmp_path, trained):
    model, optimizer = trained
    path = save(tmp_path / "new" / "folder", trained)
    for place in (path, path.parent, str(path.parent)):
        checkpoint = load_checkpoint(place)
        assert (checkpoint.step, checkpoint.info, checkpoint.path) == (3, NOTE, path)
        assert_same(checkpoint.model, model.state_dict())
    expected = optimizer.state_dict()
    assert checkpoint.optimizer["state"].keys() == expected["state"].keys()
    for i, state in expected["state"].items():
        assert list(checkpoint.optimizer["state"][i]) == list(state)
        for name, value in state.items():
            found = checkpoint.optimizer["state"][i][name]
            if isinstance(value, mg.Tensor):
                assert found.dtype == value.dtype and found.numpy().tobytes() == value.numpy().tobytes()
            else:
                assert found == value and type(found) is type(value)
    assert json.dumps(checkpoint.optimizer["param_groups"]) == json.dumps(expected["param_groups"])
    assert sorted(contents(path.parent)) == ["checkpoint.json", "optimizer-3.safetensors", "weights-3.safetensors"]


def test_a_model_without_an_optimizer(tmp_path):
    save_checkpoint(tmp_path, model={"x": mg.ones(2)})
    checkpoint = load_checkpoint(tmp_path)
    assert checkpoint.optimizer is None and checkpoint.step == 0 and checkpoint.info == {}


def test_a_new_checkpoint_replaces_the_old_one_also_at_the_same_step(tmp_path, trained):
    (tmp_path / "notes.txt").write_text("mine")
    save(tmp_path, trained, step=3)
    save(tmp_path, trained, step=4)
    names = {"notes.txt", "checkpoint.json", "optimizer-4.safetensors", "weights-4.safetensors"}
    assert set(contents(tmp_path)) == names
    before = contents(tmp_path)
    save(tmp_path, trained, step=4)
    assert contents(tmp_path) == before, "nothing changed, so nothing is written anew"
    with mg.no_grad():
        trained[0][0].weight.add_(1)
    save(tmp_path, trained, step=4)
    assert set(contents(tmp_path)) == {*names - {"weights-4.safetensors"}, "weights-4-2.safetensors"}
    assert_same(load_checkpoint(tmp_path).model, trained[0].state_dict())


class Killed(BaseException):
    """As KeyboardInterrupt, and as a power cut: nobody catches it."""


@pytest.mark.parametrize("call", ["open", "fsync", "replace"])
@pytest.mark.parametrize("n", [1, 2, 3])
@pytest.mark.parametrize("error", [OSError, Killed])
def test_a_failed_save_leaves_the_previous_checkpoint_whole(tmp_path, trained, monkeypatch, call, n, error):
    save(tmp_path, trained)
    before = contents(tmp_path)
    saved = {name: tensor.clone() for name, tensor in trained[0].state_dict().items()}
    with mg.no_grad():
        for p in trained[0].parameters():
            p.add_(1)
        for state in trained[1].state.values():
            state["exp_avg"].add_(1)
    place, original, count = (io, open, 0) if call == "open" else (os, getattr(os, call), 0)

    def fails(*args, **kwargs):
        nonlocal count
        count += 1
        if count == n:
            raise error(28, "No space left on device")
        return original(*args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(place, call, fails, raising=False)
        expected = CheckpointError if error is OSError else Killed
        with pytest.raises(expected, match="No space left on device"):
            save(tmp_path, trained)
    assert count == n, "the save has these three moments"
    for name, data in before.items():
        assert (tmp_path / name).read_bytes() == data
    assert error is Killed or not list(tmp_path.glob("*.tmp")), "half a file is not left lying about"
    assert_same(load_checkpoint(tmp_path).model, saved)
    save(tmp_path, trained)  # and the next one succeeds and clears up
    assert_same(load_checkpoint(tmp_path).model, trained[0].state_dict())
    assert len(contents(tmp_path)) == 3


def test_a_write_cut_short_is_never_seen(tmp_path, trained, monkeypatch):
    """The disk fills up half-way through the index."""
    save(tmp_path, trained)

    class Half:
        def __init__(self, file):
            self.file = file

        def __enter__(self):
            return self

        def __exit__(self, *_):
            self.file.close()

        def write(self, data):
            self.file.write(data[: len(data) // 2])
            raise OSError(28, "No space left on device")

    def half_open(path, mode):
        return Half(open(path, mode)) if "json" in path.name else open(path, mode)

    with monkeypatch.context() as patch:
        patch.setattr(io, "open", half_open, raising=False)
        with pytest.raises(CheckpointError, match=r"cannot write .*checkpoint.json: No space left on device; free"):
            save(tmp_path, trained, step=9)
    assert load_checkpoint(tmp_path).step == 3


def test_a_folder_that_cannot_be_made(tmp_path, trained):
    (tmp_path / "file").write_text("")
    with pytest.raises(CheckpointError, match=r"cannot make the folder .*file.*; choose another one"):
        save(tmp_path / "file" / "below", trained)


def test_info_that_does_not_fit_into_json(tmp_path):
    save_checkpoint(tmp_path, model={"x": mg.ones(2)}, step=1)
    with pytest.raises(TypeError, match="info must fit into JSON: .*ndarray"):
        save_checkpoint(tmp_path, model={"x": mg.ones(2)}, step=2, array=np.zeros(2))
    assert load_checkpoint(tmp_path).step == 1 and len(contents(tmp_path)) == 2


# ------------------------------------------------------------------------------------------------- unreadable ones


@pytest.fixture
def folder(tmp_path, trained):
    save(tmp_path / "runs", trained)
    return tmp_path / "runs"


def one_sentence(error) -> bool:
    return "\n" not in str(error.value) and "Traceback" not in str(error.value)


@pytest.mark.parametrize("name", ["weights-3.safetensors", "optimizer-3.safetensors"])
@pytest.mark.parametrize("length", [0, 1, 7, 8, 9, 100, -64, -1])
def test_truncated_tensors(folder, name, length):
    whole = (folder / name).read_bytes()
    (folder / name).write_bytes(whole[:length])
    with pytest.raises(CheckpointError, match=f"{len(whole[:length])} bytes, expected {len(whole)}") as error:
        load_checkpoint(folder)
    assert one_sentence(error)
    with pytest.raises(CheckpointError, match=f"{name} is not a complete safetensors file: ") as error:
        load_tensors(folder / name)
    assert one_sentence(error)


@pytest.mark.parametrize("name", ["weights-3.safetensors", "optimizer-3.safetensors"])
@pytest.mark.parametrize("place", [0, 8, 20, -1, -10])
def test_one_wrong_bit(folder, name, place):
    data = bytearray((folder / name).read_bytes())
    data[place] ^= 4
    (folder / name).write_bytes(data)
    with pytest.raises(CheckpointError, match=f"{name} is corrupt: its checksum") as error:
        load_checkpoint(folder)
    assert one_sentence(error)


@pytest.mark.parametrize("keep", [0, 1, 30, 200, -2])
def test_a_truncated_index(folder, keep):
    path = folder / "checkpoint.json"
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(CheckpointError, match=r"checkpoint.json is truncated or corrupt") as error:
        load_checkpoint(folder)
    assert one_sentence(error)


@pytest.mark.parametrize("data", [b"\xff\xfe", b"[1, 2]", b'"text"', b"{}", b'{"format": "other", "version": 1}'])
def test_an_index_that_is_none(folder, data):
    (folder / "checkpoint.json").write_bytes(data)
    with pytest.raises(CheckpointError, match=r"checkpoint.json is (not a minigrad checkpoint|truncated or corrupt)"):
        load_checkpoint(folder)


def test_another_version(folder):
    edit(folder, lambda index: index.update(version=7))
    with pytest.raises(CheckpointError, match="has version 7, this minigrad reads version 1; use the minigrad that"):
        load_checkpoint(folder)


def edit(folder, change):
    path = folder / "checkpoint.json"
    index = json.loads(path.read_text())
    change(index)
    path.write_text(json.dumps(index))


@pytest.mark.parametrize(
    "change",
    [
        lambda i: i.pop("step"),
        lambda i: i.update(step="many"),
        lambda i: i.pop("info"),
        lambda i: i.update(info=[1]),
        lambda i: i.pop("files"),
        lambda i: i.update(files=[]),
        lambda i: i["files"].pop("weights"),
        lambda i: i["files"]["weights"].pop("sha256"),
        lambda i: i["files"]["weights"].update(extra=1),
        lambda i: i["files"]["weights"].update(name="../runs/weights-3.safetensors"),
        lambda i: i["files"]["weights"].update(name=5),
        lambda i: i.pop("optimizer"),
        lambda i: i["optimizer"].pop("state"),
        lambda i: i["optimizer"].update(state=[]),
        lambda i: i["optimizer"]["state"]["0"].update(more=None),
    ],
)
def test_an_index_with_something_wrong_in_it(folder, change):
    edit(folder, change)
    with pytest.raises(CheckpointError, match=r"checkpoint.json is corrupt: an entry is missing or wrong") as error:
        load_checkpoint(folder)
    assert one_sentence(error)


def test_a_missing_file(folder):
    (folder / "optimizer-3.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"cannot read .*optimizer-3.safetensors: No such file"):
        load_checkpoint(folder)
    shutil.rmtree(folder)
    for path in (folder, folder / "checkpoint.json"):
        with pytest.raises(CheckpointError, match=r"there is no checkpoint at .*; expected a folder with checkpoint"):
            load_checkpoint(path)


def test_the_wrong_file(folder):
    with pytest.raises(CheckpointError, match=r"expected the folder of a checkpoint or its checkpoint.json, got"):
        load_checkpoint(folder / "weights-3.safetensors")


def test_a_model_of_another_shape_refuses_it(folder):
    model = nn.Sequential(nn.Linear(3, 5), nn.LayerNorm(5))
    with pytest.raises(RuntimeError, match=r"0\.weight"):
        model.load_state_dict(load_checkpoint(folder).model)
