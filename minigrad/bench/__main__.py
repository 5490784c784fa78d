"""`python -m minigrad.bench`, the same as `minigrad bench`."""

import argparse

from . import command

if __name__ == "__main__":
    parser = argparse.ArgumentParser("minigrad bench")
    command.add_arguments(parser)
    raise SystemExit(command.run(parser.parse_args()))
