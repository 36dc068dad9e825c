"""Attachments: uploaded by the shop or fetched from a channel, kept in the file store, shown by links that expire."""
