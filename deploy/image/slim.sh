#!/bin/sh
# Deletes from a folder of installed packages what no process of ours uses. Licences (*.dist-info) stay.
#   sh slim.sh SITE_PACKAGES
set -eu
cd "$1"

# Sources and declarations for compilers and editors, and tests
find . -type f \( -name '*.pyi' -o -name '*.pxd' -o -name '*.pyx' -o -name '*.c' -o -name '*.h' -o -name '*.hpp' \
    -o -name '*.a' \) -delete
find . -type d \( -name tests -o -name __pycache__ \) -prune -exec rm -r {} +
rm -r onnx/backend/test

# onnxruntime: its library for other languages, and tools that change models
rm -f onnxruntime/capi/libonnxruntime.so*
rm -r onnxruntime/transformers onnxruntime/quantization onnxruntime/tools

# moonshine_voice: we run its model ourselves, see pipeline_worker/engines/moonshine
rm -r moonshine_voice/libmoonshine.so moonshine_voice.libs
find moonshine_voice/assets -mindepth 1 -maxdepth 1 ! -name tiny-en -exec rm -r {} +

# Symbol tables. Libraries in *.libs were rewritten by auditwheel, which strip may damage.
find . -type f -name '*.so' ! -path '*.libs/*' -exec strip --strip-unneeded {} +
