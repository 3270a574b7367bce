#!/usr/bin/env python3
"""usage: external_handler.py SUBTYPE LOG

Serves a subtype from outside: owns org.kernel.TCMUService1.HandlerManager1.SUBTYPE, registers, judges config strings.
What ends with "good" is good, what ends with "mute" is never answered. LOG gets a line for everything that happens.
"""
import sys

from gi.repository import Gio, GLib

SERVICE = "org.kernel.TCMUService1"
MANAGER = SERVICE + ".HandlerManager1"
MANAGER_PATH = "/org/kernel/TCMUService1/HandlerManager1"
INTERFACE = """
<node><interface name="org.kernel.TCMUService1">
 <method name="CheckConfig">
  <arg type="s" direction="in"/><arg type="b" direction="out"/><arg type="s" direction="out"/>
 </method>
 <property name="ConfigDesc" type="s" access="read"/>
</interface></node>
"""


class Handler:
    def __init__(self, subtype: str, log: str) -> None:
        self._subtype = subtype
        self._log = open(log, "w", buffering=1)
        self._unanswered: list[Gio.DBusMethodInvocation] = []
        self._bus = Gio.bus_get_sync(Gio.BusType.SYSTEM)
        description = Gio.DBusNodeInfo.new_for_xml(INTERFACE).interfaces[0]
        self._bus.register_object(f"{MANAGER_PATH}/{subtype}", description, self._called, lambda *_: None, None)
        Gio.bus_own_name_on_connection(self._bus, f"{MANAGER}.{subtype}", Gio.BusNameOwnerFlags.NONE, self._named,
                                       lambda *_: self._note("name lost"))

    def _note(self, text: str) -> None:
        self._log.write(text + "\n")

    def _named(self, *_: object) -> None:
        answer = self._bus.call_sync(SERVICE, MANAGER_PATH, MANAGER, "RegisterHandler",
                                     GLib.Variant("(ss)", (self._subtype, f"what {self._subtype} wants")), None,
                                     Gio.DBusCallFlags.NONE, 120_000)
        self._note(f"registered {answer.unpack()}")

    def _called(self, _bus: object, _sender: object, _path: object, _interface: object, _method: object,
                arguments: GLib.Variant, invocation: Gio.DBusMethodInvocation) -> None:
        config = arguments.unpack()[0]
        self._note(f"asked {config}")
        if config.endswith("mute"):
            self._unanswered.append(invocation)
        elif config.endswith("good"):
            invocation.return_value(GLib.Variant("(bs)", (True, "OK")))
        else:
            invocation.return_value(GLib.Variant("(bs)", (False, f"nothing is called {config}")))


handler = Handler(*sys.argv[1:])
GLib.MainLoop().run()
