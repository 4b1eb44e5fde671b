"""Prompts: filling ``{{ }}``, tables as Markdown, and the request to send."""
