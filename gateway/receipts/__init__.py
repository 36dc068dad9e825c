"""The ledger of what became of our messages, and its fold into one status."""
