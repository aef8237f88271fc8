#!/usr/bin/env bash
# Usage: tools/slurm_test.sh PARTITION JOB_NAME CONFIG CHECKPOINT [test.py arguments]
# Environment: GPUS (tasks in all), GPUS_PER_NODE, CPUS_PER_TASK, SRUN_ARGS, and
# GRES: what each node must have, empty on nodes without GPUs.
set -e

PARTITION=$1
JOB_NAME=$2
CONFIG=$3
CHECKPOINT=$4

exec bash "$(dirname "$0")/srun.sh" "$PARTITION" "$JOB_NAME" test.py "$CONFIG" \
    "$CHECKPOINT" --launcher=slurm "${@:5}"
