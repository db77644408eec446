"""Faces drawn into pictures, and pictures into video: files with sound, and streams for a browser."""
