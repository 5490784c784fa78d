"""Translates PTX instructions into the operations that the runtime knows.

Most are one operation of the same name. Some take several: `.ftz` flushes around it, a comparison with `.and` needs a
second one, a value that is narrower than its register is converted first. Whatever is not understood raises, for an
instruction that is executed wrongly is worse than one that is not executed.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from .errors import UnsupportedPTX
from .ptx import File, Instruction, Kernel, size_of

SHARED_WINDOW, LOCAL_WINDOW = 1 << 60, 1 << 61  # as in runtime/machine.h
PLAIN, BRANCH, EXIT, BARRIER, TOGETHER = range(5)
SPACES = {"": 0, "global": 1, "shared": 2, "local": 3, "param": 4, "generic": 5, "const": 1}
SPECIAL = {
    name: number
    for number, name in enumerate(
        [f"%{base}.{axis}" for base in ("tid", "ntid", "ctaid", "nctaid") for axis in "xyz"]
        + ["%laneid", "%warpid", *(f"%lanemask_{which}" for which in ("eq", "lt", "le", "ge", "gt"))]
    )
}
# Modifiers that change nothing here: how memory is cached and ordered, and hints.
CACHING = {"volatile", "relaxed", "acquire", "release", "acq_rel", "weak", "nc", "ca", "cg", "cs", "lu", "cv", "wb", "wt"}
CACHING |= {"cta", "cluster", "gpu", "sys", "uni", "aligned", "noftz", "unified"}


@dataclass(slots=True)
class Operation:
    """What the runtime executes: registers by name, which program.py turns into places."""

    name: str
    writes: list[str]
    reads: list[str]
    kind: int = PLAIN
    space: int = 0
    wide: int = 0
    immediate: int = 0
    guard: str = ""
    negated: bool = False
    mask: str = ""
    where: int = -1


class Encoder:
    """Encodes one kernel. `operations` is the result; `starts[n]` is where PTX instruction n begins in it.

    Registers are named as in PTX; `=4:15` is a constant of 4 bytes, `@4:8` 4 bytes at offset 8 of the parameters,
    `%tid.x` a special register, `~4:0` a helper.
    """

    def __init__(self, file: File, kernel: Kernel, addresses: dict[str, int], known: dict[str, int]) -> None:
        self.file, self.kernel, self.addresses, self.known = file, kernel, addresses, known
        self.operations: list[Operation] = []
        self.starts: list[int] = []
        self.helpers = 0
        self.fences = False
        self.parameters = {p.name: p for p in kernel.parameters}
        for instruction in kernel.instructions:
            self.encode(instruction)
        self.starts.append(len(self.operations))
        self.operations.append(Operation("", [], [], EXIT))
        for operation in self.operations:
            if operation.kind == BRANCH:
                operation.immediate = self.starts[operation.immediate]

    # ---------------------------------------------------------------------------------------- one instruction

    def encode(self, i: Instruction) -> None:
        self.now = i
        self.starts.append(len(self.operations))
        self.after: list[tuple[str, list[str], list[str]]] = []
        method = _METHODS.get(i.opcode, Encoder.arithmetic)
        try:
            method(self, i, list(i.modifiers), list(i.operands))
        except (UnsupportedPTX, LookupError, ValueError, StopIteration, AttributeError) as error:
            raise error if str(error).startswith(f"{self.kernel.name}: ") else self.fail() from error
        for name, writes, reads in self.after:
            self.add(name, writes, reads)
        # What was counted is the instruction itself, not what was put before or after it.
        own = self.operations[self.starts[-1] :]
        main = next((o for o in own if o.space), None) or next((o for o in own if not o.name.startswith("cvt.")), None)
        for operation in own[:1] if main is None else [main]:
            operation.where = i.number

    def fail(self, why: str = "") -> UnsupportedPTX:
        text = f"{self.kernel.name}: the simulator does not know the PTX instruction {self.now.text!r}"
        return UnsupportedPTX(f"{text} (line {self.now.line} of the source){why and ': ' + why}")

    def add(self, name: str, writes: list[str], reads: list[str], kind: int = PLAIN, **more) -> None:
        if name and name not in self.known:
            raise self.fail()
        guard = self.register(self.now.guard) if self.now.guard else ""
        self.operations.append(Operation(name, writes, reads, kind, guard=guard, negated=self.now.negated, **more))

    # ---------------------------------------------------------------------------------------- operands

    def register(self, text: str) -> str:
        self.width(text)
        return text

    def width(self, text: str) -> int:
        """The bytes of a register."""
        if text[0] in "=@~":
            return int(text[1:].split(":")[0])
        if text in SPECIAL:
            return 4
        kind = self.kernel.registers.get(text) or self.kernel.registers.get(text.rstrip("0123456789"))
        if kind is None:
            raise self.fail(f"{text} is not a register")
        return size_of(kind)

    def is_register(self, text: str) -> bool:
        registers = self.kernel.registers
        return text in SPECIAL or text in registers or text.rstrip("0123456789") in registers

    def helper(self, width: int) -> str:
        self.helpers += 1
        return f"~{width}:{self.helpers}"

    def constant(self, value: int, width: int) -> str:
        return f"={width}:{value % (1 << 8 * width)}"

    def symbol(self, name: str) -> int | None:
        """The address of a variable."""
        for space in (self.kernel.shared, self.kernel.local, self.addresses):
            if name in space:
                return space[name]
        return None

    def read(self, text: str, kind: str) -> str:
        """The register that holds an operand of a type; constants have one, too."""
        width = size_of(kind)
        if self.is_register(text):
            have = self.width(text)
            if have == width:
                return text
            result = self.helper(width)
            self.add(f"cvt.u{8 * width}.u{8 * have}", [result], [text])
            return result
        if match := re.fullmatch(r"0[fF]([0-9a-fA-F]{8})|0[dD]([0-9a-fA-F]{16})", text):
            return self.constant(int(match[1] or match[2], 16), width)
        if re.fullmatch(r"-?(0[xX][0-9a-fA-F]+|\d+)U?", text):
            return self.constant(int(text.rstrip("U"), 0 if text.lstrip("-0U") else 10), width)
        if text == "WARP_SZ":
            return self.constant(32, width)
        address = self.symbol(text)
        if address is None:
            raise self.fail(f"{text!r} is no operand")
        return self.constant(address, width)

    def write(self, text: str, kind: str) -> str:
        """The register to write a value of a type to; if it is wider, the value is extended afterwards."""
        width = size_of(kind)
        if text == "_":
            return self.helper(width)
        have = self.width(text)
        if have == width:
            return text
        result, sign = self.helper(width), "s" if kind[0] == "s" else "u"
        self.after.append((f"cvt.{sign}{8 * have}.{sign}{8 * width}", [text], [result]))
        return result

    def address(self, text: str) -> tuple[str, int, int]:
        """`[register + offset]`: the register, whether it has 64 bits, and the offset."""
        match = re.fullmatch(r"\[\s*([^+\]]+?)\s*(?:\+\s*(-?\w+))?\s*\]", text)
        if not match:
            raise self.fail(f"{text!r} is no address")
        base, offset = match[1], int(match[2] or "0", 0)
        if self.is_register(base):
            return base, int(self.width(base) == 8), offset
        return self.read(base, "u64"), 1, offset

    # ---------------------------------------------------------------------------------------- arithmetic and moves

    def arithmetic(self, i: Instruction, mods: list[str], operands: list[str]) -> None:
        kind = mods[-1] if mods else ""
        floating = kind in ("f32", "f64")
        drop = {"approx", "full", "ftz", *(("rn", "sat") if floating or kind[:1] in "fb" else ())}
        flush, saturate = "ftz" in mods and kind == "f32", "sat" in mods and floating
        mods = [m for m in mods if m not in drop]
        opcode = "fma" if i.opcode == "mad" and floating else i.opcode
        types = _operand_types(opcode, mods, len(operands))
        reads = [self.read(text, t) for text, t in zip(operands[1:], types[1:])]
        if flush:
            reads = [self.through("flush.f32", r, 4) if t == "f32" else r for r, t in zip(reads, types[1:])]
        target = self.write(operands[0], types[0])
        if saturate:
            self.after.insert(0, ("sat." + kind, [target], [target]))
        if flush and types[0] == "f32":
            self.after.insert(0, ("flush.f32", [target], [target]))
        self.add(".".join([opcode, *mods]), [target], reads)

    def through(self, name: str, register: str, width: int) -> str:
        result = self.helper(width)
        self.add(name, [result], [register])
        return result

    def mov(self, i: Instruction, mods: list[str], operands: list[str]) -> None:
        kind = mods[-1]
        width = size_of(kind)
        target, source = operands
        if "{" in target + source:
            vector = split_vector(target if "{" in target else source)
            part = width // len(vector)
            name = f"pack.b{8 * width}.b{8 * part}"
            if "{" in source:
                self.add(name, [self.write(target, kind)], [self.read(v, f"b{8 * part}") for v in vector])
            else:
                self.add("un" + name, [self.write(v, f"b{8 * part}") for v in vector], [self.read(source, kind)])
            return
        self.add(_bits("mov", kind), [self.write(target, kind)], [self.read(source, kind)])

    def selp(self, i: Instruction, mods: list[str], operands: list[str]) -> None:
        kind = mods[-1]
        reads = [self.read(operands[1], kind), self.read(operands[2], kind), self.read(operands[3], "pred")]
        self.add(_bits("selp", kind), [self.write(operands[0], kind)], reads)

    def setp(self, i: Instruction, mods: list[str], operands: list[str]) -> None:
        kind, combine = mods[-1], next((m for m in mods if m in ("and", "or", "xor")), None)
        targets = operands[0].split("|")
        reads = [self.read(text, kind) for text in operands[1:3]]
        if "ftz" in mods:
            reads = [self.through("flush.f32", r, 4) for r in reads]
        compared = self.helper(4) if combine or len(targets) > 1 else targets[0]
        comparison = {"lo": "lt", "ls": "le", "hi": "gt", "hs": "ge"}.get(mods[0], mods[0])
        kind = kind.replace("b", "u") if kind in ("b16", "b32", "b64") else kind
        self.add(f"setp.{comparison}.{kind}", [compared], reads)
        if compared == targets[0]:
            return
        inverse = self.through("not.pred", compared, 4)
        last = operands[3] if combine else ""
        other = self.read(last.lstrip("!"), "pred") if combine else ""
        if last.startswith("!"):
            other = self.through("not.pred", other, 4)
        for target, value in zip(targets, (compared, inverse)):
            if target != "_":
                self.add(f"{combine or 'mov'}.pred", [target], [value, other] if combine else [value])

    def set(self, i: Instruction, mods: list[str], operands: list[str]) -> None:
        truth, (target, *others) = self.helper(4), operands
        result = mods[-2]
        self.kernel.registers[truth] = "pred"
        self.setp(i, [m for m in mods[:-2]] + [mods[-1]], [truth, *others])
        one = self.constant(0x3F800000 if result == "f32" else -1, 4)
        self.add("selp.b32", [self.write(target, result)], [one, self.constant(0, 4), truth])

    def cvt(self, i: Instruction, mods: list[str], operands: list[str]) -> None:
        to, source = mods[-2], mods[-1]
        rounding = [m for m in mods[:-2] if m not in ("ftz", "sat")]
        integers = to[0] in "us" and source[0] in "us"
        reads = [self.read(text, source) for text in operands[1:]]
        if "ftz" in mods and source == "f32":
            reads = [self.through("flush.f32", r, 4) for r in reads]
        target = self.write(operands[0], to)
        if "sat" in mods and to in ("f32", "f64"):
            self.after.insert(0, (f"sat.{to}", [target], [target]))
        if "ftz" in mods and to == "f32":
            self.after.insert(0, ("flush.f32", [target], [target]))
        if integers:
            rounding = ["sat"] if "sat" in mods else []
        self.add(".".join(["cvt", *rounding, to, source]), [target], reads)

    def cvta(self, i: Instruction, mods: list[str], operands: list[str]) -> None:
        space = next(m for m in mods if m in SPACES)
        if space == "param":
            raise self.fail()
        target, source = self.write(operands[0], "u64"), self.read(operands[1], "u64")
        window = {"shared": SHARED_WINDOW, "local": LOCAL_WINDOW}.get(space)
        if window is None:
            self.add("mov.b64", [target], [source])
        else:
            self.add("sub.u64" if "to" in mods else "add.u64", [target], [source, self.constant(window, 8)])

    # ---------------------------------------------------------------------------------------- memory

    def space(self, mods: list[str]) -> tuple[str, list[str]]:
        """The space that modifiers name, and the modifiers that matter besides."""
        space, rest = "generic", []
        for m in mods:
            if (base := m.split("::")[0]) in SPACES:
                space = base
            elif m not in CACHING and base not in ("L1", "L2"):
                rest.append(m)
        return space, rest

    def ld(self, i: Instruction, mods: list[str], operands: list[str]) -> None:
        space, rest = self.space(mods)
        kind, vector = rest[-1], split_vector(operands[0])
        width = size_of(kind)
        base = operands[1].strip("[] ").split("+")
        if space == "param" and base[0] in self.parameters:
            offset = self.parameters[base[0]].offset + int(base[1] if len(base) > 1 else "0", 0)
            name = f"mov.b{8 * width}" if width > 1 else "cvt.u8.u8"
            for k, target in enumerate(vector):
                self.add(name, [self.write(target, kind)], [f"@{width}:{offset + k * width}"])
            return
        register, wide, offset = self.address(operands[1])
        name = ".".join(["ld", *rest[:-1], f"b{8 * width}"])
        self.add(name, [self.write(v, kind) for v in vector], [register], space=SPACES[space], wide=wide, immediate=offset)

    def st(self, i: Instruction, mods: list[str], operands: list[str]) -> None:
        space, rest = self.space(mods)
        kind = rest[-1]
        register, wide, offset = self.address(operands[0])
        reads = [register, *(self.read(v, kind) for v in split_vector(operands[1]))]
        name = ".".join(["st", *rest[:-1], f"b{8 * size_of(kind)}"])
        self.add(name, [], reads, space=SPACES[space], wide=wide, immediate=offset)

    def atom(self, i: Instruction, mods: list[str], operands: list[str]) -> None:
        space, rest = self.space(mods)
        kind = rest[-1]
        target = self.write(operands.pop(0), kind) if i.opcode == "atom" else self.helper(size_of(kind))
        register, wide, offset = self.address(operands[0])
        reads = [register, *(self.read(text, kind) for text in operands[1:])]
        self.add(".".join(["atom", *rest]), [target], reads, space=SPACES[space], wide=wide, immediate=offset)

    def cp(self, i: Instruction, mods: list[str], operands: list[str]) -> None:
        if mods[:1] != ["async"]:
            raise self.fail()
        if mods[1] in ("commit_group", "wait_group", "wait_all"):
            wait = -1 if mods[1] == "wait_all" else int(operands[0]) if operands else 0
            self.add("cp.async." + mods[1].replace("all", "group"), [], [], immediate=wait)
            return
        (to, wide, to_offset), (source, source_wide, offset) = self.address(operands[0]), self.address(operands[1])
        known = all(m in {"async", "ca", "cg"} or m[:2] in ("sh", "gl", "L2") for m in mods)
        if not source_wide or len(operands) > 4 or not known:
            raise self.fail()
        given = self.read(operands[3] if len(operands) == 4 else operands[2], "u32")
        immediate = offset << 32 | to_offset & 0xFFFFFFFF
        name = f"cp.async.{operands[2]}"
        self.add(name, [], [to, source, given], space=SPACES["shared"], wide=1 | wide << 1, immediate=immediate)

    # ---------------------------------------------------------------------------------------- the warp together

    def together(self, name: str, writes: list[str], reads: list[str], mask: str, **more) -> None:
        member = self.read(mask, "b32") if mask else ""
        self.add(name, writes, [*reads, *([member] if member else [])], TOGETHER, mask=member, **more)

    def shfl(self, i: Instruction, mods: list[str], operands: list[str]) -> None:
        target, _, flag = operands[0].partition("|")
        writes = [self.write(target, "b32"), flag if flag and flag != "_" else self.helper(4)]
        reads = [self.read(text, "b32") for text in operands[1:4]]
        if mods[0] != "sync":
            raise self.fail("shuffles without .sync are of the time before sm_70")
        self.together(f"shfl.{mods[1]}", writes, reads, operands[4])

    def vote(self, i: Instruction, mods: list[str], operands: list[str]) -> None:
        target = self.write(operands[0], "b32" if mods[1] == "ballot" else "pred")
        source = self.read(operands[1].lstrip("!"), "pred")
        self.together(f"vote.{mods[1]}", [target], [source], operands[2], immediate=int(operands[1].startswith("!")))

    def match(self, i: Instruction, mods: list[str], operands: list[str]) -> None:
        target, _, flag = operands[0].partition("|")
        writes = [self.write(target, "b32")]
        if mods[0] == "all":
            writes.append(flag if flag and flag != "_" else self.helper(4))
        self.together(f"match.{mods[0]}.{mods[-1]}", writes, [self.read(operands[1], mods[-1])], operands[2])

    def redux(self, i: Instruction, mods: list[str], operands: list[str]) -> None:
        kind = mods[-1]
        self.together(f"redux.{mods[1]}.{kind}", [self.write(operands[0], kind)], [self.read(operands[1], kind)], operands[2])

    def activemask(self, i: Instruction, mods: list[str], operands: list[str]) -> None:
        self.add("activemask", [self.write(operands[0], "b32")], [])

    def bar(self, i: Instruction, mods: list[str], operands: list[str]) -> None:
        if "warp" in mods:
            self.together("bar.warp", [], [], operands[0])
        elif "sync" in mods and len(operands) == 1:
            self.add("", [], [], BARRIER)
        else:
            raise self.fail("only barriers that all threads of a block take part in are simulated")

    def mma(self, i: Instruction, mods: list[str], operands: list[str]) -> None:
        shape = next(m for m in mods if m[0] == "m" and m[1:2].isdigit())
        types = [m for m in mods if m not in ("sync", "aligned", "row", "col", shape)]
        if mods.count("row") != 1 or mods.count("col") != 1:
            raise self.fail("only A in rows and B in columns exist here")
        parts = [split_vector(text) for text in operands]
        reads = [self.read(v, "b32") for part in parts[1:] for v in part]
        self.together(".".join(["mma", shape, *types]), [self.write(v, "b32") for v in parts[0]], reads, "")

    def ldmatrix(self, i: Instruction, mods: list[str], operands: list[str]) -> None:
        if "m8n8" not in mods or mods[-1] != "b16":
            raise self.fail()
        register, wide, offset = self.address(operands[1])
        name = ".".join(["ldmatrix", *(m for m in mods if m in ("x1", "x2", "x4", "trans"))])
        writes = [self.write(v, "b32") for v in split_vector(operands[0])]
        space = SPACES[self.space(mods)[0]]
        self.together(name, writes, [register], "", space=space, wide=wide, immediate=offset)

    # ---------------------------------------------------------------------------------------- control

    def bra(self, i: Instruction, mods: list[str], operands: list[str]) -> None:
        self.add("", [], [], BRANCH, immediate=self.kernel.labels[operands[0]])

    def brx(self, i: Instruction, mods: list[str], operands: list[str]) -> None:
        if i.guard:
            raise self.fail("a guarded jump through a table")
        index = self.read(operands[0], "u32")
        for k, label in enumerate(self.kernel.tables[operands[1]]):
            chosen = self.helper(4)
            self.add("setp.eq.u32", [chosen], [index, self.constant(k, 4)])
            self.operations.append(Operation("", [], [], BRANCH, immediate=self.kernel.labels[label], guard=chosen))

    def leave(self, i: Instruction, mods: list[str], operands: list[str]) -> None:
        if i.opcode == "trap":
            self.add("trap", [], [])
        self.add("", [], [], EXIT)

    def nothing(self, i: Instruction, mods: list[str], operands: list[str]) -> None:
        self.fences |= i.opcode in ("membar", "fence")
        self.add("nothing", [], [])


_METHODS: dict[str, Callable] = {
    method.__name__: method
    for method in (
        Encoder.mov, Encoder.selp, Encoder.setp, Encoder.set, Encoder.cvt, Encoder.cvta, Encoder.ld, Encoder.st, Encoder.atom,
        Encoder.cp, Encoder.shfl, Encoder.vote, Encoder.match, Encoder.redux, Encoder.activemask, Encoder.bar, Encoder.mma,
        Encoder.ldmatrix, Encoder.bra, Encoder.brx,
    )
} | {
    "red": Encoder.atom, "ldu": Encoder.ld, "barrier": Encoder.bar, "ret": Encoder.leave, "exit": Encoder.leave,
    "trap": Encoder.leave, "membar": Encoder.nothing, "fence": Encoder.nothing, "prefetch": Encoder.nothing,
    "prefetchu": Encoder.nothing, "nanosleep": Encoder.nothing, "discard": Encoder.nothing, "applypriority": Encoder.nothing,
}  # fmt: skip


def _operand_types(opcode: str, mods: list[str], count: int) -> list[str]:
    """The types of the operands, the result first: all the same, except for a few."""
    kind = mods[-1] if mods else ""
    twice = f"{kind[:1]}{16 * size_of(kind)}" if "wide" in mods else kind
    special = {
        "shl": [kind, kind, "u32"], "shr": [kind, kind, "u32"], "shf": ["b32", "b32", "b32", "u32"],
        "bfe": [kind, kind, "u32", "u32"], "bfi": [kind, kind, kind, "u32", "u32"],
        "popc": ["u32", kind], "clz": ["u32", kind], "bfind": ["u32", kind],
        "mul": [twice, kind, kind], "mad": [twice, kind, kind, twice],
    }  # fmt: skip
    types = special.get(opcode, [kind] * count)
    return types if len(types) == count else [kind] * count


def _bits(name: str, kind: str) -> str:
    """The operation on bits, whatever the type: mov.f32 is mov.b32."""
    return f"{name}.pred" if kind == "pred" else f"{name}.b{8 * size_of(kind)}"


def split_vector(text: str) -> list[str]:
    """The registers of `{%r1, %r2}`; of `%r1`, itself.

    >>> split_vector("{%r1, %r2}"), split_vector("%r1")
    (['%r1', '%r2'], ['%r1'])
    """
    return [part.strip() for part in text.strip("{} ").split(",")]
