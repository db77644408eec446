"""What no photograph of a closed mouth and open eyes shows, drawn: teeth, lids."""
