"""What toft remembers: one SQLite file, append-only migrations, records as values."""
