"""Monthly subscriptions reconstructed from payments."""
