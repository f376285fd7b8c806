"""`python -m crp`: the same as the command `crp`."""

from crp.cli import main

if __name__ == "__main__":
    main()
