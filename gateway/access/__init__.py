"""Who calls, and what they may do: shop keys, agent tokens, scopes."""
