"""How is it? Figures for Prometheus, and a log whose volume no caller decides."""
