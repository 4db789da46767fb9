"""Networks that several lessons share."""
