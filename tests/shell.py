"""Signals as a shell leaves them to what it starts."""

import signal


def as_from_a_shell() -> None:
    """`preexec_fn` of commands that are to be interrupted: these tests may run under nohup or in the background of a
    script, and what is ignored or blocked stays so in what is started."""
    for number in (signal.SIGHUP, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def as_in_the_background() -> None:
    """As a script's `nohup … &` leaves them."""
    as_from_a_shell()
    for number in (signal.SIGHUP, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
