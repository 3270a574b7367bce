"""Takes the kernel proper out of the file that distributions ship.

A bzImage unpacks itself at boot, which costs an emulated CPU four seconds each time; QEMU also takes the plain ELF file
(by its PVH entry point). Layout: Documentation/arch/x86/boot.rst, "The Real-Mode Kernel Header", fields setup_sects at
0x1f1, the magic HdrS at 0x202, payload_offset at 0x248, payload_length at 0x24c.
"""
import lzma
import struct
import subprocess

_XZ, _ZSTD = b"\xfd7zXZ\x00", b"\x28\xb5\x2f\xfd"


def bootable(image: bytes) -> bytes:
    """The ELF file inside a bzImage; the bzImage itself, which boots as well, if it is of a kind not known here."""
    if image[0x202:0x206] != b"HdrS":
        return image
    offset, length = struct.unpack_from("<II", image, 0x248)
    begin = (image[0x1f1] + 1) * 512 + offset
    # The last four bytes are the unpacked size, for the kernel's own unpacker.
    payload, size = image[begin:begin + length - 4], image[begin + length - 4:begin + length]
    if payload.startswith(_XZ):
        kernel = lzma.decompress(payload)
    elif payload.startswith(_ZSTD):
        kernel = subprocess.run(["zstd", "-dcq"], input=payload, stdout=subprocess.PIPE, check=True, timeout=300).stdout
    else:
        return image
    whole = kernel.startswith(b"\x7fELF") and len(kernel) == struct.unpack("<I", size)[0]
    return kernel if whole else image
