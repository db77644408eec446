"""Drawings of what no photograph of a closed mouth and open eyes shows: teeth, lids."""
