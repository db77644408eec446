"""Measurements through a running server; every figure of the README comes from a command of this package or a test."""
