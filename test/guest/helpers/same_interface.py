#!/usr/bin/env python3
"""usage: same_interface.py FILE.xml OBJECT

Whether the running service's introspection of OBJECT has the interface that FILE describes, to the last annotation.
"""
import subprocess
import sys
import xml.etree.ElementTree as ElementTree

SERVICE = "org.kernel.TCMUService1"
Shape = tuple[str, tuple[tuple[str, str], ...], tuple["Shape", ...]]


def shape(element: ElementTree.Element) -> Shape:
    """The order of arguments counts, that of members and annotations does not."""
    children = [shape(child) for child in element]
    if element.tag == "interface":
        children.sort()
    return element.tag, tuple(sorted(element.attrib.items())), tuple(children)


def main() -> int:
    file, path = sys.argv[1:]
    described = ElementTree.parse(file).getroot().find("interface")
    assert described is not None, f"{file} describes no interface"
    name = described.attrib["name"]
    shown = subprocess.run(["busctl", "introspect", "--xml-interface", SERVICE, path], check=True, capture_output=True,
                           text=True).stdout
    running = ElementTree.fromstring(shown).find(f"interface[@name='{name}']")
    if running is None:
        print(f"{path} has no interface {name}")
        return 1
    if shape(running) != shape(described):
        print(f"{path}: {name} is not as in {file}:\n{ElementTree.tostring(running, 'unicode')}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
