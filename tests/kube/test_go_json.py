"""What is said of text that is no JSON."""

import pytest

from flowdeck.kube.go_json import syntax_error


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "unexpected end of JSON input"),
        ("{", "unexpected end of JSON input"),
        ('{"a": "b', "unexpected end of JSON input"),
        ("x", "invalid character 'x' looking for beginning of value"),
        ("text", "invalid character 'e' in literal true (expecting 'r')"),
        ("{a: 1}", "invalid character 'a' looking for beginning of object key string"),
        ('{"a" 1}', "invalid character '1' after object key"),
        ('{"a": 1 "b": 2}', "invalid character '\"' after object key:value pair"),
        ("[1 2]", "invalid character '2' after array element"),
        ("{} {}", "invalid character '{' after top-level value"),
        ("[1]", ""),
    ],
)
def test_the_words_are_gos(text, told):
    assert syntax_error(text.encode()) == told
