"""What follows from payments: ledgers, revenue, subscriptions, payouts, reconciliation."""
