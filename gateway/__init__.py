"""The product: conversations, contacts, receipts, events and the API. Knows no provider."""
