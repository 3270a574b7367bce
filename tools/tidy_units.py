#!/usr/bin/env python3
"""Writes translation units that hold several source files each: tidy_units.py FOLDER FILE...

clang-tidy spends most of its time in the headers of the libraries, once per translation unit. Files whose own names
(of anonymous namespaces) don't clash go into one. Prints the units' paths.
"""
import re
import sys
from pathlib import Path

FILES_AT_MOST = 12  # so that there are enough units to keep all processors busy
# What is defined at a line's beginning and is no member of a class: a function, a constant, a type.
DEFINITION = re.compile(r'^(?!namespace|template|return)[A-Za-z][^()={]*?(?<![:\w])(\w+)(?:<[^>]*>)?(?:\(|\[|;|\s*[={]|\s+:\s)')


def names(path):
    text = path.read_text()
    found = {match[1] for line in text.splitlines() if (match := DEFINITION.match(line))}
    return found | {'main'} if 'BENCHMARK_MAIN' in text else found


def units(paths):
    result = []
    for path in paths:
        top, own = path.parts[0], names(path)
        for unit in result:
            if unit['top'] == top and len(unit['paths']) < FILES_AT_MOST and not unit['names'] & own:
                break
        else:
            unit = {'top': top, 'paths': [], 'names': set()}
            result.append(unit)
        unit['paths'].append(path)
        unit['names'] |= own
    return result


def main(folder, *paths):
    for number, unit in enumerate(units([Path(path) for path in paths])):
        target = Path(folder) / f'{unit["top"]}-{number}.cc'
        # The check is against a source included by mistake; including sources is what a unit is for.
        target.write_text(''.join(f'#include "{path}"  // NOLINT(bugprone-suspicious-include)\n' for path in unit['paths']))
        print(target)


main(*sys.argv[1:])
