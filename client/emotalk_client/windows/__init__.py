"""Cutting and joining: which samples go in which window, and which frames of the answers count."""
