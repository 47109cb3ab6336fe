#!/bin/bash
# Builds the fuzzer of the block decoder into FOLDER and runs it:
#
#     scripts/fuzz-blocks.sh FOLDER [options of libFuzzer]
#
# SwiftPM links a `main` of its own, and so does libFuzzer; so the compiler is called here, with
# Storage and the test as one module.
set -eu
folder=${1:?a folder for what is built}
shift
cd "$(dirname "$0")/.."
mkdir -p "$folder/kernels" "$folder/corpus"
cat > "$folder/kernels/module.modulemap" << END
module ApusKernels { umbrella header "$PWD/Sources/Kernels/include/apus_kernels.h" export * }
END
for source in Sources/Kernels/*.c; do
  clang -O2 -g -ISources/Kernels/include -c "$source" -o "$folder/kernels/$(basename "$source" .c).o"
done
find Sources/Storage -name '*.swift' -print0 | xargs -0 swiftc -O -g -parse-as-library -sanitize=fuzzer \
  -swift-version 6 -package-name apus -module-name ApusFuzz -enable-upcoming-feature ExistentialAny \
  -enable-upcoming-feature InternalImportsByDefault -enable-upcoming-feature MemberImportVisibility \
  -I "$folder/kernels" -I Sources/CZstd -I Sources/CLZ4 -lzstd -llz4 \
  -o "$folder/fuzz-blocks" Tests/Fuzz/BlockFuzz.swift "$folder"/kernels/*.o
APUS_FUZZ_CORPUS="$folder/corpus" "$folder/fuzz-blocks"
exec "$folder/fuzz-blocks" "$folder/corpus" -max_len=4096 "$@"
