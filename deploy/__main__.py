"""`python -m deploy` is the command `hepafed`."""

from deploy.cli import main

main()
