"""The domain: columns, records, checks, lives and the store of cells."""
