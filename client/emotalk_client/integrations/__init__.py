"""Bridges to frameworks of voice agents: one module each, beside an extra of the same name."""
