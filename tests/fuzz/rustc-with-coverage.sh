#!/bin/sh
# What `cargo xtask fuzz` has cargo call in place of rustc: counts each edge that the crates of this
# workspace take, for libFuzzer, and checks what a release build leaves out. Programs that run while
# building have no libFuzzer to count for them.
case " $* " in
*" --crate-name build_script_"* | *"--crate-type proc-macro"*) exec "$@" ;;
*" --crate-name "*)
    exec "$@" -C passes=sancov-module -C llvm-args=-sanitizer-coverage-level=4 \
        -C llvm-args=-sanitizer-coverage-inline-8bit-counters \
        -C llvm-args=-sanitizer-coverage-pc-table \
        -C llvm-args=-sanitizer-coverage-trace-compares \
        -C debug-assertions -C overflow-checks --cfg fuzzing ;;
*) exec "$@" ;;
esac
