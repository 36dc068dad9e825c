"""The people and bots who answer."""
