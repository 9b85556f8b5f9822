"""``python -m cuvee.cli``: the command without its script."""

from cuvee.cli import main

if __name__ == "__main__":
    main()
