"""`python -m honour.cli` is the command `honour`."""

from honour.cli.main import main

main()
