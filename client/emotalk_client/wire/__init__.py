"""The connection to Triton. Nothing else in the client imports tritonclient."""
