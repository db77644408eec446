"""Uploads into pictures, in processes of their own."""
