"""Where scripts that used the `tracelet` of PyPI look for `core.experiment`."""
