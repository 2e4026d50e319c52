"""SQLite: its engine, its connections, its errors, its tools."""
