"""The words that every part of Shopbell speaks: the message model, the contracts, and nothing that does work."""
