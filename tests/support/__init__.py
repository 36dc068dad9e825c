"""What the tests share: a real PostgreSQL, the real product on a real port, and shops that are nobody else's."""
