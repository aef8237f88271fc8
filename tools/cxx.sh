#!/usr/bin/env bash
# GCC, which reads PyTorch's headers once for all of mmcv's ops.
# Each of their 78 files includes these headers, and reading them takes most of
# its time. The first call that compiles something compiles them, with its own
# flags: GCC takes a compiled header only for the flags that it was made with.
# Calls that come before it is done read the headers as usual.
# Environment: COMPILER (the path of g++), HEADER (what all files include).
set -uo pipefail

flags=() # Those of this call, without the names of its files.
is_compile=false skip=false
for word in "$@"; do
    case $skip$word in
        true*) skip=false ;;
        false-c) is_compile=true ;; # setuptools gives it twice.
        false-o | false-MF) skip=true ;;
        false-MMD | false*.cpp) ;;
        *) flags+=("$word") ;;
    esac
done

if $is_compile; then
    if mkdir "$HEADER.begun" 2>/dev/null; then
        "$COMPILER" "${flags[@]}" -x c++-header "$HEADER" -o "$HEADER.part" &&
            mv "$HEADER.part" "$HEADER.gch"
    fi
    [ -f "$HEADER.gch" ] && set -- -include "$HEADER" "$@"
fi
exec "$COMPILER" "$@"
