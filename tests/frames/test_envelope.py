"""Partial answers of the service, in the shapes that paginated APIs have."""

import json

import pytest

from cpsl_notebook import UserError
from cpsl_notebook.frames import payments_frame

PARTIAL = [
    {"page": 1, "pages": 3},
    {"page": 3, "pages": 3},
    {"page": 2},
    {"currentPage": 1, "lastPage": 2},
    {"meta": {"total_pages": 2}},
    {"page": {"totalPages": 2, "number": 0}},
    {"total_size": 2},
    {"total_records": 2},
    {"meta": {"totalItems": "2"}},
    {"truncated": True},
    {"isTruncated": True},
    {"complete": False},
    {"last": False},
    {"links": [{"rel": "self", "href": "/1"}, {"rel": "next", "href": "/2"}]},
    {"_links": {"next": {"href": "/2"}}},
]
WHOLE = [
    {"page": 1, "pages": 1},
    {"meta": {"total_pages": 1, "totalItems": "1"}},
    {"total_size": 1, "truncated": False, "complete": True, "last": True},
    {"links": [{"rel": "self", "href": "/1"}, {"rel": "next", "href": None}]},
    {"links": []},
    {"links": {"next": None, "last": "/1"}},
]


@pytest.mark.parametrize("name", ["payments", "data"])
@pytest.mark.parametrize("as_bytes", [False, True])
@pytest.mark.parametrize("marks", PARTIAL)
def test_answer_that_is_one_page_of_several_is_an_error(marks, as_bytes, name):
    answer = {name: [{"id": "a"}]} | marks
    with pytest.raises(UserError, match="totals would be wrong"):
        payments_frame([("shop", json.dumps(answer).encode() if as_bytes else answer)])


@pytest.mark.parametrize("name", ["payments", "data"])
@pytest.mark.parametrize("as_bytes", [False, True])
@pytest.mark.parametrize("marks", WHOLE)
def test_answer_with_only_one_page_is_read(marks, as_bytes, name):
    answer = {name: [{"id": "a"}]} | marks
    frame = payments_frame([("shop", json.dumps(answer).encode() if as_bytes else answer)])
    assert frame["id"].tolist() == ["a"]
