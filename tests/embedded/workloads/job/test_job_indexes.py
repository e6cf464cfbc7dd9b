"""Completion indexes as status shows them."""

import pytest

from flowdeck.embedded.workloads.job.indexes import format_indexes, parse_indexes


@pytest.mark.parametrize(
    ("indexes", "text"),
    [((), ""), ((3,), "3"), ((0, 1), "0,1"), ((0, 2, 3), "0,2,3"), ((0, 2, 3, 4), "0,2-4"), (range(10), "0-9")],
)
def test_indexes_are_written_in_the_shortest_way_and_read_back(indexes, text):
    assert format_indexes(indexes) == text
    assert parse_indexes(text) == frozenset(indexes)


def test_indexes_out_of_range_and_nonsense_are_dropped():
    assert parse_indexes("0,x,2-9,-", below=4) == frozenset({0, 2, 3})
