"""Channels: a connected bot, number, mailbox or site, its settings and its secrets."""
