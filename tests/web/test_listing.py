"""Page sizes, sorts and tokens of lists, and what is refused."""

import base64

import pytest

from flowdeck.kube.errors import BadRequest
from flowdeck.web.listing import After, ListQuery, Predicate, list_query
from flowdeck.web.predicates import predicates_of

KEYS = ("created_at", "name", "metric:")


def parsed(**params: str) -> ListQuery:
    return list_query(params, sort_keys=KEYS, parse=lambda text: predicates_of(text, ("name",)))


@pytest.mark.parametrize(
    ("text", "size"), [("", 20), ("0", 20), ("7", 7), ("200", 200), ("201", 200), ("99999999999", 200)]
)
def test_page_sizes(text: str, size: int) -> None:
    assert parsed(page_size=text).size == size


@pytest.mark.parametrize(
    ("sort", "key", "descending"),
    [
        ("", "created_at", False),
        ("name", "name", False),
        ("name asc", "name", False),
        ("name DESC", "name", True),
        ("metric:accuracy desc", "metric:accuracy", True),
    ],
)
def test_sorts(sort: str, key: str, descending: bool) -> None:
    query = parsed(sort_by=sort)
    assert (query.sort, query.descending) == (key, descending)


@pytest.mark.parametrize(
    "params",
    [
        pytest.param({"page_size": "-1"}, id="negative-size"),
        pytest.param({"page_size": "many"}, id="no-number"),
        pytest.param({"sort_by": "colour"}, id="unknown-key"),
        pytest.param({"sort_by": "name, created_at"}, id="two-keys"),
        pytest.param({"sort_by": "name up"}, id="no-direction"),
        pytest.param({"sort_by": "name asc desc"}, id="two-directions"),
        pytest.param({"page_token": "rubbish"}, id="token-not-base64"),
        pytest.param({"page_token": base64.b64encode(b"{}").decode()}, id="token-of-another-shape"),
    ],
)
def test_what_is_refused(params: dict[str, str]) -> None:
    with pytest.raises(BadRequest, match="Invalid input error"):
        parsed(**params)


FILTER = '{"predicates":[{"operation":1,"key":"name","stringValue":"x"}]}'


def test_a_token_brings_its_sort_and_filter_along() -> None:
    first = parsed(sort_by="name desc", filter=FILTER, page_size="3")
    second = parsed(page_token=first.token(After("m", "id-3", 9)), page_size="5")
    assert (second.size, second.sort, second.descending) == (5, "name", True)
    assert second.predicates == first.predicates == (Predicate("name", first.predicates[0].op, "x"),)
    assert second.after == After("m", "id-3", 9)


def test_a_token_is_good_beside_its_own_sort_and_filter_only() -> None:
    first = parsed(sort_by="name desc", filter=FILTER)
    token = first.token(After(None, "id", 9))
    assert parsed(sort_by="name desc", filter=FILTER, page_token=token).after == After(None, "id", 9)
    for other in ({"sort_by": "name asc"}, {"sort_by": "created_at"}, {"filter": FILTER.replace("x", "y")}):
        with pytest.raises(BadRequest, match="Invalid page token"):
            parsed(page_token=token, **other)


def test_the_last_page_has_no_token() -> None:
    assert parsed().token(None) == ""
