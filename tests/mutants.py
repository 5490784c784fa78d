"""Break every derivative rule on purpose, and see that the tests notice: make mutants

A mutant is a rule with one change: an operator swapped, a number altered, a name replaced by another that the rule also
has, a call replaced by its argument, or the whole result negated, zeroed or scaled by 1.01. For each mutant the cases
of tests/ops/cases.py that run the rule are checked against finite differences. A mutant that no case notices survives:
either a case is missing, or the change makes no difference, which has to be explained in EQUIVALENT.
"""

from __future__ import annotations

import ast
import copy
import inspect
import re
import sys
import textwrap
from collections.abc import Callable, Iterator

import numpy as np

import minigrad as mg
from minigrad.autograd import gradcheck, gradgradcheck
from minigrad.fast import use_fast_paths
from minigrad.op import REGISTRY

from .ops.cases import Case
from .ops.test_cases import cases_of_rules, compare, ours, theirs

# Changes that leave the derivative as it is (a pattern for "operation.argument: change"), with the reason.
EQUIVALENT: list[tuple[str, str]] = [
    (r"(sign|floor|ceil|round|trunc)\.input: (negated|zero|1 % too large|g -> )", "the derivative is zero, times anything"),
    (r"(linear|matmul)\.(input|weight|other): (in _rows|in _by_matrix|_rows\(|_by_matrix\(|len\(|other -> g|g -> input)", "another way to the same product, only slower"),
    (r"(linear|matmul)\.\w+: in _product: bias -> ", "no rule has a bias to add"),
    (r".*\(line \d+, 1\)$", "a size of -1 became -2, which NumPy reads as -1 too, or a comparison with another way to the same result"),
    (r"tanh\.input: (type\(\.\.\.\) -> its argument|g -> out) \(line 3, (type\(g\)|g)\)", "asks which of two ways to the same slope to go; g and out are alike"),
    (r"pow\.input: (1\.0 -> 2\.0|other -> g|g -> input)", "the value is multiplied by a zero exponent"),
    (r"embedding\.weight: in _embedding_slope: padding_idx -> ", "no index equals what the padding is compared with then"),
    (r"embedding\.weight: in _embedding_slope: (getattr|input -> )", "an index may be an array or a Tensor"),
    (r"(windows|overlap_add)\.input: (kernel|size) -> (dilation|stride)", "only how many numbers there are is read, one for each dimension"),
    (r"scatter_extreme\.input: (input -> out|out -> input|in _winners: (Mult -> Div|input -> out|out -> input|out -> g|tuple\())", "it is multiplied by (input == out), and there it is the same"),
    (r"transfer\.input", "runs only where there is a second device"),
]

SWAPS = {ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.MatMult: ast.Mult}
COMPARISONS = {
    ast.Gt: ast.Lt, ast.Lt: ast.Gt, ast.GtE: ast.LtE, ast.LtE: ast.GtE, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is,
}  # fmt: skip


def source_of(rule: Callable) -> tuple[ast.Module, str] | None:
    """The syntax tree of a rule and the name it is bound to; None for what cannot be read."""
    if rule.__name__ != "<lambda>":
        return _formula(rule), rule.__name__
    lines, _ = inspect.findsource(rule)  # the whole file: a lambda stands somewhere in a decorator
    inside = next((p for p in rule.__code__.co_positions() if p[2] is not None and p[1] == p[0] and p[3] > p[2]), None)
    for node in ast.walk(ast.parse("".join(lines))):
        if isinstance(node, ast.Lambda) and inside is not None:
            body = node.body
            starts, ends = (body.lineno, body.col_offset), (body.end_lineno, body.end_col_offset)
            if starts <= (inside[0], inside[2]) and (inside[1], inside[3]) <= ends:
                module = ast.Module([ast.Assign([ast.Name("rule", ast.Store())], node)], [])
                return ast.fix_missing_locations(module), "rule"
    return None


def _formula(function: Callable) -> ast.Module:
    """A function without its decorators: which kernel is asked first is no part of a rule."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    tree.body[0].decorator_list = []  # type: ignore[attr-defined]
    return tree


def changes(tree: ast.Module) -> Iterator[tuple[str, ast.Module]]:
    """Every tree with one change, and what it is."""
    nodes = list(ast.walk(tree))
    names = sorted({a.arg for n in nodes if isinstance(n, ast.arguments) for a in n.args})
    for index, node in enumerate(nodes):
        options: list[tuple[str, Callable[[ast.AST], ast.AST]]] = []
        if isinstance(node, ast.BinOp) and type(node.op) in SWAPS:
            new = SWAPS[type(node.op)]
            options.append((f"{type(node.op).__name__} -> {new.__name__}", lambda n, new=new: _set(n, "op", new())))
            options.append(("right operand only", lambda n: n.right))
            options.append(("left operand only", lambda n: n.left))
        elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
            options.append(("minus dropped", lambda n: n.operand))
        elif isinstance(node, ast.Compare) and type(node.ops[0]) in COMPARISONS:
            new = COMPARISONS[type(node.ops[0])]
            options.append((f"{type(node.ops[0]).__name__} -> {new.__name__}", lambda n, new=new: _set(n, "ops", [new()])))
        elif isinstance(node, ast.Constant) and type(node.value) in (int, float):
            options.append((f"{node.value} -> {node.value + 1}", lambda n: ast.Constant(n.value + 1)))
        elif isinstance(node, ast.IfExp):
            options.append(("condition inverted", lambda n: ast.IfExp(n.test, n.orelse, n.body)))
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and node.id in names:
            for other in names:
                if other != node.id and not other.endswith("_shape") and not node.id.endswith("_shape"):
                    options.append((f"{node.id} -> {other}", lambda n, other=other: ast.Name(other, ast.Load())))
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.args:
            options.append((f"{node.func.id}(...) -> its argument", lambda n: n.args[0]))
        for what, change in options:
            mutated = copy.deepcopy(tree)
            target = list(ast.walk(mutated))[index]
            new_node = change(target)
            if new_node is not target:
                mutated = _Replace(target, new_node).visit(mutated)
            yield f"{what} (line {getattr(node, 'lineno', 0)}, {ast.unparse(node)[:40]})", ast.fix_missing_locations(mutated)


def _set(node: ast.AST, field: str, value: object) -> ast.AST:
    setattr(node, field, value)
    return node


class _Replace(ast.NodeTransformer):
    def __init__(self, old: ast.AST, new: ast.AST) -> None:
        self.old, self.new = old, new

    def visit(self, node: ast.AST) -> ast.AST:
        return self.new if node is self.old else self.generic_visit(node)


def mutants(rule: Callable) -> Iterator[tuple[str, Callable]]:
    yield "negated", lambda g, *a: -_dense(rule(g, *a))
    yield "zero", lambda g, *a: _dense(rule(g, *a)) * 0
    yield "1 % too large", lambda g, *a: _dense(rule(g, *a)) * 1.01
    rule = inspect.unwrap(rule)
    found = source_of(rule)
    if found is None:
        raise RuntimeError(f"cannot read the source of {rule}")
    tree, name = found
    helpers = [(tree, name, None)]
    # What a lambda delegates to (its slope functions) is part of the rule.
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            helper = rule.__globals__.get(node.func.id)
            if inspect.isfunction(helper) and node.func.id.startswith("_") and not hasattr(helper, "op"):
                helpers.append((_formula(helper), helper.__name__, node.func.id))
    for module, bound, replaces in helpers:
        for what, mutated in changes(module):
            scope = dict(rule.__globals__)
            try:
                exec(compile(mutated, "<mutant>", "exec"), scope)
            except SyntaxError:
                continue
            if replaces is None:
                yield what, scope[bound]
            else:
                patched = scope[bound]
                yield f"in {replaces}: {what}", _rebound(rule, replaces, patched)


def _rebound(rule: Callable, name: str, value: Callable) -> Callable:
    """The rule with one of the functions that it calls replaced."""
    scope = dict(rule.__globals__, **{name: value})
    return type(rule)(rule.__code__, scope, rule.__name__, rule.__defaults__, rule.__closure__)


def _dense(g):
    from minigrad.autograd import At

    if isinstance(g, At):
        dense = np.zeros(g.shape, g.dtype)
        g.add_to(dense)
        return dense
    return g


def notices(case: Case) -> bool:
    """Whether a test of a case fails with the mutant in place, by the formulas or with fast paths, which few rules are for."""
    return fails(case, fast=False) or fails(case, fast=True)


def fails(case: Case, fast: bool) -> bool:
    arrays = case.arrays()
    try:
        with np.errstate(all="ignore"), use_fast_paths(fast):
            compare(case, ours(case, arrays, np.float64), theirs(case, arrays, np.float64), np.float64)
            inputs = ours(case, arrays, np.float64)
            if case.differences:
                gradcheck(lambda *x: case.call(mg, *x), inputs, atol=1e-7, rtol=1e-6)
            if case.differences and case.second:
                gradgradcheck(lambda *x: case.call(mg, *x), inputs, atol=1e-6, rtol=1e-5)
    except (Exception, AssertionError):
        return True
    return False


def main() -> int:
    used = cases_of_rules()
    total, killed, survivors = 0, 0, []
    for name, op in sorted(REGISTRY.items()):
        for argument, (rule, wants) in list(op.rules.items()):
            cases = sorted(used[name, argument], key=lambda c: sum(np.prod(i.shape) for i in c.inputs))
            count = dead = 0
            for what, mutant in mutants(rule):
                count += 1
                op.rules[argument] = (mutant, wants)
                op.plans.clear()
                if any(notices(case) for case in cases):
                    dead += 1
                else:
                    survivors.append(f"{name}.{argument}: {what}")
            op.rules[argument] = (rule, wants)
            op.plans.clear()
            total, killed = total + count, killed + dead
            print(f"{name + '.' + argument:32} {dead:4} of {count:4} mutants killed by {len(cases)} cases", flush=True)
    reasons = {s: next((why for pattern, why in EQUIVALENT if re.match(pattern, s)), None) for s in survivors}
    unexplained = [s for s, why in reasons.items() if why is None]
    print(f"\n{killed} of {total} mutants killed, {len(survivors)} survived, {len(unexplained)} of them unexplained")
    for survivor, why in reasons.items():
        print(f"  {survivor}: {why or 'UNEXPLAINED'}")
    return 1 if unexplained else 0


if __name__ == "__main__":
    sys.exit(main())
