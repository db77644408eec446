"""``python -m emotalk_client.cli``."""

from emotalk_client.cli.app import main

main()
