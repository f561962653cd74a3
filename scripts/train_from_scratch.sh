#!/usr/bin/env bash
# Train and pack a small base of a voice space of its own, from eSpeak-NG's and recorded speech.
#
#   scripts/train_from_scratch.sh TEXT SPEECH WORK [MINUTES] [BASE]
#
# TEXT     public-domain sentences, one a line
# SPEECH   folder with one AudioFolder dataset for each recorded speaker (LibriSpeech, LJSpeech, VCTK)
# WORK     folder for corpus, features, checkpoints and the packed base (WORK/run/base); about 2 GB
# MINUTES  training time of the base (default 160); the pair of surrogate encoders takes 0.3 of it on top
# BASE     folder of an earlier base to continue from
#
# Versions 0.1 to 0.4 of nano were trained by this script. The present nano is a student of Kokoro-82M: train_nano.sh.
#
# --compile needs a C compiler. With Resemblyzer the speakers' likeness is measured.
#
# Interrupted? Run the same command again: the corpus is kept and training continues from its last checkpoint.
set -euo pipefail
here="$(cd "$(dirname "$0")/.." && pwd)"
if [ $# -lt 3 ]; then
    sed -n '2,18p' "$0" >&2
    exit 2
fi
text="$1" speech="$2" work="$3" minutes="${4:-160}" init="${5:-}"
python="${PYTHON:-python}"
export PYTHONPATH="$here${PYTHONPATH:+:$PYTHONPATH}"

# Recorded speakers in training; librispeech_3080 and librispeech_1688 are held out for measuring clones.
recorded=(librispeech_2033 librispeech_2609 librispeech_367 ljspeech_lj vctk_p225 vctk_p226)

if [ ! -f "$work/corpus/train/metadata.jsonl" ]; then
    "$python" "$here/scripts/synthesize_corpus.py" --text "$text" --out "$work/corpus"
fi
data=("$work/corpus/train")
boost=()
kept_out=("$work/corpus/heldout" "$speech/librispeech_3080" "$speech/librispeech_1688")
for name in "${recorded[@]}"; do
    data+=("$speech/$name")
    boost+=("$name=3")
done
resume=()
settings="$here/scripts/from_scratch_settings.json"
if [ -n "$init" ]; then  # a trained base needs no acoustic stage of its own, and smaller steps
    settings="$here/scripts/from_scratch_settings_init.json"
fi
if [ -f "$work/run/checkpoint.pt" ]; then
    resume=(--resume)
elif [ -n "$init" ]; then
    resume=(--init "$init")
fi
nice -n 5 "$python" -m voiceclone train-base --data "${data[@]}" --preset nano --out "$work/run" \
    --minutes "$minutes" --boost "${boost[@]}" --voice-first "${recorded[@]}" --kept-out "${kept_out[@]}" --facts "$here/scripts/from_scratch_facts.json" --settings "$settings" \
    --compile --bfloat16 --threads "${THREADS:-1}" --offline "${resume[@]}"
"$python" -m voiceclone stock-table --base "$work/run/base" --out "$work/run/base/stock_table.safetensors" --offline
echo "packed: $work/run/base"
