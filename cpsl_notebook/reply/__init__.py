"""Replies: the model, and rendering it as safe HTML and plain text."""
