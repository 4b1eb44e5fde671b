"""Reconciliation of a ledger with itself and with the service's summary."""
