#!/usr/bin/env bash
# Makes the default chat model in output/ from nothing: conversations, then one training run. About an hour on two
# cores with AMX.
set -euo pipefail
cd "$(dirname "$0")/.."

python scripts/make_chat_data.py --output data/chat.jsonl --conversations 200000 --long-share 0.12
microgpt train --chat --input data/chat.jsonl --output output --overwrite --skip-long --half --dtype bfloat16 \
  --loss-on mixed --threads 2 --vocab-size 512 --batch-size 48 --steps 6500 --lr 1.5e-3 --checkpoint-every 500
