"""Reads PTX, the text that NVRTC makes of CUDA C++: the kernels of a file and their instructions.

What lives here: the grammar. What an instruction means is in program.py and in runtime/.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from .errors import UnsupportedPTX


@dataclass(frozen=True, slots=True)
class Instruction:
    """One PTX instruction: `@!%p1 ld.global.v4.f32 {%f1, ...}, [%rd1+16];`."""

    number: int
    line: int  # in the CUDA source; 0 if unknown
    text: str
    opcode: str
    modifiers: tuple[str, ...]
    operands: tuple[str, ...]
    guard: str = ""  # the predicate register
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Parameter:
    """A kernel's parameter: `u64` for a pointer, `f32`, or `b8[24]` for a struct."""

    name: str
    type: str
    offset: int
    size: int


@dataclass
class Kernel:
    """An `extern "C" __global__` function."""

    name: str
    parameters: tuple[Parameter, ...]
    instructions: list[Instruction] = field(default_factory=list)
    labels: dict[str, int] = field(default_factory=dict)  # to the number of the instruction that follows
    tables: dict[str, list[str]] = field(default_factory=dict)  # of brx.idx
    registers: dict[str, str] = field(default_factory=dict)  # "%r" or a whole name, to its type
    shared: dict[str, int] = field(default_factory=dict)  # offsets of the variables in shared memory
    shared_bytes: int = 0
    local: dict[str, int] = field(default_factory=dict)
    local_bytes: int = 0
    max_threads: int | None = None


@dataclass
class File:
    """All that one PTX text declares."""

    target: str
    kernels: dict[str, Kernel]
    data: dict[str, bytes]  # __device__ and __constant__ variables
    dynamic: set[str]  # extern __shared__ arrays


_SIZES = {"pred": 4}


def size_of(kind: str) -> int:
    """The bytes of a value of a PTX type: 4 for `f32`, 4 for `f16x2`. A predicate takes 4 in the simulator."""
    if kind in _SIZES:
        return _SIZES[kind]
    match = re.fullmatch(r"(?:[usb]|f|bf|tf)(\d+)(x2)?", kind)
    if not match:
        raise UnsupportedPTX(f"the simulator does not know the PTX type .{kind}")
    size = 4 if kind == "tf32" else int(match[1]) // 8 * (2 if match[2] else 1)
    return _SIZES.setdefault(kind, size)


def _place(offset: int, align: int) -> int:
    return -(-offset // align) * align


_VARIABLE = re.compile(r"(?:\.align\s+(\d+)\s+)?\.(\w+)\s+([\w$]+)\s*(?:\[(\d*)\])?\s*(?:=\s*(.*))?", re.S)


_ENTRY = re.compile(r"^(?:\.visible |\.weak )*\.entry\s+([\w$]+)\s*(?:\((.*?)\))?\s*([^{]*)\{(.*?)^\}", re.M | re.S)
_DECLARATION = re.compile(r"^(?:\.visible |\.weak |\.extern )*\.(shared|global|const)\s+([^;{]*(?:\{[^}]*\})?[^;]*);", re.M)


def parse(text: str) -> File:
    """Read a PTX file.

    Raises:
        UnsupportedPTX: where it declares something that the simulator has no memory for.
    """
    text = re.sub(r"/\*.*?\*/|//[^\n]*", "", text, flags=re.S)
    target = re.search(r"^\.target\s+(\w+)", text, re.M)
    file = File(target[1] if target else "", {}, {}, set())
    shared: list[tuple[str, int, int]] = []
    for match in re.finditer(_DECLARATION, re.sub(_ENTRY, "", text)):
        align, kind, name, count, values = _variable(match[2])
        size = size_of(kind) * count
        if match[1] == "shared":
            if count == 0:
                file.dynamic.add(name)
            shared.append((name, align, size))
        else:
            file.data[name] = _data(kind, size, values)
    for match in re.finditer(_ENTRY, text):
        kernel = Kernel(match[1], _parameters(match[2] or ""))
        if limit := re.search(r"\.(?:max|req)ntid\s+(\d+)(?:\s*,\s*(\d+))?(?:\s*,\s*(\d+))?", match[3]):
            kernel.max_threads = int(limit[1]) * int(limit[2] or 1) * int(limit[3] or 1)
        used = [v for v in shared if v[2] and re.search(rf"(?<![\w$]){re.escape(v[0])}(?![\w$])", match[4])]
        for name, align, size in used:
            _reserve(kernel, "shared", name, align, size)
        _Body(kernel).read(match[4])
        kernel.shared_bytes = _place(kernel.shared_bytes, 16)
        kernel.shared |= dict.fromkeys(file.dynamic, kernel.shared_bytes)
        file.kernels[kernel.name] = kernel
    return file


def _variable(text: str) -> tuple[int, str, str, int, str | None]:
    match = _VARIABLE.match(" ".join(text.split()).replace(".attribute(.managed) ", ""))
    if not match:
        raise UnsupportedPTX(f"the simulator cannot read the PTX declaration {text.strip()!r}")
    align, kind, name, count, values = match.groups()
    elements = 1 if count is None else int(count or 0)
    return int(align or size_of(kind)), kind, name, elements, values


def _data(kind: str, size: int, values: str | None) -> bytes:
    numbers = re.findall(r"0[xX][0-9a-fA-F]+|0[fFdD][0-9a-fA-F]+|-?\d+", values or "")
    width = size_of(kind)
    parts = (int(n[2:], 16) if n[:2].lower() in ("0x", "0f", "0d") else int(n) for n in numbers)
    return b"".join((n % (1 << 8 * width)).to_bytes(width, "little") for n in parts).ljust(size, b"\0")


def _parameters(text: str) -> tuple[Parameter, ...]:
    found, offset = [], 0
    for part in filter(None, (p.strip() for p in text.split(","))):
        part = re.sub(r"\.ptr(?:\s+\.(?:global|shared|const|local))?(?:\s+\.align\s+\d+)?", "", part.replace(".param", "", 1))
        align, kind, name, count, _ = _variable(part.strip())
        size = size_of(kind) * count
        offset = _place(offset, align)
        found.append(Parameter(name, kind if "[" not in part else f"{kind}[{size}]", offset, size))
        offset += size
    return tuple(found)


def _reserve(kernel: Kernel, space: str, name: str, align: int, size: int) -> None:
    offset = _place(getattr(kernel, f"{space}_bytes"), align)
    getattr(kernel, space)[name] = offset
    setattr(kernel, f"{space}_bytes", offset + size)


class _Body:
    """Reads the statements of a kernel; inner braces, which inline assembly brings, open a scope of names."""

    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel
        self.scopes: list[dict[str, str]] = [{}]
        self.count = 0
        self.line = 0

    def read(self, text: str) -> None:
        position, blank = 0, re.compile(r"\s+")
        location, label = re.compile(r"\.loc\s+(\d+)\s+(\d+)[^\n]*"), re.compile(r"([\w$]+):(?!:)")
        while position < len(text):
            if match := blank.match(text, position):
                position = match.end()
            elif match := location.match(text, position):
                self.line, position = int(match[2]), match.end()
            elif text[position] in "{}":
                self.scopes.append({}) if text[position] == "{" else self.scopes.pop()
                position += 1
            elif match := label.match(text, position):
                self.label, position = match[1], match.end()
                self.kernel.labels[match[1]] = len(self.kernel.instructions)
            else:
                end = text.find(";", position)
                self.statement(" ".join(text[position:end].split()))
                position = end + 1

    def statement(self, text: str) -> None:
        directive, _, rest = text.partition(" ")
        if directive == ".reg":
            self.declare(rest)
        elif directive in (".shared", ".local"):
            align, kind, name, count, _ = _variable(rest)
            _reserve(self.kernel, directive[1:], name, align, size_of(kind) * count)
        elif directive == ".branchtargets":
            self.kernel.tables[self.label] = [name.strip() for name in rest.split(",")]
        elif not text.startswith((".pragma", ".loc", ".file")):
            self.instruction(text)

    def declare(self, text: str) -> None:
        kind, _, names = text.partition(" ")
        for name in (n.strip() for n in names.split(",")):
            if match := re.fullmatch(r"(%?[\w$]+)<\d+>", name):
                self.kernel.registers[match[1]] = kind[1:]
            else:
                self.count += 1
                self.scopes[-1][name] = f"{name}@{self.count}"
                self.kernel.registers[f"{name}@{self.count}"] = kind[1:]

    def instruction(self, text: str) -> None:
        full = text
        names = {name: unique for scope in self.scopes for name, unique in scope.items()}  # inner ones hide outer ones
        for name, unique in names.items():
            text = re.sub(rf"(?<![\w%$.]){re.escape(name)}(?![\w$@])", unique, text)
        guard = re.match(r"@(!?)([%\w$@]+)\s+", text)
        text = text[guard.end() :] if guard else text
        name, _, rest = text.partition(" ")
        opcode, *modifiers = name.split(".")
        number = len(self.kernel.instructions)
        negated, register = (bool(guard[1]), guard[2]) if guard else (False, "")
        operands = tuple(split(rest))
        self.kernel.instructions.append(
            Instruction(number, self.line, full, opcode, tuple(modifiers), operands, register, negated)
        )


def split(text: str) -> list[str]:
    """Split operands at the commas that are not inside braces or brackets.

    >>> split("{%r1, %r2}, [%rd1+4], 3")
    ['{%r1, %r2}', '[%rd1+4]', '3']
    """
    parts, depth, start = [], 0, 0
    for k, letter in enumerate(text):
        depth += (letter in "{[") - (letter in "}]")
        if letter == "," and depth == 0:
            parts.append(text[start:k].strip())
            start = k + 1
    last = text[start:].strip()
    return [*parts, last] if last else parts
