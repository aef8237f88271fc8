#!/usr/bin/env bash
# Usage: tools/dist_train.sh CONFIG GPUS [train.py arguments]
# Environment: NNODES, NODE_RANK, MASTER_ADDR, PORT. Without GPUs, GPUS counts
# processes on CPUs.
set -e

CONFIG=$1
GPUS=$2

# In place of this shell: a signal to stop then reaches torchrun, which stops
# all processes.
exec python -m torch.distributed.run \
    --nnodes="${NNODES:-1}" \
    --node_rank="${NODE_RANK:-0}" \
    --master_addr="${MASTER_ADDR:-127.0.0.1}" \
    --master_port="${PORT:-29500}" \
    --nproc_per_node="$GPUS" \
    "$(dirname "$0")/train.py" "$CONFIG" --launcher pytorch "${@:3}"
