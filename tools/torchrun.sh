#!/usr/bin/env bash
# Start a tool of this folder in several processes; dist_*.sh call it.
# Usage: tools/torchrun.sh GPUS TOOL [arguments of the tool]
# Environment: NNODES, NODE_RANK, MASTER_ADDR, PORT (on one node any free one).
# Without GPUs, GPUS counts processes on CPUs. STAGE_PYTHON: their Python (default
# python).
set -e

GPUS=$1
TOOL=$2

if [ "${NNODES:-1}" = 1 ] && [ -z "${PORT:-}" ]; then
    # The name of this machine need not have an address.
    MEETING=(--standalone --local_addr=127.0.0.1)
else
    MEETING=(
        --nnodes="${NNODES:-1}"
        --node_rank="${NODE_RANK:-0}"
        --master_addr="${MASTER_ADDR:-127.0.0.1}"
        --master_port="${PORT:-29500}"
    )
fi

# torch would set the same for several processes, and print a warning.
if [ "$GPUS" != 1 ]; then
    export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}"
fi

# exec: a signal to this script reaches the processes.
exec "${STAGE_PYTHON:-python}" -m torch.distributed.run "${MEETING[@]}" \
    --nproc_per_node="$GPUS" \
    "$(dirname "$0")/$TOOL" "${@:3}"
