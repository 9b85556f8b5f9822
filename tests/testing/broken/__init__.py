"""Recommenders that each break a promise of the contract, with the checks that must find it."""

from . import candidates, conduct, models, scores
from .mutants import MUTANTS

__all__ = ["MUTANTS", "candidates", "conduct", "models", "scores"]
