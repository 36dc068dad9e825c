"""The migrations of the database: expand first, contract a release later."""
