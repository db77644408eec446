"""``python -m emotalk_cli``."""

from emotalk_cli.app import main

main()
