"""The command `honour`: name the installation's own features, then run what was asked."""

from __future__ import annotations

import sys

from honour.cli.own_features import name_own_features
from honour.errors import HonourError


def main() -> None:
    """Run the command line; an error of Honour's is one line on standard error and its exit code."""
    try:
        name_own_features(sys.argv[1:])
        from honour.cli.app import app  # Here: the catalogue is read with the first import of what decides.

        app()
    except HonourError as error:
        sys.stderr.write(f"honour: {error}\n")
        sys.exit(error.exit_code)
    except BrokenPipeError:
        sys.exit(0)
    except KeyboardInterrupt:
        sys.stderr.write("honour: stopped\n")
        sys.exit(130)
