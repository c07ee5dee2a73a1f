"""What `build` writes: masters, journals, the run record."""
