"""What made and measured the embedded models. Not installed with the package, but linted, typed and tried like it."""
