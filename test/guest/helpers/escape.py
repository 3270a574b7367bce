#!/usr/bin/env python3
"""Attempts to get out of a host, with walls left out one way or another: a table of what stops what.

escape.py shipped TARGETS RESULTS      each attempt in a host of its own, of the program that is installed
escape.py round NAME TARGETS RESULTS   all of them, in hosts without a system call filter, as NAME
escape.py lun NAME ATTEMPTS ORDERS LAST_EXIT RESULTS
                                       what a LUN's host has written below its orders, or how it ended
escape.py of-ring RESULTS              which attempts go by the ring that only a LUN's host has: one line of those that no
                                       filter stops, and the others one a line
escape.py verdict RESULTS TABLE        prints the table; status 1 if anything is not as test/escape/*.cc says
escape.py listen PORT                  what there is to connect to, until it is ended

TARGETS is a file with lines "NAME VALUE". RESULTS is a JSON file that each round adds itself to.
"""
import itertools
import json
import os
import re
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

FOLDER = "/scratch/escape"
AT_ONCE = 3  # the supervisor takes four checks at once
PARTS = 4    # a check may take 20 s
# Succeeds nowhere, not even for root without any wall; the attempt tells that from a refusal. Not counted.
NEVER = {"open_ring": "the kernel lets each be opened once, and the supervisor has it"}
# Walls that mean nothing without another one: the round that has both, and the one that has the other alone.
ROUNDS = {"no-new-privileges": ("user+no-new-privileges", "user"), "dumpable": ("user+dumpable", "user")}
# Walls of LUNs' hosts: checks have no control group of their own.
OF_LUNS = ("memory-limit", "process-limit")
# Of these there is no host without: they are the supervisor's. The attempts on them prove by themselves that they are none
# that can't succeed, or are told by the supervisor. Not counted.
NOT_TO_LEAVE_OUT = ("channel", "supervisor")
BESIDES = ("attempts", "shipped", "none", "all-but-seccomp", "no-limits", "in-a-lun")
_numbers = itertools.count()


class Attempt:
    def __init__(self, line: str) -> None:
        self.name, self.tries, walls = line.split("|")
        self.walls = walls.split()


def ask(order: str, targets: str) -> tuple[str, list[str]]:
    """What the supervisor says of the host that got these orders, and what the host wrote."""
    path = f"{FOLDER}/orders-{os.getpid()}-{next(_numbers)}"
    with open(path, "w", encoding="ascii") as file:
        file.write(f"{order}\n{targets}")
    before = os.path.getsize(path)
    said = subprocess.run(
        ["busctl", "--timeout=240", "--json=short", "call", "org.kernel.TCMUService1", "/org/kernel/TCMUService1/escape",
         "org.kernel.TCMUService1", "CheckConfig", "s", f"escape/{path}"], capture_output=True, text=True, check=False)
    verdict = json.loads(said.stdout)["data"][1] if said.returncode == 0 else said.stderr.strip()
    with open(path, encoding="ascii") as file:
        file.seek(before)
        answers = file.read().splitlines()
    os.remove(path)
    return verdict, answers


def attempts() -> list[Attempt]:
    verdict, lines = ask("list", "")
    if not lines or lines[-1] != "end":
        sys.exit(f"the handler lists nothing: {verdict}")
    return [Attempt(line) for line in lines[:-1]]


def load(results: str) -> dict:
    if not os.path.exists(results):
        return {}
    with open(results, encoding="ascii") as file:
        return json.load(file)


def save(results: str, name: str, outcome: object) -> None:
    everything = load(results) | {name: outcome}
    with open(results, "w", encoding="ascii") as file:
        json.dump(everything, file, indent=1)


def of_one(attempt: Attempt, targets: str) -> str:
    verdict, answers = ask(f"run {attempt.name}", targets)
    if answers[-1:] == ["end"]:
        return answers[1].split()[1]
    if answers[-1:] == [f"trying {attempt.name}"] and "SIGSYS" in verdict:
        return "SIGSYS"
    return f"{verdict} / {answers}"


def in_checks(attempt: Attempt) -> bool:
    # The ring is made before the last filter, which a check does not do; else it would be the filter that stops an attempt.
    return "ring" not in attempt.walls and not set(attempt.walls) <= {"memory-limit", *NOT_TO_LEAVE_OUT}


def shipped(targets: str, results: str) -> None:
    every = attempts()
    save(results, "attempts", [vars(one) for one in every])
    begin = time.monotonic()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        outcomes = list(pool.map(lambda one: of_one(one, targets), filter(in_checks, every)))
    names = [one.name for one in filter(in_checks, every)]
    save(results, "shipped", dict(zip(names, outcomes)))
    print(f"{len(names)} hosts in {time.monotonic() - begin:.1f} s", flush=True)


def one_round(name: str, targets: str, results: str) -> None:
    begin = time.monotonic()
    outcomes: dict[str, str] = {}
    for part in range(PARTS):  # not at once: some would come in each other's way
        verdict, lines = ask(f"fork {part} {PARTS}", targets)
        if not lines or lines[-1] != "end":
            sys.exit(f"round {name}: the host did not get to its end: {verdict}; its last words: {lines[-3:]}")
        outcomes |= dict(line.split() for line in lines[:-1])
    save(results, name, outcomes)
    print(f"round {name}: {time.monotonic() - begin:.1f} s", flush=True)


def of_ring(results: str) -> None:
    rings = [one for one in load(results)["attempts"] if "ring" in one["walls"]]
    print(*[one["name"] for one in rings if "seccomp" not in one["walls"]])
    for one in rings:
        if "seccomp" in one["walls"]:
            print(one["name"])


def lun(name: str, attempts_made: str, orders: str, last_exit: str, results: str) -> None:
    lines = text_of(orders).splitlines()
    ended = "SIGSYS" if last_exit.startswith("killed by SIGSYS") and name == "shipped" else last_exit
    for attempt in attempts_made.split():
        answers = [line.split()[1] for line in lines[lines.index(f"trying {attempt}") + 1:] if line.startswith(attempt + " ")]
        outcome = answers[0] if answers and name != "supervisor" else ended
        save(results, name, load(results).get(name, {}) | {attempt: outcome})
        print(f"LUN, {name}: {attempt}: {outcome}", flush=True)


def judge(attempt: dict, rounds: dict) -> tuple[dict[str, str], list[str]]:
    """What each wall answered, and what is not as it must be."""
    name, walls = attempt["name"], attempt["walls"]
    wrong = []
    if walls[0] in NOT_TO_LEAVE_OUT:
        answer = rounds[walls[0]].get(name, "-")
        good = r"E(?!NOTRECOVERABLE)[A-Z]+" if walls[0] == "channel" else r".*descriptors nobody asked for.*"
        return {walls[0]: answer}, [] if re.fullmatch(good, answer) else [f"{walls[0]}: {answer}"]
    answers = {"seccomp": rounds["shipped"].get(name, "-")}
    for wall, outcomes in rounds.items():
        if isinstance(outcomes, dict) and wall not in BESIDES:
            answers[wall] = outcomes.get(name, "-")
    if "memory-limit" not in walls:
        first = answers["seccomp"]
        if first == "done" or (first == "SIGSYS") != ("seccomp" in walls) or not re.fullmatch(r"SIGSYS|E(?!NOTRECOVERABLE)[A-Z0-9]+", first):
            wrong.append(f"the program as shipped: {first}")
    free = rounds["no-limits" if set(walls) <= set(OF_LUNS) else "none"].get(name)
    if free != "done":
        wrong.append(f"without any wall: {free}, so nothing is proven")
    for wall in walls:
        if wall == "seccomp":
            continue
        alone, without = ROUNDS.get(wall, (wall, "no-limits" if wall in OF_LUNS else "none"))
        if rounds.get(alone, {}).get(name) in (None, "done", "ENOTRECOVERABLE"):
            wrong.append(f"wall {wall} does not stop it: {rounds.get(alone, {}).get(name)}")
        if rounds.get(without, {}).get(name) != "done":
            wrong.append(f"with wall {wall} left out: {rounds.get(without, {}).get(name)}")
    behind = rounds["all-but-seccomp"].get(name)
    if behind == "done" and set(walls) - {"seccomp", *OF_LUNS}:
        wrong.append("with all walls but seccomp: done")
    return answers, wrong


def verdict(results: str, table: str) -> None:
    rounds = load(results)
    failed = 0
    columns = [name for name in rounds if name not in BESIDES]
    with open(table, "w", encoding="ascii") as file:
        for attempt in rounds["attempts"]:
            answers, wrong = judge(attempt, rounds)
            name = attempt["name"]
            first = answers.pop("seccomp", "-")
            stops = [f"as shipped {first}"] if first != "-" else []
            stops += [f"{wall} {answers[wall]}" for wall in columns
                      if answers.get(wall, "-") not in ("-", "done") and "+" not in wall]
            stops += [f"{wall} {answers[ROUNDS[wall][0]]}" for wall in attempt["walls"] if wall in ROUNDS]
            line = f"{name} ({attempt['tries']}): " + "; ".join(stops)
            print(line)
            file.write(line + "\n")
            for problem in wrong:
                print(f"  WRONG: {name}: {problem}")
            failed += bool(wrong)
    uncounted = {one["name"]: "no host can be without it" for one in rounds["attempts"]
                 if one["walls"][0] in NOT_TO_LEAVE_OUT} | NEVER
    for name, why in uncounted.items():
        print(f"not counted: {name}: {why}")
    proven = len(rounds["attempts"]) - failed - len(uncounted)
    print(f"{proven} attempts are stopped by every wall that is said to stop them, and succeed without; {failed} are not as said")
    sys.exit(failed != 0 or proven < 60)


def listen(port: int) -> None:
    sockets = [socket.socket(socket.AF_UNIX), socket.socket(socket.AF_INET), socket.socket(socket.AF_INET6)]
    sockets[2].setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    for one, address in zip(sockets, ("\0bulkhead-escape", ("127.0.0.1", port), ("::1", port))):
        one.bind(address)
        one.listen(64)
    print("listening", flush=True)
    while True:
        for one in sockets:
            one.settimeout(0.2)
            try:
                one.accept()[0].close()
            except TimeoutError:
                pass


def text_of(path: str) -> str:
    with open(path, encoding="ascii") as file:
        return file.read()


match sys.argv[1:]:
    case ["shipped", targets_file, results_file]:
        shipped(text_of(targets_file), results_file)
    case ["round", round_name, targets_file, results_file]:
        one_round(round_name, text_of(targets_file), results_file)
    case ["of-ring", results_file]:
        of_ring(results_file)
    case ["lun", round_name, attempt_name, orders_file, last_exit_text, results_file]:
        lun(round_name, attempt_name, orders_file, last_exit_text, results_file)
    case ["verdict", results_file, table_file]:
        verdict(results_file, table_file)
    case ["listen", port_number]:
        listen(int(port_number))
    case _:
        sys.exit(__doc__)
