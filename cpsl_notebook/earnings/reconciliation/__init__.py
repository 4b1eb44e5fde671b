"""Checks of payments against each other and against the service's summaries."""
