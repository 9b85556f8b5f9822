"""How it is: figures for Prometheus, traces for OpenTelemetry, and a log whose volume no caller decides."""
