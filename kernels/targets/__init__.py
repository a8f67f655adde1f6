"""Ways to run a loop. Only the files in here import a compiler."""
