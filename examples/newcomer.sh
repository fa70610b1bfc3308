#!/usr/bin/env bash
# What the README says, in a fresh clone: from install to a taught model that MediaPipe runs with an
# allow list. Prints the seconds of each step; ends non-zero at the first that fails. What it makes
# goes to a folder that is removed, but for .venv and .bench.
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD
desk=$(mktemp -d)
trap 'rm -rf "$desk"' EXIT
began=$SECONDS
step() {
    local at=$SECONDS
    printf '\n$ %s\n' "$*"
    "$@"
    printf '  (%d s)\n' $((SECONDS - at))
}

step make demo
# shellcheck disable=SC1091
. .venv/bin/activate
step python -m pip install --quiet --disable-pip-version-check -e '.[archive,train]'
ln -s "$root/examples" "$desk/examples"
cd "$desk"
step oido classify examples/ -o events.csv
step oido classify examples/street.flac -o street.srt --allow Siren/ --allow Speech --merge-gap 1
step oido batch examples/ -o results/
step oido query results/ "label = 'Speech' and score > 0.5"
step oido report results/ -o report.html
step oido train examples/sounds/ -o sounds.tflite --report sounds.html
step oido classify examples/sounds/beep/amber.flac --model sounds.tflite
cat > mediapipe_says.py << 'PYTHON'
import soundfile
from mediapipe.tasks.python import BaseOptions, audio
from mediapipe.tasks.python.components.containers import AudioData

options = audio.AudioClassifierOptions(
    base_options=BaseOptions(model_asset_path="sounds.tflite"),
    running_mode=audio.RunningMode.AUDIO_CLIPS,
    category_allowlist=["beep"],
)
samples, rate = soundfile.read("examples/sounds/beep/amber.flac", dtype="float32")
with audio.AudioClassifier.create_from_options(options) as classifier:
    window = classifier.classify(AudioData.create_from_array(samples, rate))[0]
best = window.classifications[0].categories
print([(category.category_name, round(category.score, 2)) for category in best])
assert [category.category_name for category in best] == ["beep"], "not the label that was allowed"
PYTHON
step python3 "$root/benchmarks/peers/make_envs.py" --envs "$root/.bench" --only mediapipe
step "$root/.bench/mediapipe/bin/python" mediapipe_says.py
printf '\nAll of it: %d s\n' $((SECONDS - began))
