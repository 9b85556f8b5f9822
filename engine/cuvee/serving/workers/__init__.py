"""Worker processes that answer on one port, and their supervisor."""
