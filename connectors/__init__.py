"""Translation between providers and our words: one folder per channel. Knows no database and no gateway."""
