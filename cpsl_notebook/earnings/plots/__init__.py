"""Plots of the answers of ``payments.capsule``."""
