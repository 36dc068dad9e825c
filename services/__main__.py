"""The process `shopbell`, also `python -m services`: until a command takes over, Ctrl-C ends it without a word."""

import signal


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # nothing is open yet; Python would show what it was just loading
    from services import cli

    cli.main()


if __name__ == "__main__":
    main()
