"""`minigrad.save` and `minigrad.load`: tensors, state_dicts, and whatever plain Python structure holds them, in one file.

The file is a zip archive: structure.json says how things are nested, and each tensor is a .npy file, which numpy.load
can read too. PyTorch's files are pickles, which run whatever code their author put into them; these cannot. The price is
that only plain things can be saved: a model by its state_dict, not as an object.
"""

from __future__ import annotations

import base64
import json
import os
import zipfile
from collections import OrderedDict
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from . import backend, dtypes
from .nn.parameter import Parameter
from .tensor import Size, Tensor

STRUCTURE, FORMAT, VERSION = "structure.json", "minigrad save", 1
_LISTS = {"tuple": tuple, "set": set, "frozenset": frozenset, "size": Size}
_DICTS = {"dict": dict, "ordered": OrderedDict}


def save(obj: Any, f: Any) -> None:
    """Write tensors, numbers, strings and None, in lists, tuples, sets and dicts however nested, to a file.

    What is one tensor in several places stays one. Unlike PyTorch's, two tensors that are views of the same memory
    become separate ones; and objects of classes cannot be saved.

    Args:
        obj: what to save, for example {"model": model.state_dict(), "step": 7}.
        f: a path, whose file is replaced in one step, or a file that is open for writing bytes.

    Raises:
        TypeError: something in it is no plain value; the message says where.
        ValueError: it contains itself.
        CheckpointError: the file cannot be written (a RuntimeError).

    Source: `torch.save`.

    >>> import tempfile, minigrad as mg
    >>> path = tempfile.mkdtemp() + "/things.mg"
    >>> save({"weight": mg.tensor([1.0, 2.0]), "shape": (3, 4)}, path)
    >>> load(path)
    {'weight': tensor([1., 2.]), 'shape': (3, 4)}
    """
    packer = _Packer()
    structure = {"format": FORMAT, "version": VERSION, "object": packer.pack(obj, "")}
    data = BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        archive.writestr(zipfile.ZipInfo(STRUCTURE), json.dumps(structure))
        for name, array in packer.arrays.items():
            with archive.open(zipfile.ZipInfo(name), "w", force_zip64=True) as file:
                np.lib.format.write_array(file, np.asarray(array, order="C"), allow_pickle=False)
    if isinstance(f, (str, os.PathLike)):
        from .io import _write

        _write(Path(f), data.getvalue())
    elif hasattr(f, "write"):
        f.write(data.getvalue())
    else:
        raise TypeError(f"save: expected a path or a file to write to, got {type(f).__name__}")


def load(f: Any, map_location: Any = None, *, weights_only: bool = True, mmap: bool | None = None) -> Any:
    """Read what `save` wrote. Nothing in the file can run.

    Args:
        f: a path, or a file that is open for reading bytes.
        map_location: where to put the tensors; where they were when saved if None.
        weights_only, mmap: without effect, for code that passes them.

    Raises:
        FileNotFoundError: there is no such file.
        RuntimeError: it is truncated, or something else, for example a file of PyTorch.

    Source: `torch.load`.
    """
    where = None if map_location is None else _place(map_location)
    if isinstance(f, (str, os.PathLike)):
        name = str(f)
        if not os.path.exists(name):
            raise FileNotFoundError(f"load: there is no file {name}")
        data = Path(f).read_bytes()
    elif hasattr(f, "read"):
        name, data = getattr(f, "name", "this file"), f.read()
    else:
        raise TypeError(f"load: expected a path or a file to read from, got {type(f).__name__}")
    try:
        with zipfile.ZipFile(BytesIO(data)) as archive:
            if any(entry.endswith("data.pkl") for entry in archive.namelist()):
                raise RuntimeError(_of_pytorch(name))
            structure = json.loads(archive.read(STRUCTURE))
            if structure["format"] != FORMAT or structure["version"] != VERSION:
                raise RuntimeError(f"load: {name} has version {structure['version']}, this minigrad reads version {VERSION}")
            return _Unpacker(archive, where).unpack(structure["object"])
    except (zipfile.BadZipFile, KeyError, ValueError, TypeError, EOFError) as error:
        if data[:2] == b"\x80\x02":  # how old files of PyTorch begin
            raise RuntimeError(_of_pytorch(name)) from None
        raise RuntimeError(f"load: {name} is no complete file of minigrad.save ({type(error).__name__}: {error})") from None


def _of_pytorch(name: str) -> str:
    return (
        f"load: {name} was written by PyTorch as a pickle, which can run any code when it is loaded; there, write the tensors "
        "with safetensors.torch.save_file(state_dict, path), and read that with minigrad.io.load_tensors(path)"
    )


def _place(map_location: Any) -> backend.device:
    if callable(map_location) or isinstance(map_location, dict):
        raise TypeError("load: map_location must be a device such as 'cpu' here, not a function or a dict")
    return backend.as_device(map_location)


class _Packer:
    """Turns an object into what fits into JSON; arrays are put aside under a name."""

    def __init__(self) -> None:
        self.arrays: dict[str, np.ndarray] = {}
        self.names: dict[int, str] = {}  # of tensors that came before
        self.around: list[int] = []  # the lists and dicts that we are inside of

    def pack(self, x: Any, at: str) -> Any:
        if x is None or type(x) in (bool, int, float, str):
            return x
        if isinstance(x, Tensor):
            if not x.is_leaf:
                raise TypeError(f"save: the tensor at {at or 'the top'} was computed from others; save its detach()")
            kind = "parameter" if isinstance(x, Parameter) else "tensor"
            return {kind: self._put(x, x.detach().cpu().numpy()), "grad": x.requires_grad, "device": str(x.device)}
        if isinstance(x, (np.ndarray, np.generic)) and x.dtype.kind in "biuf":
            return {"array" if isinstance(x, np.ndarray) else "number": self._put(x, np.asarray(x))}
        if isinstance(x, bytes):
            return {"bytes": base64.b64encode(x).decode()}
        if isinstance(x, backend.device):
            return {"device": str(x)}
        if isinstance(x, np.dtype):
            return {"dtype": str(x)}
        if id(x) in self.around:
            raise ValueError(f"save: the {type(x).__name__} at {at or 'the top'} contains itself")
        self.around.append(id(x))
        packed = self._pack_many(x, at)
        self.around.pop()
        return packed

    def _pack_many(self, x: Any, at: str) -> Any:
        if type(x) is list:
            return [self.pack(y, f"{at}[{i}]") for i, y in enumerate(x)]
        for kind, cls in _LISTS.items():
            if type(x) is cls:
                return {kind: [self.pack(y, f"{at}[{i}]") for i, y in enumerate(x)]}
        for kind, cls in _DICTS.items():
            if type(x) is cls:
                return {kind: [[self.pack(k, at), self.pack(v, f"{at}[{k!r}]")] for k, v in x.items()]}
        fix = "save its state_dict()" if hasattr(x, "state_dict") else "save what it is made of"
        raise TypeError(f"save: cannot save the {type(x).__name__} at {at or 'the top'}, only plain values and tensors; {fix}")

    def _put(self, x: Any, array: np.ndarray) -> str:
        if id(x) not in self.names:
            self.names[id(x)] = f"tensors/{len(self.names)}.npy"
            self.arrays[self.names[id(x)]] = array
        return self.names[id(x)]


class _Unpacker:
    """Makes the object again."""

    def __init__(self, archive: zipfile.ZipFile, where: backend.device | None) -> None:
        self.archive = archive
        self.where = where
        self.made: dict[str, Any] = {}

    def unpack(self, x: Any) -> Any:
        if isinstance(x, list):
            return [self.unpack(y) for y in x]
        if not isinstance(x, dict):
            return x
        kind, value = next(iter(x.items()))
        if kind in _LISTS:
            return _LISTS[kind](self.unpack(y) for y in value)
        if kind in _DICTS:
            return _DICTS[kind]((self.unpack(k), self.unpack(v)) for k, v in value)
        if kind == "bytes":
            return base64.b64decode(value)
        if kind == "device":
            return backend.as_device(value)
        if kind == "dtype":
            return dtypes.as_dtype(value)
        if value not in self.made:
            self.made[value] = self._read(kind, value, x)
        return self.made[value]

    def _read(self, kind: str, name: str, x: dict) -> Any:
        with self.archive.open(name) as file:
            array = np.lib.format.read_array(file, allow_pickle=False)
        if kind in ("array", "number"):
            return array if kind == "array" else array[()]
        array = backend.to_device(array, self.where or backend.as_device(x["device"]))
        if kind == "parameter":
            return Parameter(Tensor._wrap(array), requires_grad=x["grad"])
        if kind != "tensor":
            raise ValueError(f"unknown kind {kind!r}")
        return Tensor._wrap(array).requires_grad_(x["grad"])
