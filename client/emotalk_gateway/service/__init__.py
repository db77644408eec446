"""Shared by every door, whatever its protocol: settings, capacity, errors, options, faces, frame rates, metrics."""
