"""The command line of test/guest/guest."""
import argparse
import os
import re
import signal
import sys
import time
from pathlib import Path
from types import FrameType

from . import results as report
from .debian import KERNELS, kernel_package
from .failure import Failure
from .kernel import kernel
from .machine import Hardware, Machine
from .overlay import write_overlay
from .paths import MISBEHAVING, cache
from .peer import peer_tree
from .plan import Defaults
from .rootfs import root_image
from .runner import Run, run_kernel
from .scenario import Scenario, checked_size, chosen, scenarios
from .session import DEFAULT_TIMEOUT
from .store import Store


def main(arguments: list[str]) -> int:
    """0: everything passed. 1: a scenario failed. 2: the testbed could not do what was asked."""
    signal.signal(signal.SIGTERM, _interrupted)  # so that a killed run still ends its machine
    options = _parser().parse_args(arguments)
    try:
        return int(options.run(options))
    except Failure as failure:
        print(f"\n{failure.text()}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nguest: interrupted", file=sys.stderr)
        return 130


def _interrupted(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _build(options: argparse.Namespace) -> int:
    store = Store(cache())
    root_image(store, options.extra_packages)
    for series in options.kernel:
        kernel(store, kernel_package(series, store))
    if options.peer:
        peer_tree(store)
    store.prune()
    print(f"guest images are ready: root and kernels {', '.join(options.kernel)}")
    return 0


def _run(options: argparse.Namespace) -> int:
    results, out = _run_chosen(options, chosen(options.scenario))
    report.show(results, out)
    return 1 if report.counts(results)["fail"] else 0


def _selfcheck(options: argparse.Namespace) -> int:
    """The misbehaving scenarios, each of which says what the verdict on it must be."""
    picked = chosen(options.scenario, MISBEHAVING)
    results, out = _run_chosen(options, picked)
    wanted = {one.name: one.verdict or ("pass", "") for one in picked}
    wrong = [one for one in results
             if one.result != wanted[one.scenario][0] or not re.search(wanted[one.scenario][1], one.reason)]
    report.show(wrong, out)
    print(f"{len(results) - len(wrong)} verdicts as they must be, {len(wrong)} not")
    return 1 if wrong else 0


def _run_chosen(options: argparse.Namespace, picked: list[Scenario]) -> tuple[list[report.Result], Path]:
    store = Store(cache())
    out = (options.out or store.root / "runs" / f"{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}").resolve()
    out.mkdir(parents=True, exist_ok=True)
    run = Run(store, _defaults(options), _resolved(options.install), options.add, out, options.timeout, options.patience,
              dict(options.set))
    results: list[report.Result] = []
    releases: dict[str, str] = {}
    for series in options.kernel:
        done, releases[series] = run_kernel(run, series, picked)
        results += done
        report.write_json(out / "results.json", results, releases)
    return results, out


def _shell(options: argparse.Namespace) -> int:
    store = Store(cache())
    series = options.kernel[0]
    booted = kernel(store, kernel_package(series, store))
    defaults = _defaults(options)
    root = root_image(store, list(defaults.packages))
    out = (options.out or store.root / "runs" / time.strftime("shell-%Y%m%d-%H%M%S")).resolve()
    out.mkdir(parents=True, exist_ok=True)
    work = store.scratch()
    overlay = work / "overlay.tar"
    write_overlay(overlay, install=_resolved(options.install), peer=peer_tree(store) if defaults.peer else None, shell=True,
                  added=options.add, scenarios=[one.file for one in scenarios()])
    print(f"booting {booted.package.release}; /share in the guest is {out}")
    machine = Machine(booted, root, overlay, defaults.hardware, share=out, work=work, console=None)
    try:
        while machine.alive():
            time.sleep(0.2)
    finally:
        machine.close()
    return 0


def _list(options: argparse.Namespace) -> int:
    for one in scenarios():
        wishes = ["own boot"] if one.own_boot else []
        wishes += [f"only {' '.join(one.kernels)}"] if len(one.kernels) < len(KERNELS) else []
        wishes += [f"peer {one.peer}"] if one.peer else []
        print(f"{one.name}{' (' + ', '.join(wishes) + ')' if wishes else ''}\n    {one.description}")
    return 0


def _defaults(options: argparse.Namespace) -> Defaults:
    hardware = Hardware(options.cpus, options.memory, options.scratch)
    return Defaults(hardware, tuple(sorted(options.extra_packages)), options.peer)


def _resolved(path: Path | None) -> Path | None:
    return None if path is None else path.resolve()


def _kernels(text: str) -> list[str]:
    if text == "all":
        return list(KERNELS)
    if text not in KERNELS:
        raise argparse.ArgumentTypeError(f"{text} is none of: {', '.join(KERNELS)}, all")
    return [text]


def _size(text: str) -> str:
    try:
        return checked_size(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _addition(text: str) -> tuple[Path, str]:
    source, separator, target = text.partition("=")
    if not separator or not target.startswith("/"):
        raise argparse.ArgumentTypeError("wants FILE=/PATH/IN/THE/GUEST")
    return Path(source).resolve(), target.lstrip("/")


def _setting(text: str) -> tuple[str, str]:
    name, separator, value = text.partition("=")
    # Capitals with an underscore: none of the variables that programs and lib.sh live by.
    if not separator or not re.fullmatch(r"[A-Z]+_[A-Z0-9_]+", name) or name.startswith(("LC_", "SCENARIO_", "JOURNAL_")):
        raise argparse.ArgumentTypeError("wants NAME=VALUE with a name like STORM_SEED")
    return name, value


def _words(text: str) -> list[str]:
    return text.replace(",", " ").split()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="guest", description="Bulkhead in a real kernel: builds and runs the guest testbed.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    images = argparse.ArgumentParser(add_help=False)
    add = images.add_argument
    add("--kernel", type=_kernels, default=["6.1"], metavar="K", help="6.1 (default), 6.12 or all")
    add("--extra-packages", type=_words, default=[], metavar="LIST",
        help="more Debian packages, by commas; makes a variant of the root image, cached like the usual one")
    add("--peer", choices=["tcmu-runner"], help="puts Debian's tcmu-runner under /opt/tcmu-runner")

    machine = argparse.ArgumentParser(add_help=False, parents=[images])
    add = machine.add_argument
    add("--install", type=Path, metavar="DIR",
        help="tree laid over the guest's root, as made by: tools/install --destdir DIR")
    add("--add", type=_addition, action="append", default=[], metavar="FILE=/PATH",
        help="one more file or directory for the guest; repeatable")
    add("--out", type=Path, metavar="DIR", help="where logs and results go (default: in the cache)")
    add("--cpus", type=int, default=2, metavar="N", help="default 2")
    add("--memory", type=int, default=3072, metavar="MIB", help="default 3072")
    add("--scratch", type=_size, default="2G", metavar="SIZE", help="ext4 disk at /scratch; default 2G, 0 for none")

    running = argparse.ArgumentParser(add_help=False, parents=[machine])
    add = running.add_argument
    add("--timeout", type=float, metavar="SECONDS",
        help=f"for a phase of a scenario that names none itself; default {DEFAULT_TIMEOUT:.0f}")
    add("--patience", type=float, default=1.0, metavar="FACTOR",
        help="on every deadline, for a slow or busy machine; default 1")

    add("--set", type=_setting, action="append", default=[], metavar="NAME=VALUE",
        help="a variable for the scenarios that know it, as STORM_SEED=7; repeatable")

    build = commands.add_parser("build", parents=[images], help="build what is missing of the images")
    build.set_defaults(run=_build)
    run = commands.add_parser("run", parents=[running], help="boot and run scenarios",
                              description="Names may be shell patterns; 'all' is every scenario, "
                                          "'kernel-dependent' leaves out those that need no second kernel.")
    run.add_argument("scenario", nargs="+", metavar="SCENARIO")
    run.set_defaults(run=_run)
    shell = commands.add_parser("shell", parents=[machine], help="a shell on the guest's serial console")
    shell.set_defaults(run=_shell)
    commands.add_parser("list", help="name the scenarios").set_defaults(run=_list)
    check = commands.add_parser("selfcheck", parents=[running],
                                help="run scenarios that go wrong, and see that the testbed notices (ten minutes and more)")
    check.add_argument("scenario", nargs="*", default=["all"], metavar="SCENARIO")
    check.set_defaults(run=_selfcheck)
    return parser
