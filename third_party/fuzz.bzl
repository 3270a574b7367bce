"""Fuzz targets: libFuzzer programs, built by tools/fuzz with clang-19 and the sanitizers."""

def fuzz_target(name, srcs, deps, **kwargs):
    """A program from LLVMFuzzerTestOneInput(). Its corpus is test/fuzz/corpus/NAME without "_fuzz"."""
    native.cc_binary(
        name = name,
        testonly = True,
        srcs = srcs,
        linkopts = ["-fsanitize=fuzzer"],
        # GCC has no libFuzzer: only --config=fuzz can build it, so //... must not.
        tags = ["fuzz", "manual"],
        deps = deps,
        **kwargs
    )
