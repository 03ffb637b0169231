"""The commands of `jupyter nq` and their arguments."""

from __future__ import annotations

import argparse
from typing import Any, NoReturn

from jupyter_nq import __version__

_ROWS = 20_000  # a year and three quarters of 30-minute bars
_LEAST_DEMO_ROWS = 92  # two sessions: one tells the reader the zone, and the notebooks' averages take 60 bars
_SEED = 7
_LAYOUTS = "30min (the damaged day-first one), 5min, 5min_extended, iso, 1min"
_DESCRIPTION = """One NQ dataset, parsed right once, shared in memory by every Jupyter notebook.

Where a command needs the store it takes --store, else $JUPYTER_NQ_STORE, else store_dir of
jupyter_nq.yaml, else /dev/shm/nq-<uid>."""
_EPILOG = "Exit code: 0 done, 1 it was done and something is wrong, 2 it could not be done."


class OneLineParser(argparse.ArgumentParser):
    """A parser whose errors are one line, like all errors of the commands."""

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Refuse an unknown argument here, so that the error names the help of the command it was given to."""
        found, unknown = super().parse_known_args(args, namespace)
        if unknown:
            self.error(f"there is no argument {unknown[0]!r} here")
        return found, unknown

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"jupyter nq: {message}. {self.prog} --help shows what it takes.\n")


def build_parser() -> OneLineParser:
    """Return the parser; the chosen command's name is in `command`."""
    parser = OneLineParser(
        prog="jupyter nq",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"jupyter-nq {__version__}")
    parser.add_argument("--store", metavar="DIR", help="directory of the store, before or after the command")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True, title="commands")
    _demo(_command(commands, "demo", "run the main job: a real server, two notebooks, one copy of the bars"))
    _sample(_command(commands, "sample", "write realistic NQ files in the vendors' layouts", store=False))
    _json(_command(commands, "status", "show the store and who runs its coordinator"))
    _json(_command(commands, "ls", "list the datasets and who holds them"))
    _command(commands, "doctor", "try what the store needs from this machine, with a fix for each finding")
    _command(commands, "warmup", "compile what numba compiles, so that no later load waits for it", store=False)
    clean = _command(commands, "clean", "list and remove what was left in the store, and archives; what is held stays")
    clean.add_argument("--yes", action="store_true", help="remove without asking")
    _command(commands, "rotate", "seal what is encrypted on the disk with the current master key")
    _kafka(_command(commands, "kafka", "carry a stream to a topic of Kafka, or a topic to a stream, until it is ended"))
    return parser


def _command(
    commands: argparse._SubParsersAction[OneLineParser], name: str, text: str, *, store: bool = True
) -> OneLineParser:
    command = commands.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")
    if store:
        # SUPPRESS: without it the default of the command would undo a --store given before the command
        command.add_argument("--store", metavar="DIR", default=argparse.SUPPRESS, help="directory of the store")
    return command


def _demo(command: OneLineParser) -> None:
    command.add_argument("--data", metavar="DIR", help="use the bar files of this directory instead of sample data")
    command.add_argument("--rows", type=demo_rows, default=_ROWS, help="30-minute bars of the sample (%(default)s)")
    command.add_argument("--seed", type=int, default=_SEED, help="seed of the sample (%(default)s)")
    command.add_argument("--keep", action="store_true", help="keep the executed notebooks, the data and the store")


def _sample(command: OneLineParser) -> None:
    command.add_argument("directory", metavar="DIR", help="where to write; made if it is not there")
    command.add_argument("--rows", type=positive, default=_ROWS, help="30-minute bars (%(default)s)")
    command.add_argument(
        "--seed", type=int, default=_SEED, help="seed; the same one gives the same files (%(default)s)"
    )
    command.add_argument(
        "--layout", action="append", metavar="NAME", help=f"write only this one: {_LAYOUTS}; may be given again"
    )
    command.add_argument("--force", action="store_true", help="replace files that are there")


def _kafka(command: OneLineParser) -> None:
    way = command.add_mutually_exclusive_group(required=True)
    way.add_argument("--out", action="store_true", help="from the stream to the topic")
    way.add_argument("--in", dest="into", action="store_true", help="from the topic to the stream")
    command.add_argument("stream", metavar="STREAM", help="name of the stream")
    command.add_argument("topic", metavar="TOPIC", help="name of the topic")
    command.add_argument("--brokers", metavar="HOST:PORT[,...]", help="where the brokers are")
    command.add_argument("--config", metavar="FILE", help="librdkafka's settings in YAML; mode 0600, if it has secrets")
    command.add_argument("--name", metavar="NAME", help="of the bridge, under which it goes on (kafka.TOPIC)")
    command.add_argument(
        "--start", choices=("earliest", "latest"), default="earliest", help="of the first (%(default)s)"
    )
    command.add_argument(
        "--foreign", choices=("json", "bytes", "arrow"), help="with --in: what the values of other programs are"
    )


def _json(command: OneLineParser) -> None:
    command.add_argument("--json", action="store_true", help="print JSON with plain numbers")


def positive(text: str) -> int:
    """Return a whole number of at least 1.

    >>> positive("1_000")
    1000
    """
    try:
        value = int(text)
    except ValueError:
        value = 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least 1")
    return value


def demo_rows(text: str) -> int:
    """Return a number of rows that the example notebooks can work with."""
    value = positive(text)
    if value < _LEAST_DEMO_ROWS:
        raise argparse.ArgumentTypeError(f"{text!r} is too few; the notebooks need {_LEAST_DEMO_ROWS} bars")
    return value
