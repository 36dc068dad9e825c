"""Conversations and their messages: what was said, who has read it, and how to answer."""
