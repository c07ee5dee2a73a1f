"""`python -m earthsynth_factory.cli` is the same as the console script."""

from earthsynth_factory.cli import main

main()
