"""Showing a reply while it streams and when it is finished."""
