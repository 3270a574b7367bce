"""The host's side of the guest testbed: builds images, boots QEMU, follows the scenarios, reports."""
