"""Files: tensors as safetensors, and checkpoints that survive whatever happens while they are written.

A checkpoint is a folder:

    weights-2000.safetensors      the model's tensors
    optimizer-2000.safetensors    the optimizer's tensors
    checkpoint.json               everything else, and the names, sizes and checksums of the two

New tensors never overwrite old ones: they get names of their own. checkpoint.json is written last and put in place of
the old one in a single step (os.replace), and that is the moment at which the new checkpoint exists. A save that fails
or is killed before that leaves the old checkpoint whole. Only after it are the old files removed.

None of these files can run code when loaded, as a pickle can.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from . import backend, dtypes
from .tensor import Tensor
from .utils import require

INDEX = "checkpoint.json"
FORMAT, VERSION = "minigrad checkpoint", 1
SAFETENSORS = "safetensors.numpy"


class CheckpointError(RuntimeError):
    """A file cannot be read or written, or holds something else than it should; the message says which and why."""


# --------------------------------------------------------------------------------------------------------- tensors


def save_tensors(path: Any, tensors: Mapping[str, Any], metadata: Mapping[str, str] | None = None) -> None:
    """Write named tensors to a safetensors file, replacing it in one step.

    Args:
        path: of the file.
        tensors: name -> Tensor or array.
        metadata: text to keep with them.

    Raises:
        CheckpointError: the file cannot be written.
        ModuleNotFoundError: the package safetensors is not installed.

    >>> import tempfile, minigrad as mg
    >>> path = tempfile.mkdtemp() + "/two.safetensors"
    >>> save_tensors(path, {"a": mg.tensor([1.0, 2.0])})
    >>> load_tensors(path)
    {'a': tensor([1., 2.])}
    """
    _write(Path(path), _pack(tensors, metadata))


def load_tensors(path: Any) -> dict[str, Tensor]:
    """The named tensors of a safetensors file, on the CPU.

    Args:
        path: of the file.

    Raises:
        CheckpointError: the file cannot be read, is truncated, or is no safetensors file.
        ModuleNotFoundError: the package safetensors is not installed.
    """
    return _unpack(_read(Path(path)), Path(path))


def _pack(tensors: Mapping[str, Any], metadata: Mapping[str, str] | None = None) -> bytes:
    arrays = {}
    for name, tensor in tensors.items():
        array = tensor.array if isinstance(tensor, Tensor) else tensor
        if not hasattr(array, "dtype") or array.dtype not in dtypes.SUPPORTED:
            raise TypeError(f"save_tensors: {name!r} must be a Tensor or an array, got {type(tensor).__name__}")
        array = backend.to_device(array, backend.CPU)
        arrays[name] = np.asarray(array, order="C")  # safetensors copies memory as it stands, whatever the strides
    return require(SAFETENSORS, "train").save(arrays, None if metadata is None else dict(metadata))


def _unpack(data: bytes, path: Path) -> dict[str, Tensor]:
    safetensors = require(SAFETENSORS, "train")
    try:
        arrays = safetensors.load(data)
        return {name: Tensor(array) for name, array in arrays.items()}
    except Exception as error:
        reason = f"it holds numbers of type {error}, which NumPy lacks" if isinstance(error, KeyError) else str(error)
        raise CheckpointError(f"{path} is not a complete safetensors file: {reason}") from None


# ----------------------------------------------------------------------------------------------------- checkpoints


@dataclass
class Checkpoint:
    """What a checkpoint holds.

    Attributes:
        step: how many training steps were done.
        model: name -> Tensor, for `load_state_dict`.
        optimizer: for its `load_state_dict`, or None.
        info: whatever else was saved: configuration, random numbers, history.
        path: of its checkpoint.json.
    """

    step: int
    model: dict[str, Tensor]
    optimizer: dict[str, Any] | None = None
    info: dict[str, Any] = field(default_factory=dict)
    path: Path = Path(INDEX)


def save_checkpoint(
    folder: Any, *, model: Mapping[str, Any], optimizer: Mapping[str, Any] | None = None, step: int = 0, **info: Any
) -> Path:
    """Save a checkpoint in place of the one in the folder, if any; see the top of this module.

    Args:
        folder: made if it does not exist.
        model: a Module's `state_dict()`.
        optimizer: an Optimizer's `state_dict()`.
        step: how many training steps were done.
        info: anything that fits into JSON.

    Returns:
        The path of its checkpoint.json.

    Raises:
        CheckpointError: it cannot be written; the previous checkpoint is still there.
        TypeError: info does not fit into JSON.
        ModuleNotFoundError: the package safetensors is not installed.

    >>> import tempfile, minigrad as mg
    >>> folder = tempfile.mkdtemp()
    >>> _ = save_checkpoint(folder, model={"weight": mg.tensor([3.0])}, step=7, note="small")
    >>> checkpoint = load_checkpoint(folder)
    >>> checkpoint.step, checkpoint.model, checkpoint.info
    (7, {'weight': tensor([3.])}, {'note': 'small'})
    """
    folder = Path(folder)
    packed = {"weights": _pack(model)}
    index: dict[str, Any] = {"format": FORMAT, "version": VERSION, "step": int(step), "files": {}, "info": info}
    if optimizer is not None:
        tensors, index["optimizer"] = _flatten(optimizer)
        packed["optimizer"] = _pack(tensors)
    try:
        json.dumps(index)
    except (TypeError, ValueError) as error:
        raise TypeError(f"save_checkpoint: info must fit into JSON: {error}") from None
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CheckpointError(f"cannot make the folder {folder}: {error.strerror}; choose another one") from None
    for kind, data in packed.items():
        name = _store(folder, f"{kind}-{step}", data)
        index["files"][kind] = {"name": name, "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    _write(folder / INDEX, json.dumps(index, indent=1).encode())
    kept = {entry["name"] for entry in index["files"].values()}
    for pattern in ("weights-*.safetensors*", "optimizer-*.safetensors*"):
        for path in folder.glob(pattern):
            if path.name not in kept:
                path.unlink(missing_ok=True)
    return folder / INDEX


def load_checkpoint(path: Any) -> Checkpoint:
    """Read a checkpoint, after checking that every byte of its tensors is what was written.

    Args:
        path: of its folder, or of its checkpoint.json.

    Raises:
        CheckpointError: there is none, or it is truncated, corrupt, or of another version.
        ModuleNotFoundError: the package safetensors is not installed.
    """
    index_path = find_checkpoint(path)
    try:
        index = json.loads(_read(index_path))
    except ValueError:
        raise CheckpointError(f"{index_path} is truncated or corrupt: it is not complete JSON") from None
    if not isinstance(index, dict) or index.get("format") != FORMAT:
        raise CheckpointError(f"{index_path} is not a minigrad checkpoint: it does not say format {FORMAT!r}")
    if index.get("version") != VERSION:
        raise CheckpointError(
            f"{index_path} has version {index.get('version')!r}, this minigrad reads version {VERSION}; use the "
            "minigrad that wrote it"
        )
    try:
        files = {kind: _checked(index_path.parent, **entry) for kind, entry in index["files"].items()}
        optimizer = _unflatten(files["optimizer"], index["optimizer"]) if "optimizer" in files else None
        return Checkpoint(int(index["step"]), files["weights"], optimizer, dict(index["info"]), index_path)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise CheckpointError(f"{index_path} is corrupt: an entry is missing or wrong ({error!r})") from None


def find_checkpoint(path: Any) -> Path:
    """The checkpoint.json that a path stands for.

    Raises:
        CheckpointError: there is none.
    """
    path = Path(path)
    if path.is_dir():
        path = path / INDEX
    if not path.is_file():
        raise CheckpointError(f"there is no checkpoint at {path}; expected a folder with {INDEX} in it")
    if path.suffix != ".json":
        raise CheckpointError(f"expected the folder of a checkpoint or its {INDEX}, got {path}")
    return path


def _checked(folder: Path, name: str, bytes: int, sha256: str) -> dict[str, Tensor]:
    """The tensors of one file, if it is what the checkpoint says."""
    if Path(name).name != name:
        raise ValueError(f"{name!r} is not the name of a file in the same folder")
    data = _read(folder / name)
    if len(data) != bytes:
        raise CheckpointError(
            f"{folder / name} has {len(data)} bytes, expected {bytes}: it is truncated, or of another checkpoint"
        )
    if hashlib.sha256(data).hexdigest() != sha256:
        raise CheckpointError(f"{folder / name} is corrupt: its checksum is not the one in {INDEX}")
    return _unpack(data, folder / name)


def _flatten(optimizer: Mapping[str, Any]) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """An optimizer's state_dict in two: its tensors by name, and the rest, with None where a tensor was."""
    tensors = {
        f"{parameter}.{name}": value
        for parameter, state in optimizer["state"].items()
        for name, value in state.items()
        if isinstance(value, Tensor)
    }
    rest = {
        str(parameter): {name: None if isinstance(value, Tensor) else value for name, value in state.items()}
        for parameter, state in optimizer["state"].items()
    }
    return tensors, {**optimizer, "state": rest}


def _unflatten(tensors: Mapping[str, Tensor], saved: Mapping[str, Any]) -> dict[str, Any]:
    """The optimizer's state_dict again, everything in its old order."""
    state = {
        int(parameter): {
            name: tensors[f"{parameter}.{name}"] if value is None else value for name, value in values.items()
        }
        for parameter, values in saved["state"].items()
    }
    return {**saved, "state": state}


# ----------------------------------------------------------------------------------------------------------- files


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise CheckpointError(f"cannot read {path}: {error.strerror}; is the checkpoint complete?") from None


def _write(path: Path, data: bytes) -> None:
    """Put a file in its place in one step: at no moment does the name stand for half a file."""
    temporary = path.with_name(path.name + ".tmp")
    try:
        with open(temporary, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())  # on the disk before the name points to it
        os.replace(temporary, path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        reason = error.strerror or error
        raise CheckpointError(f"cannot write {path}: {reason}; free some space or choose another folder") from None


def _store(folder: Path, stem: str, data: bytes) -> str:
    """Write under a name that is not taken, since the present checkpoint may need what is there; returns the name."""
    for n in itertools.count(1):
        name = f"{stem}.safetensors" if n == 1 else f"{stem}-{n}.safetensors"
        path = folder / name
        if path.is_file() and _read(path) == data:
            return name
        if not path.exists():
            _write(path, data)
            return name
    raise AssertionError
