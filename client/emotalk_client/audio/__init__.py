"""Sound in: files and arrays become mono 16 kHz samples, block by block."""
