"""What the channels tell us: journal, group commit, landing, quarantine."""
