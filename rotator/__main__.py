"""`python -m rotator`."""

from rotator.cli.main import main

if __name__ == "__main__":
    main()
