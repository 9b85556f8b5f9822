"""Whose call is it? The call that a line of code works for, its request id, and its spans for OpenTelemetry."""
