"""What each kind of error means to the shell, for every command."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import click

from wanprep.stage import Missing, UsageError


@contextmanager
def exit_codes() -> Iterator[None]:
    from wanprep.cached import Damaged

    try:
        yield
    except UsageError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(2)
    except Missing as error:
        click.echo(f"missing: {error}", err=True)
        sys.exit(3)
    except (Damaged, ArithmeticError) as error:
        click.echo(f"failed: {error}", err=True)
        sys.exit(1)
    except KeyboardInterrupt:
        click.echo("stopped; the last saved state is intact", err=True)
        sys.exit(130)
