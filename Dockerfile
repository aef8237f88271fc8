# An image with everything, also with mmcv's ops.
#   docker build -t data-distillation .
#   docker run --rm -it -v "$PWD/work_dirs:/app/work_dirs" data-distillation make demo
# For a GPU, take a base with the CUDA toolkit of the version that torch was
# built for, and name your GPU's compute capability:
#   docker build -t data-distillation --build-arg ARCH=9.0 \
#       --build-arg BASE=nvidia/cuda:13.0.2-devel-ubuntu24.04 .
#   docker run --rm -it --gpus all --shm-size 8g data-distillation make demo
ARG BASE=python:3.11-slim-bookworm
FROM ${BASE}

# The base is an argument, so that no version of a package can be named.
# hadolint ignore=DL3008
RUN apt-get update \
    && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
        make g++ git libgl1 libglib2.0-0 python3-dev python3-venv \
    && rm -rf /var/lib/apt/lists/*

WORKDIR /app
# The set-up alone, so that a change of the code does not compile again.
COPY Makefile requirements.txt ./
COPY tools/setup.sh tools/cxx.sh tools/
# Empty on a CPU.
ARG ARCH=""
RUN if [ -n "$ARCH" ]; then export FORCE_CUDA=1 TORCH_CUDA_ARCH_LIST="$ARCH"; fi \
    && make setup
COPY . .
RUN .venv/bin/pip install --no-deps --editable .
ENV PATH=/app/.venv/bin:$PATH
CMD ["data-distillation", "--help"]
