"""Minor units of currencies: 100 cents are a dollar, but a yen has no smaller unit."""

from __future__ import annotations

__all__ = ["exponent"]

_EXPONENTS = (
    dict.fromkeys("BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF".split(), 0)
    | dict.fromkeys("BHD IQD JOD KWD LYD OMR TND".split(), 3)
    | dict.fromkeys("CLF UYW".split(), 4)
)
"""Number of decimals by currency, from ISO 4217, for currencies that do not have two."""


def exponent(currency: object) -> int:
    """Return the number of decimals of a currency.

    Parameters
    ----------
    currency : object
        Code from ISO 4217, such as ``"JPY"``. A currency that is missing or unknown has two.

    Returns
    -------
    int
        The number of decimals.

    Examples
    --------
    >>> exponent("USD"), exponent("JPY"), exponent("KWD")
    (2, 0, 3)
    """
    return _EXPONENTS.get(str(currency), 2)
