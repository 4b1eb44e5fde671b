"""Snapshots and Excel files of a ledger."""
