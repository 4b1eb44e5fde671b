"""Plots of the analyses, as ``payments.capsule.plot``."""
