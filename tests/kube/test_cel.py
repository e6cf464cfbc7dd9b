# ruff: noqa: E501  (tables read better packed)
"""CEL expressions have the values that Kubernetes' libraries give them."""

import pytest

from flowdeck.kube.cel import (
    CompileError,
    EvaluationError,
    compile_program,
    escaped,
    fields_used,
    identifiers,
)


def value(expression, self=None):
    return compile_program(expression, ("self",)).evaluate({"self": self})


@pytest.mark.parametrize(
    "expression",
    [
        "[1, 2].sum() == 3", "[3, 1].min() == 1", "[3, 1].max() == 3", "[1, 2].isSorted()", "![2, 1].isSorted()",
        "['a', 'b'].indexOf('b') == 1", "[1, 2, 1].lastIndexOf(1) == 2", "[1, 2, 3].slice(0, 2) == [1, 2]",
        "[1, 1, 2].distinct() == [1, 2]", "[[1], [2]].flatten() == [1, 2]", "[2, 1].sort() == [1, 2]",
        "[1, 2].reverse() == [2, 1]", "sets.contains([1, 2], [1])", "sets.equivalent([1, 2], [2, 1])",
        "sets.intersects([1, 2], [2, 3])", "'abc 123'.find('[0-9]+') == '123'", "'a1b2'.findAll('[0-9]') == ['1', '2']",
        "'a1b2'.findAll('[0-9]', 1) == ['1']", "isURL('https://x.y')", "!isURL('no url')",
        "url('https://u@x.y:80/p%20q?a=b').getHost() == 'x.y:80'", "url('https://x.y:80/').getPort() == '80'",
        "url('https://[::1]:80/').getHostname() == '::1'", "url('/p?a=b').getQuery()['a'] == ['b']",
        "isIP('::1')", "!isIP('1.2.3')", "ip('127.0.0.1').isLoopback()", "ip('10.0.0.1').family() == 4",
        "ip('8.8.8.8').isGlobalUnicast()", "ip.isCanonical('::1')", "!ip.isCanonical('0:0::1')", "isCIDR('10.0.0.0/8')",
        "cidr('10.0.0.0/8').containsIP('10.1.1.1')", "cidr('10.0.0.0/8').containsCIDR(cidr('10.1.0.0/16'))",
        "cidr('10.0.0.1/8').masked() == cidr('10.0.0.0/8')", "cidr('10.0.0.0/8').prefixLength() == 8",
        "isQuantity('1.5Gi')", "!isQuantity('x')", "quantity('1') == quantity('1000m')",
        "quantity('1Gi').isGreaterThan(quantity('1G'))", "quantity('1').add(quantity('500m')) == quantity('1500m')",
        "quantity('50k').sub(20) == quantity('49980')", "quantity('1k').asInteger() == 1000", "quantity('-1').sign() == -1",
        "quantity('1500m').asApproximateFloat() == 1.5", "quantity('1').compareTo(quantity('2')) == -1",
        "isSemver('1.2.3-rc.1')", "!isSemver('v1.2')", "isSemver('v1.2', true)",
        "semver('1.2.3').isLessThan(semver('1.10.0'))", "semver('1.0.0-rc.1').isLessThan(semver('1.0.0'))",
        "semver('v1.2', true).minor() == 2", "optional.none().orValue(1) == 1", "self.?a.orValue('z') == 'z'",
        "'%s is %d, %.1f, %x'.format(['a', 1, 2.5, 255]) == 'a is 1, 2.5, ff'", "'%s'.format([[1, true]]) == '[1, true]'",
        "'a,b'.split(',') == ['a', 'b']", "['a', 'b'].join('-') == 'a-b'", "' x '.trim() == 'x'", "'abc'.charAt(1) == 'b'",
        "'abc'.substring(1) == 'bc'", "'aBc'.lowerAscii() == 'abc'", "'abc'.reverse() == 'cba'",
        "'abab'.replace('a', 'x', 1) == 'xbab'", "'abab'.lastIndexOf('a') == 2", "'a'.indexOf('z') == -1",
        "base64.encode(b'a') == 'YQ=='", "math.greatest(1, 2) == 2", "cel.bind(x, 1, x + 1 == 2)",
        "duration('1h') > duration('59m')", "timestamp('2026-11-24T00:00:00Z').getFullYear() == 2026",
        "!format.dns1123Label().validate('a').hasValue()", "format.dns1123Label().validate('A)').hasValue()",
        "format.uuid().validate(('x') + '(').value()[0].contains('UUID')", "'abc'.matches('^a.c$')", "has(self.b) == false",
    ],
)  # fmt: skip
def test_an_expression_holds(expression):
    assert value(expression, {}) is True


@pytest.mark.parametrize(
    ("expression", "error"),
    [
        ("self.b", "no such key: b"),
        ("self.a + 'x'", "no such overload"),
        ("quantity('x') == quantity('1')", "quantities must match"),
        ("[].max()", "max called on empty list"),
        ("quantity('1').major()", "no such overload"),
        ("1 / (self.a - 1) == 1", "divi"),
    ],
)
def test_an_expression_without_a_value_says_why(expression, error):
    with pytest.raises(EvaluationError, match=error):
        value(expression, {"a": 1})


def test_what_is_no_expression_is_found_when_it_is_compiled():
    with pytest.raises(CompileError, match="compilation failed: ERROR: <input>:1:9: Syntax error"):
        compile_program("self.a +", ("self",))
    with pytest.raises(CompileError, match="undeclared reference to 'nobody"):
        compile_program("nobody.a", ("self",))


def test_the_variables_of_an_expression_are_known():
    assert identifiers("self.oldSelf == 'oldSelf' && x.all(y, y > object.z)") == {"self", "x", "y", "object"}


def test_the_fields_that_expressions_read_are_known():
    variables = ("self", "oldSelf")
    assert fields_used(["self.a.b == oldSelf.?c.orValue('self.x')", "has(self.d)"], variables) == {"a", "c", "d"}
    assert fields_used(["size(self) > 1"], variables) is None
    assert fields_used(["self.all(x, x > 1)"], variables) is None
    assert fields_used(["self[0] == 1"], variables) is None
    assert fields_used(["self.a__dash__b == 1"], variables) is None


def test_names_are_escaped_as_cel_can_spell_them():
    assert [escaped(name) for name in ("a", "a-b", "a.b/c", "namespace", "a__b", "$x")] == [
        "a", "a__dash__b", "a__dot__b__slash__c", "__namespace__", "a__underscores__b", "$x",
    ]  # fmt: skip


def test_values_are_bound_once_for_several_programs():
    first, second = (compile_program(text, ("object",)) for text in ("object.a == 1", "object.a == 2"))
    bound = first.bind({"object": {"a": 1}})
    assert (first.evaluate_bound(bound), second.evaluate_bound(bound)) == (True, False)
