"""Metrics computed from payments: revenue, payers, MRR, churn, cohorts, payouts."""
