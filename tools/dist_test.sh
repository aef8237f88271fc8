#!/usr/bin/env bash
# Usage: tools/dist_test.sh CONFIG CHECKPOINT GPUS [test.py arguments]
# Environment: NNODES, NODE_RANK, MASTER_ADDR, PORT (on one node any free one).
# Without GPUs, GPUS counts processes on CPUs.
set -e

CONFIG=$1
CHECKPOINT=$2
GPUS=$3

exec bash "$(dirname "$0")/torchrun.sh" "$GPUS" test.py "$CONFIG" "$CHECKPOINT" \
    --launcher pytorch "${@:4}"
