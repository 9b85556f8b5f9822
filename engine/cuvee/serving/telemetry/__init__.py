"""How is it? Figures for Prometheus, whose call a line is about, and a log whose volume no caller decides."""
