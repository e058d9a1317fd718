#!/usr/bin/env bash
# Makes the default chat model in output/ from nothing: conversations, the main run, and a shorter second run on
# conversations of which 60 % ask back what was told. About 80 minutes on two idle cores with AMX.
set -euo pipefail
cd "$(dirname "$0")/.."

python scripts/make_chat_data.py --output data/chat.jsonl
python scripts/make_chat_data.py --output data/memory.jsonl --conversations 70000 --seed 1 --memory-share 0.6
microgpt train --chat --input data/chat.jsonl --output runs/default --half --dtype bfloat16 --loss-on mixed --threads 2 \
  --batch-size 64 --steps 7000 --lr 2e-3 --checkpoint-every 500
microgpt train --chat --input data/memory.jsonl --init runs/default --output output --overwrite --half \
  --dtype bfloat16 --loss-on mixed --threads 2 --batch-size 64 --steps 1400 --lr 7e-4 --warmup-steps 50
