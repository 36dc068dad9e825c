"""The contact form: a message from someone who will not wait in the chat, and where to answer it."""
