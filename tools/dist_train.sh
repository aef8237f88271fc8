#!/usr/bin/env bash
# Usage: tools/dist_train.sh CONFIG GPUS [train.py arguments]
# Environment: NNODES, NODE_RANK, MASTER_ADDR, PORT (on one node any free one).
# Without GPUs, GPUS counts processes on CPUs.
set -e

CONFIG=$1
GPUS=$2

exec bash "$(dirname "$0")/torchrun.sh" "$GPUS" train.py "$CONFIG" \
    --launcher pytorch "${@:3}"
