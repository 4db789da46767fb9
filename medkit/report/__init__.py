"""Run lessons as reports: record figures, execute with parameters, render, index."""

from .record import provenance, quote, record, say

__all__ = ["record", "say", "quote", "provenance"]
