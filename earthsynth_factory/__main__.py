"""`python -m earthsynth_factory` is the same as the console script."""

from earthsynth_factory.cli import main

main()
