"""Which scenarios share a boot."""
from dataclasses import dataclass

from .machine import Hardware
from .scenario import Scenario


@dataclass(frozen=True)
class Defaults:
    """What the command line says, for scenarios that do not say it themselves."""
    hardware: Hardware
    packages: tuple[str, ...]
    peer: str | None


@dataclass(frozen=True)
class Setup:
    """All that makes one boot different from another."""
    hardware: Hardware
    packages: tuple[str, ...]
    peer: str | None
    tree: bool  # whether the install tree is laid over the root


@dataclass
class Boot:
    setup: Setup
    scenarios: list[Scenario]


def boots(scenarios: list[Scenario], defaults: Defaults) -> list[Boot]:
    """Scenarios with the same wishes share a boot, in their order; those with `# boot: own` come one by one, last."""
    shared: dict[Setup, Boot] = {}
    own: list[Boot] = []
    for scenario in scenarios:
        setup = _setup(scenario, defaults)
        if scenario.own_boot:
            own.append(Boot(setup, [scenario]))
        else:
            shared.setdefault(setup, Boot(setup, [])).scenarios.append(scenario)
    return [*shared.values(), *own]


def _setup(scenario: Scenario, defaults: Defaults) -> Setup:
    usual = defaults.hardware
    hardware = Hardware(cpus=scenario.cpus or usual.cpus, memory_mib=scenario.memory_mib or usual.memory_mib,
                        scratch=scenario.scratch or usual.scratch, audit=scenario.audit or usual.audit)
    return Setup(hardware, tuple(sorted({*defaults.packages, *scenario.packages})), scenario.peer or defaults.peer,
                 scenario.tree)
