"""Conversations of a notebook: which one a cell continues, and where it is stored."""
