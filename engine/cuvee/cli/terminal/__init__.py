"""What every command shares: options, progress bars, tables, and errors in words."""
