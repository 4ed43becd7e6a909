"""The database: pools and transactions, row-level security, migrations, the embedded PostgreSQL."""
