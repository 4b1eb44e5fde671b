"""DataFrames from the service's JSON: a typed column for every field, with exact cents.

The service does not document its field names, so columns are typed by rules instead of by a list of
fields. If the last word of a name says what the column holds (a time, cents, a kind), it determines the
type. Otherwise the column gets the type of most of its values.

=============================================  ===================================================
Values                                         Column type
=============================================  ===================================================
cents, by name (``net_cents``)                 ``Int64``; also from ``1500.0`` and ``"1500"``
times, by name (``paid_at``, ``created``)      ``datetime64[us, UTC]``, from ISO 8601 or epochs
kinds and states, by name                      ``category``
integers                                       ``Int64``
ids, by name, both integers and strings        ``string``
numbers                                        ``Float64``
booleans                                       ``boolean``
strings that are all full times                ``datetime64[us, UTC]``
other strings                                  ``string``
objects                                        flattened to columns such as ``payer.email``
objects with more than 200 different keys      ``string``, JSON text without keys that are null
anything else, such as lists                   ``object``, unchanged
=============================================  ===================================================

A value that does not fit the type of its column is missing there, and its original is kept in the
last column, ``_unparsed``: a JSON object as text, which is missing if every value of the row fits. The
column exists only if a value needs it; ``attrs["unparsed"]`` is always the number of such values.

A time without a zone is read as UTC. A column with the name of a time but other values
(``time: 12``) is typed by its values, unless the name ends in ``at``, ``datetime`` or ``timestamp``.
"""

from cpsl_notebook.frames.dataframes import apps_frame, earnings_frame, payments_frame

__all__ = ["apps_frame", "earnings_frame", "payments_frame"]
