"""Record what a Capsule service answers, and replay it without a network or an account.

`cpsl_notebook.recording` writes the answers of a client to a file and `cpsl_notebook.replay` is a
client that answers from that file. Neither imports pandas or IPython, so a recording can serve as a
test fixture::

    @pytest.fixture
    def client():
        return cpsl_notebook.replay("tests/support-ops.jsonl")

The file is in JSON Lines format. The first line is the header, with the version of the format. Each
further line is one call: its arguments, when it was made, how long it took, and its answer, its
stream of chunks with their times, or its error.
"""
