"""How rules are combined, as a person writes it: `image_quality and (clip_score or layout_agreement.agreement >= 0.4)`.

A bare rule's name stands for its verdict; `rule >= 0.4` compares its value, `rule.measure < 3` any number it measured.
What has not been measured yet is unknown, and `and`, `or`, `not` reckon with that (Kleene's three-valued logic): an
image is out as soon as nothing could still save it, and the expensive rules need not look at it.
"""

from __future__ import annotations

import ast
import difflib
import operator
from collections.abc import Callable, Collection, Mapping
from typing import Any

from earthsynth_factory.domain.sample import Score
from earthsynth_factory.errors import InputError

MAX_LENGTH = 2000

_COMPARISONS: dict[type[ast.cmpop], Callable[[float, float], bool]] = {
    ast.GtE: operator.ge,
    ast.Gt: operator.gt,
    ast.LtE: operator.le,
    ast.Lt: operator.lt,
}


class ExpressionError(InputError):
    """A part of an expression that is not understood. at: how many characters before it."""

    def __init__(self, message: str, at: int = 0) -> None:
        super().__init__(message)
        self.at = at


class Expression:
    """A parsed expression. Raises ExpressionError that names the part not understood."""

    def __init__(self, text: str, rules: Collection[str]) -> None:
        if len(text) > MAX_LENGTH:
            raise InputError(f"keep: {len(text)} characters; an expression has at most {MAX_LENGTH}")
        try:
            self._tree = ast.parse(text.strip(), mode="eval").body
        except (SyntaxError, ValueError, RecursionError) as error:
            said = f"keep: {text!r} is no expression ({error}); join rules by and, or, not"
            raise ExpressionError(said, (getattr(error, "offset", None) or 1) - 1) from error
        self._rules = rules
        self._check(self._tree)

    def __call__(self, scores: Mapping[str, Score], measures: Mapping[str, Mapping[str, float]]) -> bool | None:
        """True, False, or None while what is measured leaves it open. Both mappings lack rules not yet asked."""
        return self._value(self._tree, scores, measures)

    def _check(self, node: ast.expr) -> None:
        match node:
            case ast.BoolOp(values=values):
                for value in values:
                    self._check(value)
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                self._check(operand)
            case ast.Name(id=name):
                self._known(name, node.col_offset)
            case ast.Compare(left=left, ops=[op], comparators=[right]) if type(op) in _COMPARISONS:
                _number(right)
                self._known(_operand(left)[0], left.col_offset)
            case _:
                raise ExpressionError(
                    f"keep: {ast.unparse(node)!r} is not understood; write rule, rule >= 0.4, and, or, not",
                    node.col_offset,
                )

    def _known(self, name: str, at: int) -> None:
        if name in self._rules:
            return
        near = difflib.get_close_matches(name, self._rules, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(self._rules)}"
        raise ExpressionError(f"keep: no rule is called {name!r}; {hint}", at)

    def _value(self, node: ast.expr, scores: Mapping[str, Score], measures: Mapping[str, Any]) -> bool | None:
        match node:
            case ast.BoolOp(op=op, values=values):
                decisive = isinstance(op, ast.Or)
                found = [self._value(value, scores, measures) for value in values]
                if decisive in found:
                    return decisive
                return None if None in found else not decisive
            case ast.UnaryOp(operand=operand):
                inner = self._value(operand, scores, measures)
                return None if inner is None else not inner
            case ast.Name(id=name):
                return scores[name].passed if name in scores else None
            case ast.Compare(left=left, ops=[op], comparators=[right]):
                name, measure = _operand(left)
                if name not in scores:
                    return None
                value = scores[name].value if measure is None else measures[name].get(measure)
                # A rule that does not apply to an image does not stand in its way.
                return True if value is None else _COMPARISONS[type(op)](value, _number(right))
        raise AssertionError("checked when it was parsed")


def _operand(node: ast.expr) -> tuple[str, str | None]:
    match node:
        case ast.Name(id=name):
            return name, None
        case ast.Attribute(value=ast.Name(id=name), attr=measure):
            return name, measure
    raise ExpressionError(
        f"keep: {ast.unparse(node)!r} cannot be compared; write rule or rule.measure", node.col_offset
    )


def _number(node: ast.expr) -> float:
    match node:
        case ast.Constant(value=int() | float() as value):
            return _finite(value)
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float() as value)):
            return -_finite(value)
    raise ExpressionError(f"keep: {ast.unparse(node)!r} is no number; compare with a number", node.col_offset)


def _finite(value: float) -> float:
    if isinstance(value, int) and abs(value) >= 1 << 63:
        raise ExpressionError("keep: a number of more than 18 digits; compare with one that a rule may measure")
    return float(value)
