"""How a list is made: retrieve, score, calibrate, blend, arrange, fall back. Pure and batch first."""
