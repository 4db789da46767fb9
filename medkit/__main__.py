"""`python -m medkit`, where the command `medkit` is not on the path."""

from .cli import main

if __name__ == "__main__":  # not in a child process that imports this module once more
    main()
