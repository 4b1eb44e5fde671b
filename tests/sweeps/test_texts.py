"""Strings by position: any order of setting, also again, gives the same as a list."""

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from cpsl_notebook.sweeps import texts
from cpsl_notebook.sweeps.texts import Texts


@given(st.integers(1, 9), st.data())
def test_texts_equal_a_list_in_which_the_same_was_set(size, data):
    sets = data.draw(
        st.lists(st.tuples(st.integers(0, size - 1), st.none() | st.sampled_from("aé")))
    )
    expected, found = [None] * size, Texts(size)
    block, texts._BLOCK = texts._BLOCK, 3
    try:
        for position, text in sets:
            expected[position] = found[position] = text
            assert found[position] == text
        assert list(found) == found[:] == expected
        assert pa.chunked_array(found.arrays(), pa.large_string()).to_pylist() == expected
    finally:
        texts._BLOCK = block


def test_full_blocks_are_arrow_arrays():
    found = Texts(2_500)
    for position in reversed(range(2_500)):
        found[position] = str(position)
    assert not found._open and len(found._full) == 3
    found[5] = "5"  # the same again
    assert not found._open
    found[5] = "other"
    assert found[4:7] == ["4", "other", "6"] and not found._open
