"""Ledgers: payments under fixed names and types."""
