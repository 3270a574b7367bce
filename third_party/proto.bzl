"""C++ code from a .proto file by Debian's protoc."""

def cc_proto(name, src, **kwargs):
    """Generates and compiles `src`; include as "PACKAGE/NAME.pb.h"."""
    stem = src[:-len(".proto")]
    native.genrule(
        name = name + "_generate",
        srcs = [src],
        outs = [stem + ".pb.cc", stem + ".pb.h"],
        cmd = "/usr/bin/protoc --cpp_out=$(GENDIR) -I. $(location %s)" % src,
    )
    native.cc_library(
        name = name,
        srcs = [stem + ".pb.cc"],
        hdrs = [stem + ".pb.h"],
        # Generated: our warnings are not its concern.
        copts = ["-w"],
        **kwargs
    )
