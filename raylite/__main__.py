"""`python -m raylite`: the command line."""

from raylite.cli import main

if __name__ == "__main__":
    main()
