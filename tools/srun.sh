#!/usr/bin/env bash
# Start a tool of this folder as the tasks of Slurm; slurm_*.sh call it.
# Usage: tools/srun.sh PARTITION JOB_NAME TOOL [arguments of the tool]
# Environment: GPUS (tasks in all), GPUS_PER_NODE, CPUS_PER_TASK, SRUN_ARGS, and
# GRES: what each node must have, empty on nodes without GPUs. STAGE_PYTHON: the
# Python of the tasks (default python).
set -e

PARTITION=$1
JOB_NAME=$2
TOOL=$3
GPUS=${GPUS:-8}
GPUS_PER_NODE=${GPUS_PER_NODE:-8}
CPUS_PER_TASK=${CPUS_PER_TASK:-5}
GRES=${GRES-gpu:$GPUS_PER_NODE}

# Show the command that is run.
set -x
# exec: a signal to this script reaches the tasks.
# SRUN_ARGS is split into words on purpose.
# shellcheck disable=SC2086
exec srun -p "$PARTITION" \
    --job-name="$JOB_NAME" \
    ${GRES:+--gres="$GRES"} \
    --ntasks="$GPUS" \
    --ntasks-per-node="$GPUS_PER_NODE" \
    --cpus-per-task="$CPUS_PER_TASK" \
    --kill-on-bad-exit=1 \
    ${SRUN_ARGS:-} \
    "${STAGE_PYTHON:-python}" -u "$(dirname "$0")/$TOOL" "${@:4}"
