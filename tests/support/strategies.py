"""Hypothesis strategies for ledgers."""

import pandas as pd
from hypothesis import strategies as st
from ledgers import buy

sales = st.builds(
    lambda hours, payer, gross, app, currency: buy(
        pd.Timestamp("2024-01-01") + pd.Timedelta(hours=hours),
        payer,
        gross,
        app=app,
        currency=currency,
    ),
    st.integers(0, 24 * 500),
    st.sampled_from("abc"),
    st.integers(-(10**12), 10**12) | st.integers(2**53, 2**57),
    st.sampled_from(["shop", "school"]),
    st.sampled_from(["USD", "EUR"]),
)
"""One-time sales and refunds of three payers, with amounts that a float cannot represent."""
