"""Small faults planted in source code, one at a time: the mutants of `tests.tools.mutants`."""

from __future__ import annotations

import ast
import copy
import difflib
import warnings
from collections.abc import Iterator
from dataclasses import dataclass

_COMPARED: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}
_COMPUTED: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult,
    ast.Pow: ast.Mult,
    ast.BitOr: ast.BitAnd,
    ast.BitAnd: ast.BitOr,
    ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
}
_CALLED = {
    "min": "max",
    "max": "min",
    "any": "all",
    "all": "any",
    "floor": "ceil",
    "ceil": "floor",
    "startswith": "endswith",
    "endswith": "startswith",
    "lstrip": "rstrip",
    "rstrip": "lstrip",
    "partition": "rpartition",
    "rpartition": "partition",
}


@dataclass(frozen=True)
class Mutant:
    """A source with one fault in it, and where that is (lines from 1)."""

    kind: str
    first_line: int
    last_line: int
    source: str
    # Code at the level of a module or a class runs when it is imported, in no test.
    at_import: bool
    # The names of the class and the function around it, with dots.
    within: str

    def changed(self, original: str) -> tuple[str, str]:
        """Return the lines that differ, before and after, without the blanks around them."""
        before, after = original.splitlines(), self.source.splitlines()
        was: list[str] = []
        becomes: list[str] = []
        for tag, i, j, k, m in difflib.SequenceMatcher(None, before, after, False).get_opcodes():
            if tag != "equal":
                was += before[i:j]
                becomes += after[k:m]
        return " ".join(" ".join(was).split()), " ".join(" ".join(becomes).split())

    def diff(self, original: str, path: str) -> str:
        """Return the fault as a unified diff with a line of context."""
        lines = difflib.unified_diff(
            original.splitlines(), self.source.splitlines(), path, path, n=1, lineterm=""
        )
        return "\n".join(list(lines)[2:])


def mutants(source: str) -> list[Mutant]:
    """Return every mutant of a module's source, in the order of its text.

    Left alone are: docstrings (of attributes, too), annotations, imports, decorators, the options
    of classes (`frozen`, `gc`), code for type checkers, types, `__all__`, and what an
    `assert_never` guards.
    """
    found: list[Mutant] = []
    seen = {source}
    tree = ast.parse(source)
    for at_import, (node, changed, kind) in _of_block(tree.body, at_import=True, removable=False):
        text = _replaced(source, node, changed)
        if text in seen:
            continue
        seen.add(text)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                compile(text, "mutant", "exec")
            except SyntaxError:
                continue
        last = node.end_lineno or node.lineno
        found.append(Mutant(kind, node.lineno, last, text, at_import, _around(tree, node.lineno)))
    return found


def _around(tree: ast.AST, line: int) -> str:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.stmt) and node.lineno <= line <= (node.end_lineno or 0):
            inner = _around(node, line)
            named = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
            return ".".join(part for part in (getattr(node, "name", "") * named, inner) if part)
    return ""


_Place = ast.expr | ast.stmt
# The node, the text that takes its place, the kind of the fault.
_Fault = tuple[_Place, str, str]
# The same, and whether the code runs at import.
_Found = tuple[bool, _Fault]


def _of_block(body: list[ast.stmt], *, at_import: bool, removable: bool) -> Iterator[_Found]:
    for statement in body:
        if _is_left_alone(statement):
            continue
        if removable and _is_removable(statement):
            yield at_import, (statement, "pass", "deleted statement")
        yield from _of_statement(statement, at_import=at_import)


def _of_statement(statement: ast.stmt, *, at_import: bool) -> Iterator[_Found]:
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef):
        for default in [*statement.args.defaults, *statement.args.kw_defaults]:
            if default is not None:
                yield from _marked(_of_expression(default), at_import=True)
        yield from _of_block(statement.body, at_import=False, removable=True)
        return
    if isinstance(statement, ast.ClassDef):
        yield from _of_block(statement.body, at_import=True, removable=False)
        return
    yield from _marked(_of_whole(statement), at_import=at_import)
    for part in ast.iter_child_nodes(statement):
        if isinstance(part, ast.match_case):
            yield from _marked(_of_pattern(part), at_import=at_import)
            yield from _of_block(part.body, at_import=at_import, removable=True)
        elif isinstance(part, ast.ExceptHandler):
            yield from _of_block(part.body, at_import=at_import, removable=True)
        elif isinstance(part, ast.withitem):
            yield from _marked(_of_expression(part.context_expr), at_import=at_import)
        elif isinstance(part, ast.expr) and part is not getattr(statement, "annotation", None):
            yield from _marked(_of_expression(part), at_import=at_import)
    for name in ("body", "orelse", "finalbody"):
        yield from _of_block(getattr(statement, name, []), at_import=at_import, removable=True)


def _marked(faults: Iterator[_Fault], *, at_import: bool) -> Iterator[_Found]:
    return ((at_import, fault) for fault in faults)


def _of_whole(statement: ast.stmt) -> Iterator[_Fault]:
    match statement:
        case ast.Return(value=ast.expr() as value) if not _is_none(value):
            yield statement, "return None", "return None"
        case ast.Continue():
            yield statement, "break", "break for continue"
        case ast.Break():
            yield statement, "continue", "continue for break"
        case ast.AugAssign(op=operator) if type(operator) in _COMPUTED:
            other = copy.copy(statement)
            other.op = _COMPUTED[type(operator)]()
            yield statement, ast.unparse(other), "arithmetic"
        case ast.If() | ast.While():
            yield from _of_condition(statement.test)
        case _:
            pass


def _of_pattern(case: ast.match_case) -> Iterator[_Fault]:
    for pattern in ast.walk(case.pattern):
        if isinstance(pattern, ast.MatchValue) and isinstance(pattern.value, ast.Constant):
            yield from _of_expression(pattern.value)
    if case.guard is not None:
        yield from _of_condition(case.guard)
        yield from _of_expression(case.guard)


def _of_condition(test: ast.expr) -> Iterator[_Fault]:
    yield test, "True", "removed branch"
    yield test, "False", "removed branch"
    yield test, f"(not ({ast.unparse(test)}))", "negated condition"


def _of_expression(expression: ast.expr) -> Iterator[_Fault]:
    """Yield the faults of an expression and of those in it.

    Python 3.11 doesn't know where in an f-string its parts are: the whole is replaced.
    """
    if isinstance(expression, ast.JoinedStr):
        for inner, other, kind in _in_formatted(expression):
            whole = copy.deepcopy(expression, {id(inner): other})
            yield expression, ast.unparse(whole), kind
        return
    for other, kind in _mutated(expression):
        yield expression, _grouped(other), kind
    for part in ast.iter_child_nodes(expression):
        if isinstance(part, ast.comprehension):
            yield from _of_expression(part.iter)
            for test in part.ifs:
                yield from _of_condition(test)
                yield from _of_expression(test)
        elif isinstance(part, ast.keyword):
            yield from _of_expression(part.value)
        elif isinstance(part, ast.expr):
            yield from _of_expression(part)


def _in_formatted(whole: ast.JoinedStr) -> Iterator[tuple[ast.expr, ast.expr, str]]:
    """Yield what is mutated in an f-string: the first of its texts, and its expressions."""
    texts = [part for part in whole.values if isinstance(part, ast.Constant)]
    values = [part.value for part in whole.values if isinstance(part, ast.FormattedValue)]
    for node in [*texts[:1], *(inner for value in values for inner in ast.walk(value))]:
        if isinstance(node, ast.expr):
            for other, kind in _mutated(node):
                yield node, other, kind


def _mutated(node: ast.expr) -> Iterator[tuple[ast.expr, str]]:
    match node:
        case ast.Constant():
            yield from _other_constants(node)
        case ast.Compare(left=left, ops=ops, comparators=rights):
            for place, operator in enumerate(ops):
                for other in _COMPARED[type(operator)]:
                    changed = [*ops[:place], other(), *ops[place + 1 :]]
                    yield ast.Compare(left, changed, rights), "comparison"
        case ast.BoolOp(op=joined, values=values):
            opposite = ast.Or() if isinstance(joined, ast.And) else ast.And()
            yield ast.BoolOp(opposite, values), "and and or"
        case ast.UnaryOp(op=ast.Not() | ast.USub() | ast.Invert(), operand=operand):
            yield operand, "deleted operator"
        case ast.BinOp(left=left, op=operator, right=right) if type(operator) in _COMPUTED:
            yield ast.BinOp(left, _COMPUTED[type(operator)](), right), "arithmetic"
        case ast.IfExp(test=test, body=body, orelse=orelse):
            yield ast.IfExp(test, orelse, body), "negated condition"
        case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name)) if name in _CALLED:
            yield _other_call(node, _CALLED[name]), "other function"
        case ast.Slice(lower=lower, upper=upper, step=step):
            ends = [(None, upper)] * (lower is not None) + [(lower, None)] * (upper is not None)
            for begin, end in ends:
                yield ast.Slice(begin, end, step), "slice"
        case _:
            pass


def _other_call(call: ast.Call, name: str) -> ast.Call:
    owner = getattr(call.func, "value", None)
    function = ast.Name(name) if owner is None else ast.Attribute(owner, name)
    return ast.Call(function, call.args, call.keywords)


def _other_constants(node: ast.Constant) -> Iterator[tuple[ast.expr, str]]:
    match node.value:
        case bool() as flag:
            yield ast.Constant(not flag), "constant"
        case int() | float() as number:
            yield ast.Constant(number + 1), "constant"
            yield ast.Constant(number - 1), "constant"
        case str() as text:
            yield ast.Constant(f"XX{text}XX" if text else "XX"), "constant"
        case bytes() as data:
            yield ast.Constant(b"XX" + data), "constant"
        case _:
            pass


def _grouped(node: ast.expr) -> str:
    """Return an expression's text, in brackets where its place could bind more tightly."""
    loose = ast.BinOp | ast.BoolOp | ast.Compare | ast.IfExp | ast.UnaryOp | ast.Lambda
    return f"({ast.unparse(node)})" if isinstance(node, loose) else ast.unparse(node)


def _is_none(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is None


def _is_removable(statement: ast.stmt) -> bool:
    """Tell a statement with an effect: without an assignment to a name, code seldom runs at all."""
    if isinstance(statement, ast.Assign):
        return not all(isinstance(target, ast.Name) for target in statement.targets)
    kinds = ast.Expr | ast.AugAssign | ast.Raise | ast.Delete
    return isinstance(statement, kinds)


def _is_left_alone(statement: ast.stmt) -> bool:
    match statement:
        case ast.Import() | ast.ImportFrom() | ast.Expr(value=ast.Constant(value=str())):
            return True
        case ast.If(test=ast.Name(id="TYPE_CHECKING")):
            return True
        case ast.Assign(targets=[ast.Name(id="__all__")]):
            return True
        case ast.Assign(value=ast.Subscript(value=ast.Name(id="Literal"))):
            return True
        case ast.Expr(value=ast.Call(func=ast.Name(id="assert_never"))):
            return True
        case _:
            return False


def _replaced(source: str, node: _Place, text: str) -> str:
    """Put a text into a node's place; columns count bytes of UTF-8."""
    whole = source.encode()
    starts = [0]
    for line in whole.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    assert node.end_lineno is not None
    assert node.end_col_offset is not None
    begin = starts[node.lineno - 1] + node.col_offset
    end = starts[node.end_lineno - 1] + node.end_col_offset
    return (whole[:begin] + text.encode() + whole[end:]).decode()
