"""The page on which faces are watched."""
