#!/usr/bin/env bash
# Set up .venv/ once: torch, then mmcv's ops from source, then the rest.
# Every finished step leaves a mark in .venv/, so the next run goes on after it.
# Environment: PYTHON (the interpreter, default python3), MAX_JOBS (compilers),
# VENV and REQUIREMENTS (another environment, with other pins).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

VENV=${VENV:-.venv}
REQUIREMENTS=${REQUIREMENTS:-requirements.txt}
PYTHON=${PYTHON:-python3}
STEPS=$VENV/setup
MMCV=$(grep -oE '^(onedl-)?mmcv' "$REQUIREMENTS")
SOURCE=$STEPS/$MMCV
PIP=$VENV/bin/pip
export MAX_JOBS=${MAX_JOBS:-$(nproc 2>/dev/null || echo 2)}
export PIP_DISABLE_PIP_VERSION_CHECK=1

say() { printf '[setup] %s\n' "$*"; }
fail() { printf '[setup] error: %s\n' "$*" >&2; exit 1; }
pinned() { grep -oE "^$1==[^ ]+" "$REQUIREMENTS"; }

check_machine() {
    command -v "$PYTHON" >/dev/null ||
        fail "$PYTHON not found: install Python 3.10 to 3.13, or set PYTHON=..."
    "$PYTHON" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info < (3, 14))' ||
        fail "$("$PYTHON" --version) is not supported: use Python 3.10 to 3.13 (PYTHON=python3.11 make ...)"
    command -v "${CXX:-c++}" >/dev/null ||
        fail "no C++ compiler (${CXX:-c++}): install one (Debian: apt install g++), mmcv's ops are compiled"
    "$PYTHON" -c 'import ensurepip, venv' 2>/dev/null ||
        fail "$PYTHON cannot make virtual environments (Debian: apt install python3-venv)"
    [ -f "$("$PYTHON" -c 'import sysconfig; print(sysconfig.get_path("include"))')/Python.h" ] ||
        fail "Python.h is missing: install the headers of $PYTHON (Debian: apt install python3-dev)"
}

# Run a step unless its mark for the current pins exists.
step() {
    local name=$1 text=$2 log="$STEPS/$1.log"
    shift 2
    if [ -f "$STEPS/$name" ] && cmp -s "$REQUIREMENTS" "$STEPS/$name"; then
        return
    fi
    say "$text"
    "$@" >"$log" 2>&1 || {
        tail -n 20 "$log" >&2
        fail "step '$name' failed, see $log; run again to go on from this step"
    }
    cp "$REQUIREMENTS" "$STEPS/$name"
}

show_progress() {  # Print how many files are done while the compilers run.
    local count
    while sleep 30 >/dev/null 3>&-; do
        count=$(find "$SOURCE" -name '*.o' 2>/dev/null | wc -l)
        say "  $count of 78 files compiled"
    done
}

# The wheel is kept in a folder beside pip's cache. pip's own cache could give a
# wheel whose ops do not work: one for another torch, or one without torch.
ops_cache() {
    local cache version
    cache=$("$PIP" cache dir 2>/dev/null) || cache=$PWD/$STEPS
    version=$("$VENV/bin/python" -c 'import torch; print(torch.__version__)') &&
        echo "$cache/data_distillation/torch-$version-optimized"
}

# What was compiled for another torch is of no use.
install_torch() {
    rm -rf "$SOURCE" && "$PIP" install "$(pinned torch)"
}

install_ops() {
    "$PIP" install --no-index --no-deps --find-links "$1" "$(pinned "$MMCV")"
}

# The folder stays, so that an interrupted build goes on file by file. In a
# subshell, because what is exported is for the ops alone.
compile_ops() (
    mkdir -p "$SOURCE" && "$PIP" download --dest "$SOURCE" --no-deps \
        --no-binary "$MMCV" --no-build-isolation "$(pinned "$MMCV")" &&
        tar -xzf "$SOURCE"/*mmcv-*.tar.gz -C "$SOURCE" --skip-old-files &&
        choose_compiler &&
        "$PIP" wheel --verbose --no-build-isolation --no-deps \
            --wheel-dir "$1" "$SOURCE"/*mmcv-*/
)

# Flags in CFLAGS replace those that Python was built with, without which nothing
# is optimized. -g0: no debug symbols, which take time.
choose_compiler() {
    COMPILER=${CXX:-c++}
    CFLAGS="$("$VENV/bin/python" -c 'import sysconfig; print(sysconfig.get_config_var("CFLAGS"))') -g0"
    HEADER=$(realpath "$SOURCE"/*mmcv-*/)/mmcv/ops/csrc/common/pytorch_cpp_helper.hpp
    export CFLAGS HEADER COMPILER
    # An interrupted build may have left them.
    rm -rf "$HEADER".{begun,part,gch}
    # setuptools takes what is after a space for an argument of the compiler.
    if [ -f "$HEADER" ] && [[ $PWD != *' '* ]] &&
        "$COMPILER" --version | grep 'Free Software Foundation' >/dev/null; then
        export CXX=$PWD/tools/cxx.sh
    fi
}

# A step runs left of `||`, where `set -e` has no effect, so it needs the `&&`.
build_ops() {
    local wheels
    wheels=$(ops_cache) || return
    install_ops "$wheels" || { compile_ops "$wheels" && install_ops "$wheels"; } ||
        return
    rm -rf "$SOURCE"
}

build_ops_with_progress() {
    local progress result=0
    show_progress >&3 &
    progress=$!
    trap "kill $progress 2>/dev/null || true" EXIT
    build_ops || result=$?
    kill $progress
    trap - EXIT
    return $result
}

# Python compiles what it imports for the first time. After this, the tests start
# at once.
check_imports() {
    "$VENV/bin/python" -c 'import mmcv.ops, mmdet, pycocotools, pyarrow, sklearn' || return
    # The Dockerfile copies the rest of the project later.
    [ ! -d tests ] || "$VENV/bin/python" -m pytest --collect-only -n 0
}

main() {
    # The mark of the last step says that everything is done.
    if [ -f "$STEPS/check" ] && cmp -s "$REQUIREMENTS" "$STEPS/check"; then
        return
    fi
    check_machine
    mkdir -p "$STEPS"
    exec 3>&1
    step venv "make $VENV with $("$PYTHON" --version)" \
        "$PYTHON" -m venv "$VENV"
    step torch "install $(pinned torch)" install_torch
    step build-tools 'install the build tools' "$PIP" install \
        "$(pinned setuptools)" "$(pinned wheel)" "$(pinned ninja)" \
        "$(pinned packaging)" "$(pinned psutil)"
    step mmcv "install $(pinned "$MMCV"): compiles its ops the first time, about 3 minutes on two cores" \
        build_ops_with_progress
    step packages 'install the other packages' \
        "$PIP" install -r "$REQUIREMENTS"
    step check "check that mmcv's ops, mmdet and the tests import" check_imports
    say 'done'
}

# Tests read the functions alone.
[ "${BASH_SOURCE[0]}" != "$0" ] || main
