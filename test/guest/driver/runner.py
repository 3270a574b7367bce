"""Runs chosen scenarios on chosen kernels: one boot after the other, a fresh one whenever a machine is not fit any more."""
import json
import shutil
from dataclasses import dataclass
from pathlib import Path

from .debian import kernel_package
from .kernel import Kernel, kernel
from .machine import Machine
from .overlay import write_overlay
from .peer import peer_tree
from .plan import Boot, Defaults, boots
from .progress import YELLOW, Line, colour
from .results import Result
from .rootfs import root_image
from .scenario import Scenario
from .session import DEFAULT_TIMEOUT, FalseStart, Session
from .store import Store


@dataclass(frozen=True)
class Run:
    """One call of `guest run`."""
    store: Store
    defaults: Defaults
    install: Path | None
    added: list[tuple[Path, str]]
    out: Path
    timeout: float | None
    patience: float
    settings: dict[str, str]


@dataclass(frozen=True)
class Images:
    """What one kind of boot is made of."""
    kernel: Kernel
    root: Path
    peer: Path | None


def run_kernel(run: Run, series: str, scenarios: list[Scenario]) -> tuple[list[Result], str]:
    """All the scenarios on one kernel; also returns the kernel's release."""
    booted = kernel(run.store, kernel_package(series, run.store))
    wanted = [one for one in scenarios if series in one.kernels]
    results = [Result(one.name, series, "skip", reason=f"only for kernel {', '.join(one.kernels)}")
               for one in scenarios if one not in wanted]
    heads = {one.name: f"[{series} {number:{len(str(len(wanted)))}}/{len(wanted)}] {one.name}"
             for number, one in enumerate((each for boot in boots(wanted, run.defaults) for each in boot.scenarios), 1)}
    planned = boots(wanted, run.defaults)
    # All before the first boot: a run does not change its images half-way, nor fail half-way for want of one.
    images = {boot.setup: Images(booted, root_image(run.store, list(boot.setup.packages)),
                                 peer_tree(run.store) if boot.setup.peer else None) for boot in planned}
    shutil.rmtree(run.out / series, ignore_errors=True)
    machines = 0
    for boot in planned:
        left = list(boot.scenarios)
        while left:
            machines += 1
            done = _one_machine(run, images[boot.setup], Boot(boot.setup, left), run.out / series / f"boot-{machines}", heads)
            results += done
            left = left[len(done):]
    order = [one.name for one in scenarios]
    return sorted(results, key=lambda one: order.index(one.scenario)), booted.package.release


def _one_machine(run: Run, images: Images, boot: Boot, share: Path, heads: dict[str, str]) -> list[Result]:
    """At least one result, unless an exception ends the run; fewer than asked if the machine is not fit for more."""
    series = images.kernel.package.series
    for attempt in (1, 2):
        shutil.rmtree(share, ignore_errors=True)
        share.mkdir(parents=True)
        _write_plan(run, boot, share)
        work = run.store.scratch()
        try:
            overlay = work / "overlay.tar"
            write_overlay(overlay, install=run.install if boot.setup.tree else None, peer=images.peer, shell=False, added=run.added,
                          scenarios=[one.file for one in boot.scenarios])
            with Line(f"[{series}] booting {images.kernel.package.release}") as line:
                machine = Machine(images.kernel, images.root, overlay, boot.setup.hardware, share=share, work=work,
                                  console=share / "console.txt")
                try:
                    session = Session(machine, share, boot.scenarios, series, run.patience, heads)
                    session.follow(line)
                except FalseStart as start:
                    line.end(colour("false start", YELLOW) + f" ({start})")
                    if attempt == 1:
                        print("  nothing of ours has run yet, and emulation now and then starts so: the boot is tried once more")
                        continue
                    session.trouble = f"two false starts: {start}"
                finally:
                    machine.close()
        finally:
            shutil.rmtree(work, ignore_errors=True)
        if not session.up:
            # The next boot would end the same way.
            return [Result(one.name, series, "fail", 0.0, f"did not boot: {session.trouble}", "", str(share))
                    for one in boot.scenarios]
        if not session.results:
            # Up, and then nothing: somebody has to take the blame, or this would go on for ever.
            session.results.append(Result(boot.scenarios[0].name, series, "fail", 0.0,
                                          session.trouble or "the guest ran nothing", "", str(share)))
        if len(session.results) < len(boot.scenarios):
            print(f"  fresh boot for the scenarios left, as this machine is not fit for them: {session.trouble}")
        return session.results
    raise AssertionError("unreachable")


def _write_plan(run: Run, boot: Boot, share: Path) -> None:
    plan = {"patience": run.patience, "settings": run.settings,
            "scenarios": [{"name": one.name, "expected": one.expected,
                           "timeout": one.timeout or run.timeout or DEFAULT_TIMEOUT} for one in boot.scenarios]}
    (share / "plan.json").write_text(json.dumps(plan, indent=1) + "\n")
