"""People, and their ends on the channels."""
