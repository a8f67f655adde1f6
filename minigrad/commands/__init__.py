"""The commands of ``python -m minigrad``. They use all parts of the package, imported when they run."""
