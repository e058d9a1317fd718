#!/usr/bin/env bash
# Makes the default chat model in output/ from nothing: conversations, the main run, and a shorter second run on
# conversations that fill most of the context. About 70 minutes on two cores with AMX.
set -euo pipefail
cd "$(dirname "$0")/.."

python scripts/make_chat_data.py --output data/chat.jsonl
python scripts/make_chat_data.py --output data/long.jsonl --conversations 40000 --seed 2 --memory-share 0.3 \
  --long-share 0.55
microgpt train --chat --input data/chat.jsonl --output runs/default --half --dtype bfloat16 --loss-on mixed --threads 2 \
  --batch-size 64 --steps 7000 --lr 2e-3 --checkpoint-every 500
microgpt train --chat --input data/long.jsonl --init runs/default --output output --overwrite --skip-long --half \
  --dtype bfloat16 --loss-on mixed --threads 2 --batch-size 32 --steps 900 --lr 8e-4 --warmup-steps 30
