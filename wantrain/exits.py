"""What each kind of error means to the shell, for every command."""

from __future__ import annotations

import errno
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import click

from wanprep.stage import Missing, UsageError

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # no space, no quota, a limit on file sizes


def tell(error: UsageError | Missing) -> int:
    """Say what is wrong on stderr; the exit code that it means."""
    missing = isinstance(error, Missing)
    click.echo(f"{'missing' if missing else 'error'}: {error}", err=True)
    return 3 if missing else 2


@contextmanager
def exit_codes() -> Iterator[None]:
    from wanprep.stage import Damaged
    from wantrain.parallel import Gone

    try:
        yield
    except (UsageError, Missing) as error:
        sys.exit(tell(error))
    except (Damaged, ArithmeticError, Gone) as error:
        click.echo(f"failed: {error}", err=True)
        sys.exit(1)
    except OSError as error:
        if error.errno not in FULL:
            raise
        place = f" while writing {error.filename}" if error.filename else ""
        click.echo(
            f"failed: {error.strerror}{place}. "
            "What was saved before is intact; make room, and the same command goes on",
            err=True,
        )
        sys.exit(1)
    except KeyboardInterrupt:
        click.echo("stopped; the last saved state is intact", err=True)
        sys.exit(130)
