"""What stores of components stand on: one database, SQLite or PostgreSQL; migrations, lists by pages."""
