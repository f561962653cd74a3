#!/usr/bin/env bash
# Train and pack nano, a student of Kokoro-82M: let Kokoro speak a corpus, train on it, pack.
#
#   scripts/train_nano.sh TEXT WORK [MINUTES] [INIT]
#
# TEXT     public-domain sentences, one a line; the last 300 are left for measuring (benchmarks/student.py)
# WORK     folder for speech, features, checkpoints and the packed base (WORK/run/base); about 2 GB
# MINUTES  training time of the decoder (default 160); the predictor's after it is PROSODY_MINUTES (default 40)
# INIT     folder of an earlier student to continue from; without it the weights come from Kokoro's strongest channels
#
# UTTERANCES=5000 is the size of the corpus, PROSODY=12000 the number of utterances for the predictor, which have no audio.
# --compile needs a C compiler. Interrupted? Run the same command again: the speech is kept and training continues from its
# last checkpoint.
set -euo pipefail
here="$(cd "$(dirname "$0")/.." && pwd)"
if [ $# -lt 2 ]; then
    sed -n '2,13p' "$0" >&2
    exit 2
fi
text="$1" work="$2" minutes="${3:-160}" init="${4:-}"
python="${PYTHON:-python}"
export PYTHONPATH="$here${PYTHONPATH:+:$PYTHONPATH}"

"$python" "$here/scripts/speak_with_teacher.py" --text "$text" --out "$work/speech" --utterances "${UTTERANCES:-5000}"
"$python" "$here/scripts/speak_with_teacher.py" --text "$text" --out "$work/prosody" --utterances "${PROSODY:-12000}" \
    --prosody-only
# The decoder first, then the predictor on prosody alone. The two have no weights in common.
train() {  # SPEECH OUT MINUTES SETTINGS, and where the weights come from
    if [ -f "$2/checkpoint.pt" ]; then
        start=(--resume "${@:5}")  # a distillation needs its teacher
    else
        start=("${@:5}")
    fi
    "$python" -m voiceclone train-base --teacher "$1" --preset nano --out "$2" --minutes "$3" \
        --settings "$here/scripts/$4.json" --facts "$here/scripts/nano_facts.json" \
        --compile --bfloat16 --threads "${THREADS:-1}" --offline "${start[@]}"
}
if [ -n "$init" ]; then
    first=(nano_settings_init --init "$init")
else
    first=(nano_settings --from-teacher kokoro)
fi
train "$work/speech" "$work/decoder" "$minutes" "${first[@]}"
train "$work/prosody" "$work/run" "${PROSODY_MINUTES:-40}" nano_settings_init --init "$work/decoder/base"
echo "packed: $work/run/base; copy it to voiceclone/models/assets/nano to ship it"
