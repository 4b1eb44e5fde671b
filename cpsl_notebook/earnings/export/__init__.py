"""Files written from payments: snapshots and Excel files."""
