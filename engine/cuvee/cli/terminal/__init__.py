"""Shared by all commands: options, progress bars, tables, and error messages."""
