"""A queue under attack: clips through a broker and several workers, one of which dies every few seconds."""
