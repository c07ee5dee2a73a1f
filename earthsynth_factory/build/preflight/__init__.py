"""What can be known of a build before a model is loaded or an image made: one file for each kind of thing looked at."""

from earthsynth_factory.build.preflight.check import check

__all__ = ["check"]
