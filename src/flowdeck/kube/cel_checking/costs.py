"""What an expression could cost to run, at most, on the largest value that its schema allows.

The numbers decide which rules may be written, so they are upstream's to the last unit.
Source: cel-go (checker/cost.go, ext), k8s.io/apiserver (pkg/cel/library/cost.go).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from flowdeck.kube.cel_checking.checker import Checked
from flowdeck.kube.cel_checking.declarations import functions
from flowdeck.kube.cel_checking.expressions import (
    Call,
    Comprehension,
    Expr,
    Ident,
    ListOf,
    Literal,
    Select,
    Struct,
)
from flowdeck.kube.cel_checking.schema_types import Declared
from flowdeck.kube.cel_checking.types import DYN, Type

MOST = (1 << 64) - 1
_TRAVERSAL, _REGEX = 0.1, 0.25
_NEW_LIST, _NEW_MAP, _NEW_MESSAGE = 10, 30, 40
_LONGEST_FORMAT_PATTERN = 128


class Range(NamedTuple):
    """A cost, or a size: at least, at most. Sums and products stay below 2**64."""

    least: int
    most: int

    def plus(self, other: "Range") -> "Range":
        return Range(min(MOST, self.least + other.least), min(MOST, self.most + other.most))

    def times(self, other: "Range") -> "Range":
        return Range(min(MOST, self.least * other.least), min(MOST, self.most * other.most))

    def by(self, factor: float) -> "Range":
        return Range(_scaled(self.least, factor), _scaled(self.most, factor))

    def joined(self, other: "Range") -> "Range":
        return Range(min(self.least, other.least), max(self.most, other.most))


def _scaled(value: int, factor: float) -> int:
    return min(MOST, math.ceil(float(value) * factor))


def _fixed(value: int) -> Range:
    return Range(value, value)


_FREE, _ONE, _UNKNOWN = _fixed(0), _fixed(1), Range(0, MOST)


class Entries(NamedTuple):
    """The sizes of keys and values of a list or map that the expression makes itself."""

    kind: str
    key: Range
    value: Range

    def joined(self, other: "Entries | None") -> "Entries | None":
        return other and Entries(self.kind, self.key.joined(other.key), self.value.joined(other.value))


class _Variable(NamedTuple):
    path: tuple[str, ...]
    size: Range | None
    entries: Entries | None


def largest_cost(checked: Checked, declared: Declared) -> int:
    """Of an expression without problems about values of a type, `self` and `oldSelf`."""
    return _Coster(checked, declared).cost(checked.root).most


@dataclass
class _Node:
    """What costs of calls are told by."""

    expr: Expr | None
    path: tuple[str, ...]
    type: Type
    size: Range | None


@dataclass
class _Coster:
    checked: Checked
    declared: Declared
    paths: dict[int, tuple[str, ...]] = field(default_factory=dict)
    sizes: dict[int, Range] = field(default_factory=dict)
    entries: dict[int, Entries] = field(default_factory=dict)
    variables: dict[str, list[_Variable]] = field(default_factory=dict)

    def cost(self, expr: Expr) -> Range:
        match expr:
            case Ident():
                variable = self._variable(expr.name)
                self.paths[expr.id] = variable.path if variable else (expr.name,)
                return _ONE
            case Select():
                return self._select(expr)
            case Call():
                return self._call(expr)
            case ListOf():
                return self._list(expr)
            case Struct():
                return self._map(expr)
            case Comprehension():
                return self._binding(expr) if expr.is_binding else self._loop(expr)
        return _FREE

    # -- sizes

    def _type(self, expr: Expr) -> Type:
        return self.checked.types.get(expr.id, DYN)

    def _variable(self, name: str) -> _Variable | None:
        found = self.variables.get(name)
        return found[-1] if found else None

    def _path(self, expr: Expr) -> tuple[str, ...]:
        if isinstance(expr, Ident) and (variable := self._variable(expr.name)):
            return variable.path
        return self.paths.get(expr.id, ())

    def _declared_size(self, path: tuple[str, ...]) -> Range | None:
        found = self.declared.at(path[1:]) if path else None
        return None if found is None else Range(0, found.largest)

    def _size(self, expr: Expr) -> Range | None:
        if (known := self.sizes.get(expr.id)) is not None:
            return known
        if (own := _own_size(expr)) is not None:
            return own
        if (declared := self._declared_size(self._path(expr))) is not None:
            self.sizes[expr.id] = declared
            return declared
        if _is_scalar(self._type(expr)):
            return _ONE
        variable = self._variable(expr.name) if isinstance(expr, Ident) else None
        return variable.size if variable else None

    def _size_or_unknown(self, expr: Expr) -> Range:
        found = self._size(expr)
        return _UNKNOWN if found is None else found

    def _entries_of(self, expr: Expr) -> Entries | None:
        if expr.id in self.entries:
            return self.entries[expr.id]
        variable = self._variable(expr.name) if isinstance(expr, Ident) else None
        return variable.entries if variable else None

    def _set(self, expr: Expr, size: Range | None, entries: Entries | None = None) -> None:
        if size is not None:
            self.sizes[expr.id] = size
        if entries is not None:
            self.entries[expr.id] = entries

    def _node(self, expr: Expr) -> _Node:
        path = self._path(expr)
        if path and path[0] in ("__result__", "@result"):
            path = ()
        return _Node(expr, path, self._type(expr), self._size(expr))

    def _size_of_node(self, node: _Node) -> Range:
        if node.size is not None:
            return node.size
        return self._declared_size(node.path) or _UNKNOWN

    # -- kinds of nodes

    def _select(self, expr: Select) -> Range:
        total = self.cost(expr.operand)
        if expr.is_test:
            return total
        if self._type(expr.operand).kind in ("map", "struct", "param"):
            total = total.plus(_ONE)
        self.paths[expr.id] = (*self._path(expr.operand), expr.field)
        return total

    def _list(self, expr: ListOf) -> Range:
        total, size = _fixed(_NEW_LIST), Range(MOST if expr.elements else 0, 0)
        for element in expr.elements:
            total = total.plus(self.cost(element))
            size = size.joined(self._size_or_unknown(element))
        self.entries[expr.id] = Entries("list", _ONE, size)
        return total

    def _map(self, expr: Struct) -> Range:
        if expr.name:
            return _fixed(_NEW_MESSAGE)
        total = _fixed(_NEW_MAP)
        keys = values = Range(MOST if expr.entries else 0, 0)
        for entry in expr.entries:
            assert entry.key is not None
            total = total.plus(self.cost(entry.key)).plus(self.cost(entry.value))
            keys = keys.joined(self._size_or_unknown(entry.key))
            values = values.joined(self._size_or_unknown(entry.value))
        self.entries[expr.id] = Entries("map", keys, values)
        return total

    def _binding(self, expr: Comprehension) -> Range:
        total = self.cost(expr.range).plus(self.cost(expr.start))
        self._push(expr.accumulator, self._as_variable(expr.start))
        total = total.plus(self.cost(expr.result))
        self.variables[expr.accumulator].pop()
        self._set(expr, self._size(expr.result), self._entries_of(expr.result))
        return total

    def _loop(self, expr: Comprehension) -> Range:
        total = self.cost(expr.range).plus(self.cost(expr.start))
        self._push(expr.accumulator, self._as_variable(expr.start))
        self._push_items(expr)
        per_item = self.cost(expr.condition)
        per_item = self.cost(expr.step).plus(per_item)
        for name in filter(None, (expr.variable, expr.second)):
            self.variables[name].pop()
        total = total.plus(self.cost(expr.result))
        self.variables[expr.accumulator].pop()
        count = self._size_or_unknown(expr.range)
        if isinstance(expr.start, Literal):
            self._set(expr, self._size(expr.start))
        elif isinstance(expr.start, ListOf | Struct):
            self._set(expr, count, self._entries_of(expr.step))
        return total.plus(count.times(per_item))

    def _as_variable(self, expr: Expr) -> _Variable:
        return _Variable(self._path(expr), self._size(expr), self._entries_of(expr))

    def _push(self, name: str, variable: _Variable) -> None:
        self.variables.setdefault(name, []).append(variable)

    def _push_items(self, expr: Comprehension) -> None:
        entries, path = self._entries_of(expr.range), self._path(expr.range)
        is_list = (entries.kind if entries else self._type(expr.range).kind) == "list"
        key, value = (entries.key, entries.value) if entries else (None, None)
        if expr.second:
            self._push(expr.variable, _Variable((*path, "@indices" if is_list else "@keys"), key, None))
            self._push(expr.second, _Variable((*path, "@items" if is_list else "@values"), value, None))
        else:
            size = value if is_list else key
            self._push(expr.variable, _Variable((*path, "@items" if is_list else "@keys"), size, None))

    # -- calls

    def _call(self, expr: Call) -> Range:
        if expr.function == "dyn":
            total = _ONE.plus(self.cost(expr.args[0]))
            self._set(expr, self._size(expr.args[0]), self._entries_of(expr.args[0]))
            return total
        costs: list[Range] = []
        args: list[_Node] = []
        for arg in expr.args:
            costs.append(self.cost(arg))
            args.append(self._node(arg))
        overloads = self.checked.overloads.get(expr.id)
        if not overloads:
            return _FREE
        total, target = _FREE, None
        if expr.target is not None and not self._is_namespaced(expr):
            total = self.cost(expr.target)
            target = self._node(expr.target)
        worst, result = Range(MOST, 0), None
        for overload in overloads:
            cost, size = self._overload(expr, overload, target, args, costs)
            worst = worst.joined(cost)
            if size is not None:
                result = size if result is None else result.joined(size)
            result = self._indexed(expr, overload, result)
        self._set(expr, result)
        return total.plus(worst)

    def _is_namespaced(self, expr: Call) -> bool:
        """Whether what stands before the dot is a part of the function's name: it has no type then."""
        return expr.target is not None and expr.target.id not in self.checked.types

    def _indexed(self, expr: Call, overload: str, result: Range | None) -> Range | None:
        if overload in ("index_list", "index_map"):
            entries = self._entries_of(expr.args[0])
            result = entries.value if entries else None
            step = "@items" if overload == "index_list" else "@values"
            self.paths[expr.id] = (*self._path(expr.args[0]), step)
        return self._size(expr) if result is None else result

    def _overload(
        self, expr: Call, overload: str, target: _Node | None, args: Sequence[_Node], costs: Sequence[Range]
    ) -> tuple[Range, Range | None]:
        """The cost of a call with its arguments, and the size of what it gives."""
        own = self._of_kubernetes(_function(expr), overload, target, args)
        if own is None:
            special = self._of_cel(expr, overload, target, args, costs)
            if special is not None:
                return special
            own = (_ONE, None)
        return _sum([own[0], *costs]), own[1]

    def _of_cel(
        self, expr: Call, overload: str, target: _Node | None, args: Sequence[_Node], costs: Sequence[Range]
    ) -> tuple[Range, Range | None] | None:
        def size(node: _Node) -> Range:
            return _UNKNOWN if node.size is None else node.size

        match overload:
            case "string_format" if target:
                return _sum([size(target).by(_TRAVERSAL), *costs]), None
            case "string_to_bytes":
                of = size(args[0])
                return _sum([of.by(_TRAVERSAL), *costs]), Range(of.least, _wrapped(of.most * 4))
            case "bytes_to_string":
                of = size(args[0])
                return _sum([of.by(_TRAVERSAL), *costs]), Range(of.least // 4, of.most)
            case "strings_quote":
                of = size(args[0])
                return _sum([of.by(_TRAVERSAL), *costs]), Range(of.least + 2, _wrapped(of.most * 2 + 2))
            case "starts_with_string" | "ends_with_string":
                return _sum([size(args[0]).by(_TRAVERSAL), *costs]), None
            case "in_list":
                return _sum([size(args[1]).by(1), *costs]), None
            case "matches_string" if target:
                text = size(target).plus(_ONE).by(_TRAVERSAL)
                return _sum([text.times(size(args[0]).by(_REGEX)), *costs]), None
            case "contains_string" if target:
                return _sum([size(target).by(_TRAVERSAL).times(size(args[0]).by(_TRAVERSAL)), *costs]), None
            case "logical_or" | "logical_and":
                return Range(costs[0].least, _sum(costs).most), None
            case "conditional":
                entries = self._entries_of(expr.args[1])
                self._set(expr, None, entries.joined(self._entries_of(expr.args[2])) if entries else None)
                return costs[0].plus(costs[1].joined(costs[2])), size(args[1]).joined(size(args[2]))
            case "add_string" | "add_bytes" | "add_list":
                both = size(args[0]).plus(size(args[1]))
                entries = self._entries_of(expr.args[0])
                self._set(expr, None, entries.joined(self._entries_of(expr.args[1])) if entries else None)
                return _sum([_ONE if overload == "add_list" else both.by(_TRAVERSAL), *costs]), both
            case "equals" | "not_equals" | "less_string" | "less_bytes":
                most = min(size(args[0]).most, size(args[1]).most)
                return _sum([Range(1 if most else 0, most).by(_TRAVERSAL), *costs]), None
        return None

    def _of_kubernetes(
        self, name: str, overload: str, target: _Node | None, args: Sequence[_Node]
    ) -> tuple[Range, Range | None] | None:
        size = self._size_of_node
        if name in _CONSTANT:
            return _fixed(_CONSTANT[name]), None
        if name in _PARSERS and args:
            if overload == "cidr_ip":
                return _ONE, None
            return size(args[0]).by(_PARSERS[name] * _TRAVERSAL), size(args[0]) if name == "url" else None
        if overload == "cidr_ip":
            return _ONE, None
        if name in ("containsIP", "containsCIDR"):
            return self._containment(name, overload, args), None
        if (listed := self._of_lists(name, target, args)) is not None:
            return listed
        if name == "validate":
            pattern = _LONGEST_FORMAT_PATTERN * _REGEX
            return size(args[0]).by(_TRAVERSAL).by(pattern), None
        if name == "_==_":
            return self._equality(args)
        if target is None:
            return None
        of = size(target)
        match name:
            case "isSorted" | "sum" | "max" | "min" | "indexOf" | "lastIndexOf":
                return self._scan(target), None
            case "lowerAscii" | "upperAscii" | "substring" | "trim":
                return of.by(_TRAVERSAL), of
            case "replace":
                return of.by(2 * _TRAVERSAL), _replaced(of, size(args[0]), size(args[1]))
            case "split":
                limit = args[1].expr if len(args) > 1 else None
                most = limit.value % (1 << 64) if isinstance(limit, Literal) else of.most
                return of.by(2 * _TRAVERSAL), Range(0, most)
            case "join":
                joined = self._joined(target, args)
                return joined.by(_TRAVERSAL), joined
            case "find" | "findAll":
                pattern_cost = size(args[0]).by(_REGEX)
                return of.plus(_ONE).by(_TRAVERSAL).times(pattern_cost), Range(0, of.most)
            case "fieldSelector" | "labelSelector":
                needed = size(args[0])
                one = float(_NEW_LIST + _NEW_MESSAGE)
                return _sum([_fixed(_NEW_LIST), needed.by(_TRAVERSAL), needed.by(0.5).by(one)]), None
        return None

    def _of_lists(self, name: str, target: _Node | None, args: Sequence[_Node]) -> tuple[Range, Range | None] | None:
        """Functions that make lists, or compare each item with each."""
        size = self._size_of_node
        if name in _SETS:
            return size(args[0]).times(size(args[1])).by(_SETS[name]).plus(_ONE), None
        if name == "lists.range":
            return _allocating(_fixed(_number(args[0], MOST)))
        if target is None or target.type.kind != "list":
            return None
        of = size(target)
        match name:
            case "slice":
                return _allocating(_fixed(_wrapped(_number(args[1], of.most) - _number(args[0], 0))))
            case "flatten":
                return _allocating(of, _number(args[0], MOST) if args else 1)
            case "reverse":
                return _allocating(of)
            case "distinct":
                return _allocating(of.times(of), 2.0)
            case "sort":
                is_text = target.type.parameters[0].kind in ("string", "bytes")
                return _allocating(of.times(of), 2.0 + _TRAVERSAL if is_text else 2.0)
        return None

    def _items(self, node: _Node) -> _Node | None:
        if not node.type.parameters:
            return None
        return _Node(None, (*node.path, "@items") if node.path else (), node.type.parameters[0], None)

    def _scan(self, target: _Node) -> Range:
        items, of = self._items(target), self._size_of_node(target)
        if items is None:
            return of.by(_TRAVERSAL)
        each = _ONE
        if items.type.kind in ("string", "bytes"):
            each = each.plus(self._size_of_node(items).by(_TRAVERSAL))
        return of.times(each)

    def _joined(self, target: _Node, args: Sequence[_Node]) -> Range:
        count, items = self._size_of_node(target), self._items(target)
        total = count.times(self._size_of_node(items)) if items else _FREE
        if args:
            between = Range(max(0, count.least - 1), max(0, count.most - 1))
            total = total.plus(self._size_of_node(args[0]).times(between))
        return total

    def _containment(self, name: str, overload: str, args: Sequence[_Node]) -> Range:
        address = Range(4, 16)
        total = address.plus(address).by(_TRAVERSAL)
        if name == "containsCIDR":
            total = total.plus(address.by(_TRAVERSAL)).plus(_ONE)
        if overload.endswith("_string"):
            total = total.plus(self._size_of_node(args[0]).by(_TRAVERSAL))
        return total

    def _equality(self, args: Sequence[_Node]) -> tuple[Range, Range | None] | None:
        one, other = args[0].type, args[1].type
        if one != other:
            return None
        if one.name in ("net.IP", "net.CIDR", "kubernetes.Quantity", "kubernetes.Semver"):
            return _ONE, None
        if one.name == "kubernetes.NamedFormat":
            return Range(1, 64).by(_TRAVERSAL), None
        if one.name == "kubernetes.URL":
            return Range(1, args[1].size.most if args[1].size else 1).by(_TRAVERSAL), None
        return None


_NOMINAL = (
    "serviceAccount", "path", "group", "resource", "subresource", "namespace", "name", "allowed", "reason", "error",
    "errored", "format.named", "masked", "prefixLength", "family", "isUnspecified", "isLoopback",
    "isLinkLocalMulticast", "isLinkLocalUnicast", "isGlobalUnicast", "sign", "asInteger", "isInteger",
    "asApproximateFloat", "isGreaterThan", "isLessThan", "compareTo", "add", "sub", "major", "minor", "patch",
    "getScheme", "getHostname", "getHost", "getPort", "getEscapedPath", "getQuery",
)  # fmt: skip
_CONSTANT: Mapping[str, int] = {"check": 350000, **dict.fromkeys(_NOMINAL, 1)}
_PARSERS: Mapping[str, int] = {
    "url": 1, "cidr": 1, "isIP": 1, "isCIDR": 1, "ip": 1, "ip.isCanonical": 2, "quantity": 1, "isQuantity": 1,
    "semver": 1, "isSemver": 1,
}  # fmt: skip
"""How often each goes through its text."""


_SETS: Mapping[str, int] = {"sets.contains": 1, "sets.intersects": 1, "sets.equivalent": 2}


def _function(expr: Call) -> str:
    """The function's whole name, where it has a dot."""
    if isinstance(expr.target, Ident) and (whole := f"{expr.target.name}.{expr.function}") in functions():
        return whole
    return expr.function


def _allocating(size: Range, factor: float = 1) -> tuple[Range, Range]:
    return size.by(factor).plus(_fixed(1 + _NEW_LIST)), size


def _number(node: _Node, otherwise: int) -> int:
    is_number = isinstance(node.expr, Literal) and node.expr.kind == "int"
    return int(node.expr.value) if isinstance(node.expr, Literal) and is_number else otherwise


def _sum(ranges: Sequence[Range]) -> Range:
    total = _FREE
    for each in ranges:
        total = total.plus(each)
    return total


def _wrapped(value: int) -> int:
    """As Go's unsigned numbers overflow."""
    return value & MOST


def _replaced(of: Range, old: Range, new: Range) -> Range:
    most_kept = least_kept = most_count = least_count = 0
    if old.least == 0:
        most_count, most_kept = min(MOST, of.most + 1), of.most
    elif new.most <= old.least:
        most_kept = of.most
    else:
        most_count = math.ceil(of.most / old.least)
    if old.most == 0:
        least_count, least_kept = min(MOST, of.least + 1), of.least
    elif old.most <= new.least:
        least_kept = of.least
    else:
        least_count = math.ceil(of.least / old.most)
    return Range(least_count, most_count).times(new).plus(Range(least_kept, most_kept))


def _own_size(expr: Expr) -> Range | None:
    match expr:
        case Literal():
            return _fixed(len(expr.value) if expr.kind in ("string", "bytes") else 1)
        case ListOf():
            return _fixed(len(expr.elements))
        case Struct() if not expr.name:
            return _fixed(len(expr.entries))
    return None


def _is_scalar(type_: Type) -> bool:
    if type_.name == "optional_type":
        return _is_scalar(type_.parameters[0])
    return type_.kind in ("bool", "double", "duration", "int", "timestamp", "uint")
