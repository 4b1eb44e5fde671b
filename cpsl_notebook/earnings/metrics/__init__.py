"""Figures computed from a ledger: revenue, payers, MRR, churn, cohorts, payouts."""
